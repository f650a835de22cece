//! Programs that are measured.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::connection::Connection;

/// The `modelet` that was built with this program.
pub fn modelet() -> Result<Command> {
    let program = std::env::current_exe().context("where this program is cannot be told")?;
    Ok(Command::new(program.with_file_name("modelet")))
}

/// Runs to the end, and shows what it said only if it failed.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} does not start"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

/// A server of this run. Dropping it ends it.
pub struct Server {
    child: Child,
    /// Such as `127.0.0.1:8080`.
    pub address: String,
}

impl Server {
    /// Returns when `modelet serve` says that it is ready.
    pub fn start(serve: &mut Command) -> Result<Server> {
        let mut child = serve
            .args(["--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .context("`modelet serve` does not start")?;
        let stdout = child.stdout.take().context("its output was asked for")?;
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let mut server = Server {
            child,
            address: String::new(),
        };
        read.context("`modelet serve` says nothing")?;
        let (_, address) = line
            .trim_end()
            .split_once("http://")
            .context("`modelet serve` ended before it was ready")?;
        server.address = address.to_owned();
        Ok(server)
    }

    /// Starts a server that takes its port as the last argument, and waits until it answers 200 to a GET of
    /// `ready`.
    pub fn start_on_port(command: &mut Command, ready: &str) -> Result<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let (_, port) = address.rsplit_once(':').context("no port")?;
        let child = command
            .arg(port)
            .spawn()
            .with_context(|| format!("{command:?} does not start"))?;
        let mut server = Server { child, address };
        let request = format!("GET {ready} HTTP/1.1\r\nHost: bench\r\n\r\n");
        let ask = |address: &str| Connection::open(address)?.exchange(request.as_bytes());
        let start = Instant::now();
        while !ask(&server.address).is_ok_and(|response| response.status == 200) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended: {status}");
            }
            ensure!(
                start.elapsed() < Duration::from_secs(60),
                "{command:?} is not ready"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The memory that is its own and in use, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("the process has no memory")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
