//! Sizes and times as people write them.

use std::time::Duration;

/// `512MiB` in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `30s`, `250ms`, `5m` or `24h`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_required_and_known() {
        assert_eq!(bytes("512MiB"), Some(512 << 20));
        assert_eq!(bytes("4 GiB"), Some(4 << 30));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("5h"), Some(Duration::from_secs(18_000)));
        for text in ["", "5", "MiB", "5MB", "-5MiB", "1.5GiB", "99999999999GiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        for text in ["", "5", "5d", "s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
