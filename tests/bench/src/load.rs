//! Many clients at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use tokio::task::JoinSet;

use crate::connection::{Connection, Response, SharedConnection};
use crate::table::quantile;

/// What a load brought.
pub struct Load {
    /// Sorted.
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Load {
    fn new(mut times: Vec<Duration>, start: Instant) -> Load {
        let elapsed = start.elapsed();
        times.sort_unstable();
        Load { times, elapsed }
    }

    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub fn quantile(&self, share: f64) -> Duration {
        quantile(&self.times, share)
    }
}

/// Sends `request` over this many connections for this long: each asks again as soon as it is answered.
/// Any answer but 200 is a failure.
pub fn closed_loop(
    address: &str,
    request: &[u8],
    connections: usize,
    duration: Duration,
) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let start = Instant::now();
    let times = runtime.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let (address, request) = (address.to_owned(), request.to_owned());
            clients.spawn(async move {
                let mut connection = SharedConnection::open(&address).await?;
                let mut times = Vec::new();
                while times.is_empty() || start.elapsed() < duration {
                    let sent = Instant::now();
                    check(connection.exchange(&request).await?)?;
                    times.push(sent.elapsed());
                }
                anyhow::Ok(times)
            });
        }
        let clients: Result<Vec<_>> = clients.join_all().await.into_iter().collect();
        clients
    })?;
    Ok(Load::new(times.concat(), start))
}

/// Sends `request` at times that are set beforehand, evenly, by whichever connection is free. A time counts
/// from when the request was due: one that has to wait for a connection has waited.
pub fn open_loop(
    address: &str,
    request: &[u8],
    connections: usize,
    duration: Duration,
    per_second: f64,
) -> Result<Load> {
    let count = (per_second * duration.as_secs_f64()) as u32;
    ensure!(
        count > 0,
        "{per_second} requests/s are none in {duration:?}"
    );
    let next = AtomicU32::new(0);
    let start = Instant::now();
    clients(connections, || {
        let mut connection = Connection::open(address)?;
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(times);
            }
            let due = start + Duration::from_secs_f64(f64::from(number) / per_second);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            check(connection.exchange(request)?)?;
            times.push(due.elapsed());
        }
    })
}

fn clients(count: usize, client: impl Fn() -> Result<Vec<Duration>> + Sync) -> Result<Load> {
    let start = Instant::now();
    let clients: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..count).map(|_| scope.spawn(&client)).collect();
        running
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.map_err(|_| anyhow!("a client panicked"))??);
    }
    Ok(Load::new(times, start))
}

fn check(response: Response) -> Result<()> {
    ensure!(
        response.status == 200,
        "{}: {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    );
    Ok(())
}
