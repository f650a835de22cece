//! From a listener to served connections, and to the end of the last one.

mod beginning;
mod log;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;
use crate::route::Peer;
use crate::{admin, grpc, rest, rollouts};
use beginning::Beginning;

pub use log::{REQUEST_ID, TARGET as REQUEST_LOG};

/// Serves REST and gRPC, which share the port, and the admin API where it has a listener, until
/// `shutdown` completes; then answers what is in flight, for as long as the configuration allows.
pub async fn run(
    listener: TcpListener,
    admin: Option<TcpListener>,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) {
    let (grpc, health) = grpc::router(app.clone());
    let health = Arc::new(health);
    health.report(false).await;
    let keeping_up = tokio::spawn(keep_up(app.clone(), health.clone()));
    let graceful = GracefulShutdown::new();
    let router = rest::router(app.clone()).merge(grpc);
    let serving = accept(listener, router, &app, &graceful);
    let steering = async {
        match admin {
            Some(listener) => accept(listener, admin::router(app.clone()), &app, &graceful).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = serving => {}
        () = steering => {}
        () = shutdown => {}
    }
    app.drain();
    keeping_up.abort();
    health.close().await;
    if tokio::time::timeout(app.config.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were cut off that did not end in time");
    }
}

/// Takes connections for ever.
async fn accept(listener: TcpListener, router: Router, app: &App, graceful: &GracefulShutdown) {
    let builder = builder(app);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let stream = begin(stream, app.config.header_timeout);
                let (router, peer) = (router.clone(), Peer(address.ip()));
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let mut request = request.map(Body::new);
                    request.extensions_mut().insert(peer);
                    log::answer(router.clone(), request)
                });
                serve(stream, &builder, service, graceful);
            }
            Err(error) => {
                // Out of file descriptors, most likely: those in use come back.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn builder(app: &App) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

fn begin(stream: TcpStream, limit: Duration) -> Beginning {
    // An answer is one small write; waiting to fill a packet would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps delaying small packets");
    }
    Beginning::new(stream, limit)
}

fn serve<S>(
    stream: Beginning,
    builder: &auto::Builder<TokioExecutor>,
    service: S,
    graceful: &GracefulShutdown,
) where
    S: hyper::service::Service<
            http::Request<Incoming>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
            Future: Send,
        > + Send
        + 'static,
{
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection ended early");
        }
    });
}

/// The repository and the rollouts, for ever.
async fn keep_up(app: Arc<App>, health: Arc<grpc::Health>) {
    rollouts::look_first(&app).await;
    tokio::join!(refresh(app.clone(), health), rollouts::keep_up(app));
}

/// Looks at the repository at once and then ever again.
async fn refresh(app: Arc<App>, health: Arc<grpc::Health>) {
    loop {
        let refreshed = app.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || refreshed.refresh()).await {
            tracing::error!(%error, "a look at the repository was lost");
        }
        health.report(app.is_ready()).await;
        tokio::time::sleep(app.config.poll_interval).await;
    }
}
