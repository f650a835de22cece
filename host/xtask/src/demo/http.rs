//! As much HTTP/1.1 as one request on one connection needs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Posts JSON and returns the body of the answer, which must be a 200.
pub fn post(address: &str, path: &str, json: &str) -> Result<String> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{json}",
        json.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no end of its headers")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "POST {path}: {status}: {body}");
    Ok(body.to_owned())
}
