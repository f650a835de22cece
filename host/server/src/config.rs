//! What a server allows.

use std::time::Duration;

use modelet_store::PublicKey;

/// Limits and intervals, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How often the repository is looked at.
    pub poll_interval: Duration,
    /// How often an object store is looked at.
    pub store_poll_interval: Duration,
    /// Where there are any, only what one of them has signed is served.
    pub trusted: Vec<PublicKey>,
    /// The largest request body after decompression, in bytes.
    pub body_bytes: usize,
    /// From a connection's beginning to the end of the request's headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the answer.
    pub request_timeout: Duration,
    /// Inferences at one time, over all models.
    pub concurrency: usize,
    /// Requests that may wait for their turn, over all models.
    pub queue: usize,
    /// Linear memory of one instance of a model that sets no limit of its own, in bytes.
    pub memory_bytes: u64,
    /// The URL of the database that rollouts are kept in.
    pub state: String,
    /// Who may use the admin API. Empty: everybody who reaches it.
    pub tokens: Vec<Token>,
    /// How long requests in flight may go on after the server is told to stop.
    pub drain_timeout: Duration,
}

/// What somebody shows to the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Who it is, for the audit log.
    pub name: String,
    pub role: Role,
    /// Of the token's text.
    pub sha256: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    View,
    Operate,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            poll_interval: Duration::from_secs(1),
            store_poll_interval: Duration::from_secs(10),
            trusted: Vec::new(),
            body_bytes: 64 << 20,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            concurrency: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 256,
            memory_bytes: 1 << 30,
            state: modelet_store::State::memory(),
            tokens: Vec::new(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
