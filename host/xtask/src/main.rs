//! Set-up, demo and tests: what the README's commands call.
//!
//! Absences: no crate of this workspace is a dependency, so that this compiles in seconds and can
//! build the guest before anything else exists.

mod bench;
mod browser;
mod demo;
mod device;
mod fuzz;
mod gateway;
mod guest;
mod lint;
mod models;
mod operators;
mod process;
mod python;
mod test;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  guest          compile to WebAssembly what is inside `modelet`: the engine, and the browser's and Spin's hosts
  device         compile `modelet-device` for small machines, into target/device
  demo [--stay]  build everything, serve a real model and send it real inputs
  test           everything that `.ci/run` checks
  browser        only the stories in a real browser
  gateway        only the stories of the gateway, in a host of WASI HTTP
  spin           make the application that `spin.toml` is about
  bench          measure what the project promises; on an otherwise idle machine
  fuzz [SECONDS] give every reader of foreign bytes made-up ones; 60 seconds each
  lint           formatting, clippy, and the layering of the crates
  operators      regenerate docs/operators.md from ONNX's own node tests
  zoo            make every model of models/zoo and regenerate docs/sklearn.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["guest"] => guest::guest().map(|_| ()),
        ["device"] => device::device(),
        ["demo"] => demo::demo(false),
        ["demo", "--stay"] => demo::demo(true),
        ["bench"] => bench::bench(),
        ["fuzz"] => fuzz::fuzz(60),
        ["fuzz", seconds] => fuzz::fuzz(seconds.parse().context("SECONDS is a whole number")?),
        ["test"] => test::test(),
        ["browser"] => test::browser(),
        ["gateway"] => test::gateway(),
        ["spin"] => gateway::spin(),
        ["lint"] => lint::lint(),
        ["operators"] => operators::operators(),
        ["zoo"] => models::zoo(),
        [] | ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            Ok(())
        }
        [first, ..] => bail!("`{first}` is no command, or its arguments are wrong\n\n{USAGE}"),
    }
}
