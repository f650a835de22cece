//! The key-value store. Without it requests are answered all the same; only what an instance learns of
//! its models ends with it.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use modelet_policy::names::ModelName;
use spin_sdk::key_value::{Error, Store};
use spin_sdk::time::sleep;
use spin_sdk::wasip3::random::random::get_random_u64;

use super::{log, now, with};
use crate::memory::{SHARDS, key};

/// A request waits no longer than this for the store.
const PATIENCE: Duration = Duration::from_millis(250);

thread_local! {
    /// The key of each model that this instance writes.
    static SHARD: u32 = (get_random_u64() % u64::from(SHARDS)) as u32;
    static IS_DOWN: Cell<bool> = const { Cell::new(false) };
}

/// Takes in what others know of this model.
pub async fn read(model: &ModelName) {
    let values = within(async {
        let store = Store::open_default().await?;
        let keys: Vec<String> = (0..SHARDS).map(|shard| key(model, shard)).collect();
        let values = join_all(keys.iter().map(|key| store.get(key))).await;
        values.into_iter().collect::<Result<Vec<_>, Error>>()
    });
    let values: Vec<Vec<u8>> = match values.await {
        Some(values) => values.into_iter().flatten().collect(),
        None => Vec::new(),
    };
    let read = with(|instance| Ok(instance.memory.read(model, &values, now())));
    if let Ok(Err(damaged)) = read {
        log(format!("model {model}: {damaged}")).await;
    }
}

/// Lets others know what this instance knows of this model.
pub async fn write(model: &ModelName) {
    let key = key(model, SHARD.with(|shard| *shard));
    let written = within(async {
        let store = Store::open_default().await?;
        let stored = store.get(&key).await?;
        let value = with(|instance| {
            let stored = stored.as_deref();
            Ok(instance.memory.write(&instance.served, model, stored))
        });
        match value {
            Ok(value) => store.set(&key, value).await,
            Err(failure) => Err(Error::Other(failure.to_string())),
        }
    });
    written.await;
}

/// What the store answers; `None`, and a line in the log when that begins, if it does not.
async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Option<T> {
    let reason = match select(pin!(work), pin!(sleep(PATIENCE))).await {
        Either::Left((Ok(answer), _)) => {
            if IS_DOWN.replace(false) {
                log("the key-value store can be used again".to_owned()).await;
            }
            return Some(answer);
        }
        Either::Left((Err(error), _)) => error.to_string(),
        Either::Right(_) => format!("it did not answer within {PATIENCE:?}"),
    };
    if !IS_DOWN.replace(true) {
        log(format!(
            "the key-value store cannot be used, so that breakers last as long as this instance: {reason}"
        ))
        .await;
    }
    None
}
