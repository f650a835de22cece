//! A Postgres server that lives as long as a test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `nobody`: Postgres refuses to be run by root.
const NOBODY: u32 = 65_534;

pub struct Server {
    process: Child,
    directory: TempDir,
    port: u16,
}

impl Server {
    pub fn start() -> Server {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let created = command("initdb", &data)
            .args(["--username=modelet", "--auth=trust", "--no-sync"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&created.stderr);
        assert!(created.status.success(), "{said}");
        let port = free_port();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = command("postgres", &data)
            .args(["-h", "127.0.0.1", "-F", "-p", &port.to_string(), "-k"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server {
            process,
            directory,
            port,
        };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("postgres://modelet@127.0.0.1:{}/postgres", self.port)
    }

    /// Until it says that it takes connections.
    fn wait(&self) {
        let status = self.directory.path().join("data/postmaster.pid");
        let begun = Instant::now();
        let is_ready = || fs::read_to_string(&status).is_ok_and(|text| text.contains("ready"));
        while !is_ready() {
            let log = || fs::read_to_string(self.directory.path().join("log"));
            assert!(begun.elapsed().as_secs() < 60, "{:?}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Nobody listens there at this moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn command(program: &str, data: &Path) -> Command {
    let mut command = Command::new(programs().join(program));
    command.arg("-D").arg(data);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Where Debian keeps the programs of the newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
    let newest = versions.map(|version| version.unwrap().path()).max();
    newest.unwrap().join("bin")
}
