//! A server over a repository or over single files.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use modelet_runtime::{Config, Engine};
use modelet_server::App;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cache::Cache;
use crate::settings::{LogFormat, Settings};

/// Serve modelets over the Open Inference Protocol, REST and gRPC on one port
#[derive(clap::Args)]
pub struct Arguments {
    /// Repositories (<model>/<version>/model.wasm, watched for changes) and modelet files
    #[arg(required = true, value_name = "DIR|MODELET")]
    paths: Vec<PathBuf>,
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Read settings from this file, modelet.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

pub fn serve(arguments: &Arguments) -> Result<()> {
    let settings = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    start_log(settings.log)?;
    let app = app(arguments, &settings)?;
    let address = arguments.listen.unwrap_or(settings.listen);
    let runtime = tokio::runtime::Runtime::new().context("the server's threads do not start")?;
    let result = runtime.block_on(listen_and_serve(address, app, &arguments.paths));
    // A model that outlasted the drain has nobody left to answer to.
    runtime.shutdown_background();
    result
}

fn app(arguments: &Arguments, settings: &Settings) -> Result<Arc<App>> {
    let default = Config::default();
    let concurrency = u32::try_from(settings.server.concurrency).unwrap_or(u32::MAX);
    let engine = Engine::new(&Config {
        cache: arguments.cache.directory_or(settings.cache.as_deref()),
        max_instances: default.max_instances.max(concurrency),
        ..default
    })?;
    Ok(App::new(engine, settings.server.clone(), &arguments.paths)?)
}

/// Lines on standard error; `RUST_LOG` chooses their level.
fn start_log(format: LogFormat) -> Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .context("RUST_LOG cannot be understood")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Until a signal; a second one does not wait for requests in flight.
async fn listen_and_serve(address: SocketAddr, app: Arc<App>, paths: &[PathBuf]) -> Result<()> {
    let mut first = Signals::listen()?;
    let mut second = Signals::listen()?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose with --listen"))?;
    let address = listener.local_addr().context("the address is not known")?;
    let mut started = Ok(());
    let until = async {
        let mut stop = pin!(first.next());
        tokio::select! {
            announced = announce(&app, paths, address) => match announced {
                Ok(()) => stop.await,
                Err(error) => started = Err(error),
            },
            () = &mut stop => {}
        }
    };
    tokio::select! {
        () = modelet_server::run(listener, app.clone(), until) => {}
        () = async { second.next().await; second.next().await } => {}
    }
    started
}

/// Says where the server is, once every model had its chance to load. Standard output carries
/// nothing else.
async fn announce(app: &App, paths: &[PathBuf], address: SocketAddr) -> Result<()> {
    app.ready().await;
    let ready = app.ready_count();
    // A repository may hold what cannot be served; a file that was named is meant to be.
    if ready < paths.len() && paths.iter().all(|path| path.is_file()) {
        bail!(
            "{ready} of {} files are served: two have the same name, or one does not load; the \
             log says more",
            paths.len()
        );
    }
    tracing::info!(versions = ready, %address, "ready");
    // Nobody has to read it.
    let _ = writeln!(io::stdout(), "serving on http://{address}");
    Ok(())
}

/// Ctrl-C and the signal that service managers stop with.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let listen = |kind| signal(kind).context("signals cannot be listened for");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
