//! Expressions that are true or false, in the language of expr-lang that Argo Rollouts uses too.

use std::fmt;

use expr::{Context, Environment, Program, Value};
use serde::{Deserialize, Serialize};

/// Keeps the parser's recursion flat, and conditions readable.
const LIMIT_CHARACTERS: usize = 256;

/// Such as `result.canary < 0.05 && result.requests > 1000`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    text: String,
    program: Program,
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    #[error("a condition has at most {LIMIT_CHARACTERS} characters")]
    TooLong,
    #[error("the condition `{text}` cannot be read: {reason}")]
    Unreadable { text: String, reason: String },
}

/// What the names in a condition stand for.
#[derive(Default)]
pub struct Names(Context);

impl Names {
    pub fn number(mut self, name: &str, value: f64) -> Names {
        self.0.insert(name, value);
        self
    }

    /// A record of lists of numbers.
    pub fn lists(mut self, name: &str, lists: &[(&str, &[f64])]) -> Names {
        let list = |values: &[f64]| values.iter().map(|value| Value::Float(*value)).collect();
        let lists = lists.iter();
        let lists = lists.map(|(name, values)| ((*name).to_owned(), Value::Array(list(values))));
        self.0.insert(name, Value::Map(lists.collect()));
        self
    }

    /// A record, whose fields are numbers and flags.
    pub fn record(mut self, name: &str, numbers: &[(&str, f64)], flags: &[(&str, bool)]) -> Names {
        let numbers = numbers.iter();
        let numbers = numbers.map(|(name, value)| ((*name).to_owned(), Value::Float(*value)));
        let flags = flags.iter();
        let flags = flags.map(|(name, value)| ((*name).to_owned(), Value::Bool(*value)));
        self.0
            .insert(name, Value::Map(numbers.chain(flags).collect()));
        self
    }
}

impl Condition {
    /// The error says why it is neither true nor false of these.
    pub fn holds(&self, names: &Names) -> Result<bool, String> {
        let wrong = |reason: String| format!("the condition `{}` {reason}", self.text);
        match Environment::new().run(&self.program, &names.0) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(wrong(format!("is {other} and not true or false"))),
            Err(error) => Err(wrong(format!("cannot be evaluated: {error}"))),
        }
    }
}

impl TryFrom<String> for Condition {
    type Error = InvalidCondition;

    fn try_from(text: String) -> Result<Condition, InvalidCondition> {
        if text.chars().count() > LIMIT_CHARACTERS {
            return Err(InvalidCondition::TooLong);
        }
        match expr::compile(&text) {
            Ok(program) => Ok(Condition { text, program }),
            Err(error) => Err(InvalidCondition::Unreadable {
                reason: error.to_string().trim().replace('\n', " "),
                text,
            }),
        }
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> String {
        condition.text
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<bool, &str>) {
        let names = Names::default()
            .record(
                "result",
                &[("canary", 0.02), ("requests", 1500.0)],
                &[("worse", false)],
            )
            .lists("outputs", &[("p", &[0.1, 0.7, 0.2])])
            .number("n", 3.0);
        let found = Condition::try_from(text.to_owned()).map(|condition| condition.holds(&names));
        let found = found.map_err(|error| error.to_string()).flatten();
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{text}: {found:?} and not {expected:?}"),
        }
    }

    #[test]
    fn conditions_are_true_or_false() {
        check("result.canary < 0.05 && result.requests >= 1500", Ok(true));
        check("result.canary > 0.05 or n == 3", Ok(true));
        check("not (max(outputs.p) >= 0.6)", Ok(false));
        check("all(outputs.p, # <= 1) && !result.worse", Ok(true));
        check("outputs.p[0] + outputs.p[1] > 0.9", Ok(false));
    }

    #[test]
    fn what_is_no_condition_is_told() {
        check("result.canary", Err("is 0.02 and not true or false"));
        check("result.canary <", Err("cannot be read"));
        check("missing > 1", Err("cannot be evaluated"));
        check(&"(".repeat(300), Err("at most 256"));
        check(&"(".repeat(256), Err("cannot be read"));
        check(&"!".repeat(256), Err("cannot be read"));
    }
}
