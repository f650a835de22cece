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
use crate::memory::{NOTES, Part, SHARDS, key, note_key};
use crate::rollouts::follow;

/// A request waits no longer than this for the store.
const PATIENCE: Duration = Duration::from_millis(250);

thread_local! {
    /// The key of each model that this instance writes.
    static SHARD: u32 = (get_random_u64() % u64::from(SHARDS)) as u32;
    static IS_DOWN: Cell<bool> = const { Cell::new(false) };
}

/// Takes in what others know of this model. Whether that could be read.
pub async fn read(model: &ModelName) -> bool {
    let keys = (0..SHARDS).map(|shard| key(model, shard)).collect();
    let values = within(get(keys)).await;
    let values = values.as_deref();
    let read = with(|instance| Ok(instance.memory.read(model, values, now())));
    if let Ok(Err(damaged)) = read {
        log(format!("model {model}: {damaged}")).await;
    }
    // Nobody may think that nothing is kept who only could not read it.
    if values.is_none() {
        return false;
    }
    find_lost(model).await;
    let happened = with(|instance| Ok(follow(instance, model, now())));
    let happened = happened.unwrap_or_default();
    if !happened.is_empty() {
        write(model).await;
    }
    for what in happened {
        log(format!("model {model}: {what}")).await;
    }
    true
}

/// Calls of a canary that took their instances with them.
async fn find_lost(model: &ModelName) {
    let is_active = with(|instance| {
        let kept = instance.memory.rollout(model);
        Ok(kept.is_some_and(|kept| kept.rollout().is_active()))
    });
    if !is_active.unwrap_or_default() {
        return;
    }
    let keys = (0..NOTES).map(|number| note_key(model, number)).collect();
    let notes = within(get(keys)).await.unwrap_or_default();
    let lost = with(|instance| {
        let timeout = instance.served.timeout(model);
        let memory = &mut instance.memory;
        Ok(memory.find_lost(model, &notes, timeout, now()))
    });
    for number in lost.unwrap_or_default() {
        set(&note_key(model, number), &[]).await;
    }
}

async fn get(keys: Vec<String>) -> Result<Vec<Vec<u8>>, Error> {
    let store = Store::open_default().await?;
    let values = join_all(keys.iter().map(|key| store.get(key))).await;
    let values: Vec<Option<Vec<u8>>> = values.into_iter().collect::<Result<_, Error>>()?;
    Ok(values.into_iter().flatten().collect())
}

pub async fn set(key: &str, value: &[u8]) {
    let set = within(async { Store::open_default().await?.set(key, value).await });
    set.await;
}

/// Lets others know what this instance knows of this model.
pub async fn write(model: &ModelName) {
    write_to(model, SHARD.with(|shard| *shard)).await;
}

/// As [`write`], into every key, so that no other write can undo it. Whether it was written.
pub async fn write_all(model: &ModelName) -> bool {
    let written = (0..SHARDS).map(|shard| write_to(model, shard));
    join_all(written).await.into_iter().all(|written| written)
}

async fn write_to(model: &ModelName, shard: u32) -> bool {
    let key = key(model, shard);
    let mut news = Part::default();
    let written = within(async {
        let store = Store::open_default().await?;
        let stored = store.get(&key).await?;
        let value = with(|instance| {
            let stored = stored.as_deref();
            let memory = &mut instance.memory;
            let (value, part) = memory.write(&instance.served, model, stored, now());
            news = part;
            Ok(value)
        });
        match value {
            Ok(value) => store.set(&key, value).await,
            Err(failure) => Err(Error::Other(failure.to_string())),
        }
    });
    let written = written.await.is_some();
    if !written {
        // An instance that could not start has nothing to keep.
        let _ = with(|instance| {
            instance.memory.keep(model, &news);
            Ok(())
        });
    }
    written
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
            "the key-value store cannot be used, so that breakers last as long as this instance and no rollout goes on: {reason}"
        ))
        .await;
    }
    None
}
