//! From a listener to served connections, and to the end of the last one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::arguments::Arguments;
use crate::log::say;
use crate::models::Models;
use crate::rest::Rest;

/// For a request's headers to come, and between two requests of a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most that is buffered of a connection; headers larger than that are refused.
const BUFFER_BYTES: usize = 64 << 10;

/// For requests in flight, once told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers HTTP until it is told to stop.
pub fn serve(models: Models, arguments: &Arguments) -> Result<(), String> {
    // Connections wait on one thread; models run on as many others as may run at one time.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(arguments.concurrency())
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("no thread can be started: {error}"))?;
    let rest = Arc::new(Rest::new(models, arguments));
    let listen = arguments.listen;
    runtime
        .block_on(run(rest, listen, arguments.connections))
        .map_err(|error| format!("{listen} cannot be listened at: {error}"))
}

async fn run(rest: Arc<Rest>, listen: SocketAddr, connections: usize) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(listen).await?;
    say(format_args!(
        "listening on http://{}",
        listener.local_addr()?
    ));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(connections));
    loop {
        tokio::select! {
            (stream, peer, place) = accept(&listener, &places) => {
                connect(&rest, stream, peer, place, &graceful);
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown())
        .await
        .is_err()
    {
        say(format_args!(
            "connections were cut off that did not end in time"
        ));
    }
    Ok(())
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await;
    let place = place.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                // Out of file descriptors, most likely: those in use come back.
                say(format_args!("a connection was not accepted: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn connect(
    rest: &Arc<Rest>,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) {
    // An answer is one small write; waiting to fill a packet would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        say(format_args!("a connection is gone already: {error}"));
    }
    let rest = rest.clone();
    let service = service_fn(move |request| {
        let rest = rest.clone();
        async move { Ok::<_, std::convert::Infallible>(rest.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _place = place;
        // A peer that hangs up or speaks no HTTP is nothing to be told about.
        let _ = connection.await;
    });
}
