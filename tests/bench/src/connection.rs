//! HTTP/1.1 on one connection that stays open, with as little work as a client can do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One connection to a server.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    address: String,
}

/// What came back. The headers are of no interest here.
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Connection {
            stream,
            received: vec![],
            address: address.to_owned(),
        })
    }

    /// Sends a whole request and reads the whole answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Response> {
        self.stream.write_all(request)?;
        let mut part = [0; PART];
        loop {
            let count = self.stream.read(&mut part)?;
            if let Some((response, closes)) = answer(&mut self.received, &part[..count])? {
                if closes {
                    *self = Connection::open(&self.address)?;
                }
                return Ok(response);
            }
        }
    }

    /// Sends a part of a request and hangs up.
    pub fn break_off(&mut self, part: &[u8]) -> Result<()> {
        self.stream.write_all(part)?;
        *self = Connection::open(&self.address)?;
        Ok(())
    }
}

/// One of many connections that a single thread looks after: a thread for each would take from the server what
/// switching between them costs.
pub struct SharedConnection {
    stream: tokio::net::TcpStream,
    received: Vec<u8>,
    address: String,
}

impl SharedConnection {
    pub async fn open(address: &str) -> Result<SharedConnection> {
        let stream = tokio::net::TcpStream::connect(address).await;
        let stream = stream.with_context(|| address.to_owned())?;
        stream.set_nodelay(true)?;
        Ok(SharedConnection {
            stream,
            received: vec![],
            address: address.to_owned(),
        })
    }

    /// As [`Connection::exchange`].
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response> {
        self.stream.write_all(request).await?;
        let mut part = [0; PART];
        loop {
            let count = self.stream.read(&mut part).await?;
            if let Some((response, closes)) = answer(&mut self.received, &part[..count])? {
                if closes {
                    *self = SharedConnection::open(&self.address).await?;
                }
                return Ok(response);
            }
        }
    }
}

/// What is read at one time.
const PART: usize = 4096;

/// The answer, and whether the server closes the connection after it, once `received` has all of it with the part
/// that came now. Nothing came: the connection was closed.
fn answer(received: &mut Vec<u8>, part: &[u8]) -> Result<Option<(Response, bool)>> {
    ensure!(
        !part.is_empty(),
        "the connection was closed before an answer"
    );
    received.extend_from_slice(part);
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end]).context("not HTTP")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.context("not HTTP")?.parse().context("not HTTP")?;
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>()?);
        }
        closes |= name.eq_ignore_ascii_case("connection") && value == "close";
    }
    let body = end + 4..end + 4 + length.context("an answer without its length")?;
    if received.len() < body.end {
        return Ok(None);
    }
    let body = received[body].to_vec();
    received.clear();
    Ok(Some((Response { status, body }, closes)))
}

/// The bytes of a POST.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
