//! HTTP/1.1 on one connection that stays open, with as little work as a client can do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// One connection to a server.
pub struct Connection {
    stream: BufReader<TcpStream>,
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
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    /// Sends a whole request and reads the whole answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Response> {
        self.stream.get_mut().write_all(request)?;
        let (mut status, mut length, mut closes) = (0, None, false);
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the connection was closed before an answer");
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            } else if status == 0 {
                let number = text.split(' ').nth(1).context("not HTTP")?;
                status = number.parse().context("not HTTP")?;
            } else if let Some((name, value)) = text.split_once(": ") {
                if name.eq_ignore_ascii_case("content-length") {
                    length = Some(value.parse()?);
                }
                closes |= name.eq_ignore_ascii_case("connection") && value == "close";
            }
        }
        let mut body = vec![0; length.context("an answer without its length")?];
        self.stream.read_exact(&mut body)?;
        if closes {
            *self = Connection::open(&self.address)?;
        }
        Ok(Response { status, body })
    }

    /// Sends a part of a request and hangs up.
    pub fn break_off(&mut self, part: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(part)?;
        *self = Connection::open(&self.address)?;
        Ok(())
    }
}

/// The bytes of a POST.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
