//! `[batching]`, in Triton's words.

use std::time::Duration;

use serde::Deserialize;

use crate::batching::Batching;
use crate::units;

/// Statistics are kept for each size.
const BATCH_SIZE_LIMIT: u64 = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    max_batch_size: u64,
    max_queue_delay: Option<String>,
}

pub fn read(typed: Typed, errors: &mut Vec<String>) -> Batching {
    let max_batch_size = typed.max_batch_size;
    if !(2..=BATCH_SIZE_LIMIT).contains(&max_batch_size) {
        errors.push(format!(
            "batching.max_batch_size is between 2 and {BATCH_SIZE_LIMIT}, not {max_batch_size}"
        ));
    }
    let delay = typed.max_queue_delay.map(|text| {
        units::duration(&text).unwrap_or_else(|| {
            errors.push(format!(
                "batching.max_queue_delay is a time such as \"2ms\", not {text:?}"
            ));
            Duration::ZERO
        })
    });
    Batching {
        max_batch_size,
        max_queue_delay: delay.unwrap_or_default(),
    }
}
