//! The command `wasmtime serve`, by the library of wasmtime's own command line.

use clap::Parser;
use wasmtime_cli::commands::ServeCommand;

#[derive(Parser)]
enum Wasmtime {
    Serve(ServeCommand),
}

fn main() -> wasmtime::Result<()> {
    let Wasmtime::Serve(serve) = Wasmtime::parse();
    serve.execute()
}
