//! `modelet-device`: serves modelets that were compiled elsewhere, on machines too small to compile.
//!
//! Absences: no compiler, no database, no gRPC, no rollouts, and no other server is asked.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod arguments;
mod failure;
mod infer;
mod log;
mod models;
mod repository;
mod rest;
mod serve;
mod stdio;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;
use models::Models;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let models = Models::load(&arguments.paths, arguments.memory)?;
    if arguments.stdio {
        return Ok(stdio::serve(&models, arguments)?);
    }
    Ok(serve::serve(models, arguments)?)
}
