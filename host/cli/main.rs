//! The `modelet` command. Each subcommand is a file here and a thin layer over a crate.

mod bench;
mod build;
mod bundle;
mod cache;
mod compile;
mod input;
mod inspect;
mod npy;
mod output;
mod pull;
mod push;
mod rollout;
mod run;
mod serve;
mod settings;
mod sign;
mod transfer;
mod verify;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compiles machine-learning models into WebAssembly components that import nothing, and serves
/// them.
#[derive(Parser)]
#[command(name = "modelet", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(build::Arguments),
    Bundle(bundle::Arguments),
    Compile(compile::Arguments),
    Inspect(inspect::Arguments),
    Run(run::Arguments),
    Bench(bench::Arguments),
    Serve(serve::Arguments),
    Rollout(rollout::Arguments),
    Push(push::Arguments),
    Pull(pull::Arguments),
    Sign(sign::Arguments),
    Verify(verify::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Build(arguments) => build::build(&arguments),
        Command::Bundle(arguments) => bundle::bundle(&arguments),
        Command::Compile(arguments) => compile::compile(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Rollout(arguments) => rollout::rollout(&arguments),
        Command::Push(arguments) => push::push(&arguments),
        Command::Pull(arguments) => pull::pull(&arguments),
        Command::Sign(arguments) => sign::sign(&arguments),
        Command::Verify(arguments) => verify::verify(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes, a line each. A closed standard error is nobody to tell.
fn report(error: &anyhow::Error) {
    let mut stderr = io::stderr().lock();
    let mut said = error.to_string();
    let _ = writeln!(stderr, "error: {said}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors end with their own cause.
        if !said.ends_with(&cause) {
            let _ = writeln!(stderr, "  because: {cause}");
        }
        said = cause;
    }
}
