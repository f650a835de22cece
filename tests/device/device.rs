//! A device of the test's own, and a client for it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use modelet_protocol::Datatype;
use modelet_protocol::rest::{HEADER_LENGTH, decode_response};
use serde_json::Value;
use tempfile::TempDir;

use crate::built;
use crate::modelet::{Behaviour, vector};

/// Where a device's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine's processor.
    Native,
    /// On an emulated aarch64.
    Emulated,
    /// On this machine, interpreted.
    Interpreted,
}

impl Place {
    pub const ALL: [Place; 3] = [Place::Native, Place::Emulated, Place::Interpreted];

    pub fn target(self) -> &'static str {
        match self {
            Place::Native => "x86_64-linux",
            Place::Emulated => "aarch64-linux",
            Place::Interpreted => "pulley64",
        }
    }

    pub fn binary(self) -> PathBuf {
        let machine = match self {
            Place::Native | Place::Interpreted => "x86_64",
            Place::Emulated => "aarch64",
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/device");
        folder.join(format!(
            "{machine}-unknown-linux-musl/device/modelet-device"
        ))
    }

    /// Whether there is such a device here; if not, says so.
    pub fn is_here(self) -> bool {
        let binary = self.binary();
        if !binary.exists() {
            let path = binary.display();
            built::skip(&format!("{path} is missing; `cargo xtask test` makes it"));
            return false;
        }
        let emulator = Command::new("qemu-aarch64").arg("--version").output();
        if self == Place::Emulated && emulator.is_err() {
            built::skip("there is no qemu-aarch64; install qemu-user");
            return false;
        }
        true
    }

    pub fn command(self) -> Command {
        match self {
            Place::Native | Place::Interpreted => Command::new(self.binary()),
            Place::Emulated => {
                let mut command = Command::new("qemu-aarch64");
                command.arg(self.binary());
                command
            }
        }
    }
}

/// A running `modelet-device`. It ends when this is dropped.
pub struct Device {
    child: Child,
    said: BufReader<ChildStderr>,
    /// What it said until it listened.
    pub beginning: String,
    address: String,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Device {
    /// Serves `path` on a port that was free.
    pub fn start(place: Place, path: &Path, arguments: &[&str]) -> Device {
        let mut child = place
            .command()
            .arg(path)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut device = Device {
            child,
            said,
            beginning: String::new(),
            address: String::new(),
        };
        device.address = device.listening();
        device
    }

    /// Where it says that it listens.
    fn listening(&mut self) -> String {
        loop {
            let before = self.beginning.len();
            let read = self.said.read_line(&mut self.beginning).unwrap();
            assert!(read > 0, "the device ended: {}", self.beginning);
            let line = &self.beginning[before..];
            if let Some((_, address)) = line.split_once("listening on http://") {
                return address.trim().to_owned();
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
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
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        // A device that refuses early may close before it has read everything.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        let limit = Some(Duration::from_secs(120));
        stream.set_read_timeout(limit).unwrap();
        stream
    }

    /// Asks the device to stop.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status();
        assert!(told.unwrap().success());
    }

    /// Waits until it has stopped, and tells whether well, and what it said at last.
    pub fn wait(mut self) -> (bool, String) {
        let mut end = String::new();
        self.said.read_to_string(&mut end).unwrap();
        (self.child.wait().unwrap().success(), end)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }

    pub fn outputs(&self) -> Vec<modelet_protocol::Tensor> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        let json_length = self.header(HEADER_LENGTH);
        let json_length = json_length.map(|length| length.parse().unwrap());
        decode_response(&self.body, json_length).unwrap().outputs
    }
}

fn parse(answer: &[u8]) -> Response {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response {
        status,
        head,
        body: answer[end + 4..].to_vec(),
    }
}

/// `modelet compile`.
pub fn compile(modelet: &Path, target: &str, output: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_modelet"))
        .arg("compile")
        .arg(modelet)
        .args(["--target", target, "--output"])
        .arg(output)
        .output()
        .unwrap()
}

/// The modelet of a model in `models/`, compiled, unless that was done with this tool already.
pub fn compiled(name: &str, place: Place) -> PathBuf {
    let modelet = built::modelet(name);
    let folder = built::folder().join(place.target()).join(name).join("1");
    fs::create_dir_all(&folder).unwrap();
    let output = folder.join("model.cwasm");
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let age = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    if !output.exists() || age(&output) < age(&modelet) {
        let compiled = compile(&modelet, place.target(), &output);
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
    }
    output
}

/// A repository of one model `m`, its versions written by hand, 1 the first of `behaviours`.
pub fn repository(place: Place, model_toml: &str, behaviours: &[Behaviour]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, place, "m", model_toml, behaviours);
    folder
}

/// Adds a model to a repository.
pub fn add(
    repository: &TempDir,
    place: Place,
    name: &str,
    model_toml: &str,
    behaviours: &[Behaviour],
) {
    let folder = repository.path().join(name);
    for (index, behaviour) in behaviours.iter().enumerate() {
        let version = folder.join((index + 1).to_string());
        fs::create_dir_all(&version).unwrap();
        let modelet = repository.path().join("model.wasm");
        fs::write(&modelet, vector(name, Datatype::Fp32, *behaviour)).unwrap();
        let compiled = compile(&modelet, place.target(), &version.join("model.cwasm"));
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
        fs::remove_file(&modelet).unwrap();
    }
    fs::write(folder.join("model.toml"), model_toml).unwrap();
}

/// A request of one number.
pub fn number(number: f32) -> String {
    format!(
        r#"{{"id": "7", "inputs": [{{"name": "x", "datatype": "FP32", "shape": [1], "data": [{number:?}]}}]}}"#
    )
}
