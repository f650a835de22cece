//! A server of the test's own, and a client that controls every byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::built;

/// A running `modelet serve`. It ends when this is dropped.
pub struct Server {
    child: Child,
    pub address: String,
    /// Of the admin API, where there is one.
    pub admin: String,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Server {
    /// Serves `paths` on a port that was free, and waits until all of it is loaded.
    pub fn start(paths: &[&Path]) -> Server {
        Server::with_settings(paths, "")
    }

    /// As [`Server::start`], with the text of a `modelet.toml`.
    pub fn with_settings(paths: &[&Path], settings: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("modelet.toml");
        std::fs::write(&file, settings).unwrap();
        let file = file.to_str().unwrap();
        Server::run(paths, &["--config", file, "--state", "sqlite::memory:"])
    }

    /// With the state beside the models or where the arguments say.
    pub fn with_admin(paths: &[&Path], arguments: &[&str]) -> Server {
        Server::run(paths, arguments)
    }

    fn run(paths: &[&Path], arguments: &[&str]) -> Server {
        let mut command = Server::command();
        command.args(paths).args(arguments);
        Server::spawn(command.arg("--cache").arg(built::cache()))
    }

    /// `modelet serve`, on ports that are free, without what it is to serve and its cache.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelet"));
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("RUST_LOG", "warn");
        command
    }

    /// Waits until all of it is loaded.
    pub fn spawn(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let (_, address) = line.trim().rsplit_once("http://")?;
            Some(address.to_owned())
        };
        match (address(), address()) {
            (Some(address), Some(admin)) => Server {
                child,
                address,
                admin,
            },
            said => {
                let status = child.wait();
                panic!("the server said {said:?} and ended with {status:?}");
            }
        }
    }

    /// What the kernel says of its memory, a line for each mapping.
    pub fn mappings(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap()
    }

    /// Without a chance to say goodbye.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("POST", path, &[], body.as_ref())
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!(
            "Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut bytes = request.into_bytes();
        bytes.extend(body);
        self.send(&bytes)
    }

    /// Sends these bytes and reads until the server closes the connection.
    pub fn send(&self, bytes: &[u8]) -> Response {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .unwrap();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    /// Asks the server to stop, and waits until it has.
    pub fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().success()
    }

    pub fn terminate_later(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Asserts the status and that the protocol's error says `expected`.
    pub fn check_error(&self, status: u16, expected: &str) {
        let said = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{said}");
        let error = self.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(expected), "`{expected}` is not in: {error}");
    }
}

fn parse(answer: &[u8]) -> Response {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response {
        status,
        head,
        body: answer[end + 4..].to_vec(),
    }
}
