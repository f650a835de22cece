//! `NaN`, `Infinity` and `-Infinity` as bare words, which are not JSON but which Python writes.

use std::borrow::Cow;

const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// Puts the words in quotes wherever they stand outside of strings. Borrowed when there are none.
pub fn quote_non_finite(json: &[u8]) -> Cow<'_, [u8]> {
    let mut quoted: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    while at < json.len() {
        if json[at] == b'"' {
            at = end_of_string(json, at);
            continue;
        }
        match WORDS.iter().find(|word| json[at..].starts_with(word)) {
            None => at += 1,
            Some(word) => {
                let quoted = quoted.get_or_insert_default();
                quoted.extend(&json[copied..at]);
                quoted.push(b'"');
                quoted.extend(*word);
                quoted.push(b'"');
                at += word.len();
                copied = at;
            }
        }
    }
    match quoted {
        None => Cow::Borrowed(json),
        Some(mut quoted) => {
            quoted.extend(&json[copied..]);
            Cow::Owned(quoted)
        }
    }
}

/// The index behind the string that begins at `start`, or the end of `json`.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < json.len() {
        match json[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_outside_of_strings_are_quoted() {
        for (json, expected) in [
            (
                r#"{"data":[NaN,-Infinity, Infinity]}"#,
                r#"{"data":["NaN","-Infinity", "Infinity"]}"#,
            ),
            (
                r#"{"id":"NaN \" NaN","data":[1]}"#,
                r#"{"id":"NaN \" NaN","data":[1]}"#,
            ),
            (r#"["\\",NaN]"#, r#"["\\","NaN"]"#),
            (r#"["NaN"#, r#"["NaN"#),
            (r#"["\"#, r#"["\"#),
        ] {
            assert_eq!(quote_non_finite(json.as_bytes()), expected.as_bytes());
        }
    }
}
