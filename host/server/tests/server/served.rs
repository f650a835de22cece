//! A server in this process, and a client that controls every byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use modelet_compiler::Compiler;
use modelet_server::{App, Config};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The repository is only looked at when a test says so.
pub fn config() -> Config {
    Config {
        poll_interval: Duration::from_secs(3600),
        memory_bytes: 64 << 20,
        ..Config::default()
    }
}

/// A running server over a repository of its own.
pub struct Served {
    pub app: Arc<App>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub repository: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Served {
    /// Serves these artifacts, each as version 1 of a model.
    pub fn start(config: Config, models: &[(&str, Vec<u8>)]) -> Served {
        let served = Served::unloaded(config, models);
        wait_for("a ready server", || served.app.is_ready());
        served
    }

    /// As [`Served::start`], without waiting for the models.
    pub fn unloaded(config: Config, models: &[(&str, Vec<u8>)]) -> Served {
        let repository = tempfile::tempdir().unwrap();
        for (name, artifact) in models {
            put(repository.path(), &format!("{name}/1/model.wasm"), artifact);
        }
        let app = App::new(compiler(), config, &[repository.path().to_owned()]).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let running = app.clone();
        let thread = thread::spawn(move || serve(&tell, running, stopped));
        let (address, admin) = told.recv().unwrap();
        Served {
            app,
            address,
            admin,
            repository,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Writes a file of the repository. The server does not know before `app.refresh()`.
    pub fn put(&self, path: &str, contents: &[u8]) {
        put(self.repository.path(), path, contents);
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.repository.path().join(path)
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
        self.request_to(self.address, method, path, headers, body)
    }

    /// Of the admin API.
    pub fn admin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.request_to(self.admin, method, path, headers, body)
    }

    fn request_to(
        &self,
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(body);
        answer(stream)
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// The index entry of a version.
    pub fn entry(&self, name: &str, version: &str) -> Value {
        let index = self.post("/v2/repository/index", "").json();
        let mut entries = index.as_array().unwrap().iter();
        let found = entries.find(|entry| entry["name"] == name && entry["version"] == version);
        found.cloned().unwrap_or(Value::Null)
    }

    /// Asks the server to stop.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until `run` has returned, and says how long that took.
    pub fn stopped(mut self) -> Duration {
        let start = Instant::now();
        self.thread.take().unwrap().join().unwrap();
        start.elapsed()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn compiler() -> Compiler {
    Compiler::new(&modelet_compiler::Config {
        cache: None,
        max_instances: 16,
        max_memory_bytes: 64 << 20,
    })
    .unwrap()
}

fn serve(
    tell: &mpsc::Sender<(SocketAddr, SocketAddr)>,
    app: Arc<App>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listen = || async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.unwrap();
            let address = listener.local_addr().unwrap();
            (listener, address)
        };
        let ((listener, address), (admin, admin_address)) = (listen().await, listen().await);
        tell.send((address, admin_address)).unwrap();
        modelet_server::run(listener, Some(admin), app, async {
            let _ = stopped.await;
        })
        .await;
    });
    runtime.shutdown_background();
}

/// In one step, as a deployment should.
fn put(repository: &Path, path: &str, contents: &[u8]) {
    let path = repository.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, contents).unwrap();
    std::fs::rename(unfinished, path).unwrap();
}

pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come");
        thread::yield_now();
    }
}

/// Reads until the server closes the connection.
pub fn answer(mut stream: TcpStream) -> Response {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else {
        panic!(
            "no response but {:?} ({read:?})",
            String::from_utf8_lossy(&answer)
        );
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer[end + 4..].to_vec(),
    }
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.head, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Asserts the status and that the protocol's error says `expected`.
    #[track_caller]
    pub fn check_error(&self, status: u16, expected: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let error = self.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(expected), "`{expected}` is not in: {error}");
    }
}
