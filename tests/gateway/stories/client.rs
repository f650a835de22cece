//! What is sent over a connection, and what comes back.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tempfile::NamedTempFile;
use tokio::net::TcpStream;

use crate::application::modelet;
use crate::host::RUNTIME;

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// Empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

/// A connection that stays.
pub struct Connection(hyper::client::conn::http1::SendRequest<Full<Bytes>>);

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Connection(sender)
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "models");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // The last answer may be there before the connection knows that it is over.
        self.0.ready().await.unwrap();
        let body = Full::new(Bytes::copy_from_slice(body));
        let request = request.body(body).unwrap();
        let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

/// One request on a connection of its own.
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    RUNTIME.block_on(async {
        let mut connection = Connection::open(address).await;
        connection.send(method, path, headers, body).await
    })
}

/// A running `modelet serve`. It ends when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: NamedTempFile,
}

impl Server {
    pub fn start(repository: &Path) -> Server {
        let log = NamedTempFile::new().unwrap();
        let mut child = modelet()
            .arg("serve")
            .arg(repository)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--state", "sqlite::memory:", "--cache"])
            .arg(std::env::var_os("CACHE").expect("`cargo xtask gateway` sets CACHE"))
            .env("RUST_LOG", "error,modelet_server::app=info")
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let (_, address) = line.trim().rsplit_once("http://").expect("an address");
        Server {
            child,
            address: address.parse().unwrap(),
            log,
        }
    }

    /// Of everything that it has loaded, as its log tells it.
    pub fn digests(&self) -> BTreeSet<String> {
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        let words = log.split(|c: char| !c.is_ascii_hexdigit());
        words
            .filter(|word| word.len() == 64)
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
