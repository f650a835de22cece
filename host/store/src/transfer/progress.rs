//! How far a transfer is.

use std::sync::Arc;

/// Is told the bytes that are done, and those that there are.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// For where nobody looks.
pub fn nobody() -> Progress {
    Arc::new(|_, _| {})
}
