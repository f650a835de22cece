//! Keeps a replica up with the store it is of. What is in it is served as any repository is.

use std::time::Duration;

use modelet_store::transfer::TransferError;
use modelet_store::transfer::replica::{Replica, Synced};
use tokio::runtime::Handle;

/// Longest between two looks at a store that cannot be reached, unless it is looked at more seldom anyway.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Looks at the store again and again, for ever.
pub async fn follow(mut replica: Replica, every: Duration) {
    let mut failures = 0;
    loop {
        tokio::time::sleep(pause(every, failures)).await;
        let origin = replica.origin().to_string();
        // Files are written and hashed on the way.
        let synced = tokio::task::spawn_blocking(move || {
            let synced = Handle::current().block_on(replica.sync());
            (replica, synced)
        });
        let outcome;
        (replica, outcome) = match synced.await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(origin, %error, "the store is not followed any more");
                return;
            }
        };
        match outcome {
            Ok(synced) => {
                if failures > 0 {
                    tracing::info!(origin, "the store is reached again");
                }
                failures = 0;
                tell(&origin, &synced);
            }
            Err(error) => {
                failures += 1;
                let (reason, next) = (told(&error), pause(every, failures));
                tracing::warn!(origin, reason, ?next, "the store is not reached");
            }
        }
    }
}

/// Logs what a look at the store brought.
pub fn tell(origin: &str, synced: &Synced) {
    for change in &synced.changes {
        tracing::info!(origin, change, "from the store");
    }
    for problem in &synced.problems {
        tracing::error!(origin, reason = told(problem), "not taken from the store");
    }
}

/// An error with its causes, in one line.
fn told(error: &TransferError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Doubled with each failure, up to a minute.
fn pause(every: Duration, failures: u32) -> Duration {
    let doubled = every.saturating_mul(2u32.saturating_pow(failures));
    doubled.min(LONGEST_PAUSE.max(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_down_is_asked_ever_more_seldom_up_to_a_minute() {
        let seconds = |every, failures| pause(Duration::from_secs(every), failures).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 99].map(|n| seconds(10, n)),
            [10, 20, 40, 60, 60]
        );
        assert_eq!([0, 1].map(|n| seconds(300, n)), [300, 300]);
    }
}
