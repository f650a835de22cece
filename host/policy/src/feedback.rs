//! `[feedback]`: what a label that comes back is worth.

use serde::Deserialize;

use crate::rollout::Millis;
use crate::units;

const WINDOW: Millis = 24 * 3_600_000;

/// How answers are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The output that a label is compared with. `None`: the first.
    pub output: Option<String>,
    /// What comes back later than this is counted as late and not used.
    pub window: Millis,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Typed {
    output: Option<String>,
    window: Option<String>,
}

pub fn read(typed: Typed, errors: &mut Vec<String>) -> Feedback {
    let window = typed.window.map_or(Some(WINDOW), |text| {
        let time = units::duration(&text).filter(|time| !time.is_zero());
        if time.is_none() {
            errors.push(format!(
                "feedback.window is a time such as \"24h\", not {text:?}"
            ));
        }
        Millis::try_from(time?.as_millis()).ok()
    });
    Feedback {
        output: typed.output,
        window: window.unwrap_or(WINDOW),
    }
}

/// What a label says of a prediction: 1 where they are equal, else 0. Numbers are compared as numbers.
pub fn reward(prediction: &str, label: &str) -> f64 {
    let equal = match (prediction.parse::<f64>(), label.parse::<f64>()) {
        (Ok(prediction), Ok(label)) => prediction == label,
        _ => prediction == label,
    };
    f64::from(u8::from(equal))
}

/// The class that scores stand for: the place of the largest. A single one stands for itself.
pub fn class(scores: &[f64]) -> String {
    match scores {
        [only] => only.to_string(),
        scores => {
            let places = scores.iter().enumerate();
            let largest = places.max_by(|(_, a), (_, b)| a.total_cmp(b));
            largest.map_or(String::new(), |(place, _)| place.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_right_or_wrong() {
        assert_eq!(reward("setosa", "setosa"), 1.0);
        assert_eq!(reward("setosa", "virginica"), 0.0);
        assert_eq!(reward("2", "2.0"), 1.0);
    }

    #[test]
    fn scores_stand_for_a_class() {
        assert_eq!(class(&[0.1, 0.7, 0.2]), "1");
        assert_eq!(class(&[0.25]), "0.25");
        assert_eq!(class(&[]), "");
    }

    #[test]
    fn a_window_is_a_time() {
        let mut errors = Vec::new();
        let typed = |window: &str| Typed {
            window: Some(window.to_owned()),
            output: None,
        };
        assert_eq!(read(typed("2h"), &mut errors).window, 7_200_000);
        assert_eq!(errors.len(), 0);
        read(typed("soon"), &mut errors);
        assert_eq!(errors.len(), 1);
    }
}
