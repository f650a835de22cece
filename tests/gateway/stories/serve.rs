//! `wasmtime serve`, as the README calls it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::golden::{ALL, answers_all};

/// The command that serves the composed component. It ends when this is dropped.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// The README's one line that calls `wasmtime`, without the program's name.
fn arguments() -> Vec<&'static str> {
    let readme = include_str!("../../../README.md").lines();
    let mut lines = readme.filter_map(|line| line.strip_prefix("wasmtime "));
    let line = lines.next().expect("the README says how to serve it");
    assert_eq!(lines.next(), None);
    line.split(' ').collect()
}

#[test]
fn the_command_of_the_readme_answers_all_golden_cases() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasmtime"))
        .args(arguments())
        .args(["--addr", "127.0.0.1:0"])
        .current_dir(&ALL.folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let _serving = Serving(child);
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    let address = said.trim().strip_prefix("Serving HTTP on http://");
    let Some(address) = address.and_then(|it| it.strip_suffix('/')) else {
        stderr.read_to_string(&mut said).unwrap();
        panic!("{said}");
    };
    answers_all(address.parse::<SocketAddr>().unwrap());
}
