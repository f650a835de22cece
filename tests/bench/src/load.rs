//! Many clients, each of which asks again as soon as it is answered.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::connection::Connection;
use crate::table::quantile;

/// What a load brought.
pub struct Load {
    /// Sorted.
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub fn quantile(&self, share: f64) -> Duration {
        quantile(&self.times, share)
    }
}

/// Sends `request` over this many connections for this long. Any answer but 200 is a failure.
pub fn closed_loop(
    address: &str,
    request: &[u8],
    connections: usize,
    duration: Duration,
) -> Result<Load> {
    let start = Instant::now();
    let client = || -> Result<Vec<Duration>> {
        let mut connection = Connection::open(address)?;
        let mut times = Vec::new();
        while times.is_empty() || start.elapsed() < duration {
            let sent = Instant::now();
            let response = connection.exchange(request)?;
            times.push(sent.elapsed());
            ensure!(
                response.status == 200,
                "{}: {}",
                response.status,
                String::from_utf8_lossy(&response.body)
            );
        }
        Ok(times)
    };
    let clients: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        running
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.map_err(|_| anyhow::anyhow!("a client panicked"))??);
    }
    let elapsed = start.elapsed();
    times.sort_unstable();
    Ok(Load { times, elapsed })
}
