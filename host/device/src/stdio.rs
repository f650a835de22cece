//! A request per line of standard input, a line per answer on standard output, in the same order.
//!
//! A line is a request of the protocol in JSON, with up to three members more: `model_name`, which may be
//! left out where there is one model, `model_version`, and `headers`, which HTTP would carry.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::infer::{Asked, infer};
use crate::models::Models;

/// What a line says beside its request.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    model_name: Option<String>,
    #[serde(default)]
    model_version: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Until the input ends, or nobody reads the output any more.
pub fn serve(models: &Models, arguments: &Arguments) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let limit_bytes = arguments.body_bytes();
    let mut line = Vec::new();
    while read(&mut input, &mut line, limit_bytes)? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let deadline = Instant::now() + arguments.timeout;
        let mut reply = match line.len() > limit_bytes {
            true => error(None, &Failure::TooLarge { limit_bytes }),
            false => answer(models, &line, deadline),
        };
        reply.push(b'\n');
        match output.write_all(&reply).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

/// Takes a line, of a long one no more than is needed to see that it is too long. False at the end.
fn read(input: &mut impl BufRead, line: &mut Vec<u8>, limit_bytes: usize) -> io::Result<bool> {
    line.clear();
    let read = input.take(limit_bytes as u64 + 1).read_until(b'\n', line)?;
    match line.last() {
        Some(b'\n') => drop(line.pop()),
        _ if line.len() > limit_bytes => drop(input.skip_until(b'\n')?),
        _ => {}
    }
    Ok(read > 0)
}

fn answer(models: &Models, line: &[u8], deadline: Instant) -> Vec<u8> {
    let said = match serde_json::from_slice::<Line>(line) {
        Ok(said) => said,
        Err(reason) => {
            let text = format!("the line is no request: {reason}");
            return error(None, &Failure::Malformed(text));
        }
    };
    let answered = model(models, &said).and_then(|model| {
        let headers = said.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let asked = Asked {
            model,
            version: said.model_version.as_deref(),
            headers: headers.collect(),
            address: None,
            body: line,
            json_length: None,
            deadline,
        };
        let encoded = infer(models, asked)?.encoded;
        match encoded.json_length {
            None => Ok(encoded.body),
            Some(_) => Err(Failure::Unsupported(
                "a line holds no binary tensors; ask for the outputs in JSON".to_owned(),
            )),
        }
    });
    answered.unwrap_or_else(|failure| error(said.id.as_ref(), &failure))
}

fn model<'a>(models: &'a Models, said: &'a Line) -> Result<&'a str, Failure> {
    let named = said.model_name.as_deref();
    let only = || models.only().map(|name| name.as_str());
    named.or_else(only).ok_or_else(|| {
        let text = "there is more than one model here; name one in `model_name`";
        Failure::Malformed(text.to_owned())
    })
}

/// With the status that HTTP would have.
fn error(id: Option<&Value>, failure: &Failure) -> Vec<u8> {
    let mut body = json!({"error": failure.to_string(), "status": failure.status().as_u16()});
    if let Some(id) = id {
        body["id"] = id.clone();
    }
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let mut input = &b"1234567890\n12345\n\nlast"[..];
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while read(&mut input, &mut line, 5).unwrap() {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        assert_eq!(lines, ["123456", "12345", "", "last"]);
    }
}
