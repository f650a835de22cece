//! A server over a repository or over single files.

mod log;
mod replicas;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use modelet_compiler::{Compiler, Config};
use modelet_server::{App, follow};
use modelet_store::transfer::Root;
use modelet_store::{PublicKey, State};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cache::Cache;
use crate::settings::Settings;
use crate::sign;

const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);

/// Serve modelets over the Open Inference Protocol, REST and gRPC on one port
#[derive(clap::Args)]
pub struct Arguments {
    /// Repositories (<model>/<version>/model.wasm, watched for changes), in a directory or, as
    /// s3://BUCKET/PREFIX, in an object store, and modelet files
    #[arg(required = true, value_name = "DIR|s3://…|MODELET")]
    sources: Vec<Root>,
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address and port of the admin API [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Keep rollouts in this database, sqlite:FILE or postgres://… [default:
    /// .modelet/state.sqlite in the first repository]
    #[arg(long, value_name = "URL")]
    state: Option<String>,
    /// Read settings from this file, modelet.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve only what this public ed25519 key in PEM has signed; may be given more than once
    #[arg(long, value_name = "FILE")]
    require_signature: Vec<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

pub fn serve(arguments: &Arguments) -> Result<()> {
    let settings = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    let _log = log::start(settings.log)?;
    let runtime = tokio::runtime::Runtime::new().context("the server's threads do not start")?;
    let cache = arguments.cache.directory_or(settings.cache.as_deref());
    let (paths, replicas) = runtime.block_on(replicas::bring_up(&arguments.sources, cache))?;
    let app = app(arguments, &settings, &paths)?;
    let address = arguments.listen.unwrap_or(settings.listen);
    let admin = arguments.admin.or(settings.admin);
    if let Some(admin) = admin.filter(|admin| !admin.ip().is_loopback())
        && settings.server.tokens.is_empty()
    {
        bail!(
            "the admin API listens on {admin} only if there are [[admin.tokens]] in modelet.toml"
        );
    }
    for replica in replicas {
        runtime.spawn(follow(replica, settings.server.store_poll_interval));
    }
    let serving = listen_and_serve(address, admin, app, &paths);
    let result = runtime.block_on(serving);
    // A model that outlasted the drain has nobody left to answer to.
    runtime.shutdown_background();
    result
}

fn app(arguments: &Arguments, settings: &Settings, paths: &[PathBuf]) -> Result<Arc<App>> {
    let default = Config::default();
    let concurrency = u32::try_from(settings.server.concurrency).unwrap_or(u32::MAX);
    let compiler = Compiler::new(&Config {
        cache: arguments.cache.directory_or(settings.cache.as_deref()),
        max_instances: default.max_instances.max(concurrency),
        ..default
    })?;
    let state = arguments.state.clone().or_else(|| settings.state.clone());
    let config = modelet_server::Config {
        state: match state {
            Some(url) => checked(url)?,
            None => in_repository(paths),
        },
        trusted: trusted(arguments, settings)?,
        ..settings.server.clone()
    };
    Ok(App::new(compiler, config, paths)?)
}

/// As for every setting, the command line wins.
fn trusted(arguments: &Arguments, settings: &Settings) -> Result<Vec<PublicKey>> {
    match &arguments.require_signature[..] {
        [] => sign::public_keys(&settings.require_signature),
        keys => sign::public_keys(keys),
    }
}

/// Refuses at once what can never be a database.
fn checked(url: String) -> Result<String> {
    let known = ["sqlite:", "postgres://", "postgresql://"];
    if known.iter().any(|kind| url.starts_with(kind)) {
        return Ok(url);
    }
    bail!("--state is sqlite:FILE or postgres://…, and neither begins {url:?}")
}

/// A database beside the models, or in memory where there is no place for it.
fn in_repository(paths: &[PathBuf]) -> String {
    let Some(repository) = paths.iter().find(|path| path.is_dir()) else {
        return State::memory();
    };
    let folder = repository.join(".modelet");
    match std::fs::create_dir_all(&folder) {
        Ok(()) => State::sqlite(&folder.join("state.sqlite")),
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "rollouts are forgotten on exit; keep them with --state");
            State::memory()
        }
    }
}

/// Until a signal; a second one does not wait for requests in flight.
async fn listen_and_serve(
    address: SocketAddr,
    admin: Option<SocketAddr>,
    app: Arc<App>,
    paths: &[PathBuf],
) -> Result<()> {
    let mut first = Signals::listen()?;
    let mut second = Signals::listen()?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose with --listen"))?;
    let address = listener.local_addr().context("the address is not known")?;
    let admin = listen_for_admin(admin).await?;
    let admin_address = admin.as_ref().and_then(|admin| admin.local_addr().ok());
    let mut started = Ok(());
    let until = async {
        let mut stop = pin!(first.next());
        tokio::select! {
            announced = announce(&app, paths, address, admin_address) => match announced {
                Ok(()) => stop.await,
                Err(error) => started = Err(error),
            },
            () = &mut stop => {}
        }
    };
    tokio::select! {
        () = modelet_server::run(listener, admin, app.clone(), until) => {}
        () = async { second.next().await; second.next().await } => {}
    }
    started
}

/// `None` where nobody chose an address and another server has the default one.
async fn listen_for_admin(admin: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    match TcpListener::bind(admin.unwrap_or(ADMIN)).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if admin.is_none() => {
            tracing::warn!(%error, "no admin API on {ADMIN}; choose another address with --admin");
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| {
            let address = admin.unwrap_or(ADMIN);
            format!("{address} cannot be listened on; choose with --admin")
        }),
    }
}

/// Says where the server is, once every model had its chance to load. Standard output carries
/// nothing else.
async fn announce(
    app: &App,
    paths: &[PathBuf],
    address: SocketAddr,
    admin: Option<SocketAddr>,
) -> Result<()> {
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
    if let Some(admin) = admin {
        let _ = writeln!(io::stdout(), "admin API on http://{admin}");
    }
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
