//! Rollouts as text.

use std::fmt::Write as _;

use serde_json::Value;

/// Where a rollout is, for a terminal.
pub fn status(view: &Value) -> String {
    let text = |key: &str| view[key].as_str().unwrap_or_default();
    let number = |key: &str| view[key].as_u64().unwrap_or_default();
    let mut out = String::new();
    let reason = view["pauseReason"].as_str();
    let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}: {}{reason}", text("model"), text("phase"));
    if !text("message").is_empty() {
        let _ = writeln!(out, "  {}", text("message"));
    }
    let (stable, canary) = (number("stable"), number("canary"));
    let _ = writeln!(
        out,
        "  stable {stable}, canary {canary}, strategy {}",
        text("strategy")
    );
    weights(&mut out, view);
    steps(&mut out, view);
    if text("phase") != "Healthy" {
        arms(&mut out, &view["evidence"]);
        for key in ["analysis", "background"] {
            metrics(&mut out, &view[key]);
        }
    }
    out
}

/// What happened, a line each.
pub fn history(entries: &Value) -> String {
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |entry: &Value| {
        let requests = |arm: &str| {
            let counts = &entry["evidence"][arm];
            format!("{}/{}", counts["errors"], counts["requests"])
        };
        // What is no change of a rollout was not decided from what was seen.
        let revision = entry["revision"].as_u64().filter(|revision| *revision > 0);
        let seen = revision.map_or(String::new(), |_| {
            let (stable, canary) = (requests("stable"), requests("canary"));
            format!("  [errors: stable {stable}, canary {canary}]")
        });
        format!(
            "{:>4}  {}  {:<10}  {}{}\n",
            revision.map_or("-".to_owned(), |revision| revision.to_string()),
            time(count(entry, "at")),
            entry["who"].as_str().unwrap_or_default(),
            entry["what"].as_str().unwrap_or_default(),
            seen,
        )
    };
    entries.iter().map(line).collect()
}

fn weights(out: &mut String, view: &Value) {
    const WIDTH: f64 = 40.0;
    let weights = view["weights"].as_object().into_iter().flatten();
    for (version, percent) in weights {
        let percent = percent.as_f64().unwrap_or_default();
        let bar = "█".repeat((percent / 100.0 * WIDTH).round() as usize);
        let _ = writeln!(out, "  {version:>6} {bar:<40} {percent} %");
    }
    let mirror = view["mirror"].as_f64().unwrap_or_default();
    if mirror > 0.0 {
        let _ = writeln!(out, "  mirrored to {}: {mirror} %", view["canary"]);
    }
}

fn steps(out: &mut String, view: &Value) {
    let current = view["step"].as_u64().unwrap_or_default() as usize;
    let steps = view["steps"].as_array().into_iter().flatten();
    for (index, step) in steps.enumerate() {
        let mark = match index.cmp(&current) {
            std::cmp::Ordering::Less => "✓",
            std::cmp::Ordering::Equal => "▶",
            std::cmp::Ordering::Greater => " ",
        };
        let _ = writeln!(out, "  {mark} {}", step.as_str().unwrap_or_default());
    }
}

fn arms(out: &mut String, evidence: &Value) {
    let _ = writeln!(
        out,
        "  {:8} {:>10} {:>8} {:>8} {:>10} {:>10} {:>8}",
        "", "requests", "errors", "invalid", "p50", "p95", "reward"
    );
    for name in ["stable", "canary"] {
        let arm = &evidence[name];
        let milliseconds = |key: &str| arm[key].as_f64().unwrap_or_default() * 1000.0;
        let _ = writeln!(
            out,
            "  {name:8} {:>10} {:>8} {:>8} {:>7.2} ms {:>7.2} ms {:>8.3}",
            count(arm, "requests"),
            count(arm, "errors"),
            count(arm, "invalid"),
            milliseconds("p50"),
            milliseconds("p95"),
            arm["reward"].as_f64().unwrap_or_default(),
        );
    }
    if evidence["mirrored"].as_u64().unwrap_or_default() > 0 {
        let disagreement = evidence["disagreement"].as_f64().unwrap_or_default();
        let _ = writeln!(
            out,
            "  mirrored {}, disagreement {disagreement:.4}",
            evidence["mirrored"]
        );
    }
}

fn count(arm: &Value, key: &str) -> u64 {
    arm[key].as_u64().unwrap_or_default()
}

fn metrics(out: &mut String, metrics: &Value) {
    for metric in metrics.as_array().into_iter().flatten() {
        let text = |key: &str| metric[key].as_str().unwrap_or_default();
        let _ = writeln!(
            out,
            "  {}: {}, {}",
            text("name"),
            text("phase"),
            text("message")
        );
    }
}

/// Milliseconds since 1970 as a date and time, in UTC. Source of the calendar: Hinnant, "chrono-Compatible
/// low-level date algorithms", civil_from_days.
fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(time(1_795_541_638_000), "2026-11-24 17:33:58");
    }
}
