//! The demo's own `modelet serve`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use crate::process::{command, shown};

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Returns when the server is ready, which it says in one line with its address.
    pub fn start(modelet: &Path, artifact: &Path) -> Result<Server> {
        let mut serve = command(modelet);
        serve
            .arg("serve")
            .arg(artifact)
            .args(["--listen", "127.0.0.1:0"])
            // The demo's own table says what was asked; a log line each would bury it.
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped());
        eprintln!("$ {}", shown(&serve));
        let mut child = serve.spawn().context("`modelet serve` does not start")?;
        let stdout = child.stdout.take().expect("it was asked for a line above");
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

    /// Such as `127.0.0.1:8080`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns when the server has ended by itself.
    pub fn wait(mut self) -> Result<()> {
        self.child.wait().context("`modelet serve` is lost")?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
