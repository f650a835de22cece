//! Spin's key-value store, in memory. What the gateway imports comes from the SDK's own description of
//! it; a difference to what is offered here is an error when the component is linked.

use std::collections::HashMap;
use std::future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::Result;
use wasmtime::component::{Accessor, ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use crate::host::Guest;

const STORE: &str = "spin:key-value/key-value@3.0.0";

#[derive(Default)]
pub struct Shelf {
    pub entries: Mutex<HashMap<String, Vec<u8>>>,
    pub state: Mutex<State>,
    pub gets: AtomicUsize,
    pub sets: AtomicUsize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Up,
    /// Every call is an error.
    Down,
    /// No call is ever answered.
    Hangs,
}

impl Shelf {
    pub fn is(&self, state: State) {
        *self.state.lock().unwrap() = state;
    }

    pub fn sets(&self) -> usize {
        self.sets.load(Ordering::Relaxed)
    }

    pub fn gets(&self) -> usize {
        self.gets.load(Ordering::Relaxed)
    }
}

/// An open store. There is one.
pub struct Opened;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

type Get = (Result<Option<Vec<u8>>, Error>,);

pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    let mut store = linker.instance(STORE)?;
    store.resource("store", ResourceType::host::<Opened>(), |mut guest, rep| {
        let opened: Resource<Opened> = Resource::new_own(rep);
        guest.data_mut().table.delete(opened)?;
        Ok(())
    })?;
    store.func_wrap_concurrent("[static]store.open", |guest, (label,): (String,)| {
        Box::pin(async move {
            if let Err(error) = answered(guest).await {
                return Ok((Err(error),));
            }
            if label != "default" {
                return Ok((Err(Error::NoSuchStore),));
            }
            let opened = guest.with(|mut guest| guest.get().table.push(Opened))?;
            Ok((Ok::<Resource<Opened>, Error>(opened),))
        })
    })?;
    store.func_wrap_concurrent(
        "[method]store.get",
        |guest, (_, key): (Resource<Opened>, String)| {
            Box::pin(async move {
                if let Err(error) = answered(guest).await {
                    return Ok((Err(error),) as Get);
                }
                Ok(guest.with(|mut guest| {
                    let shelf = &guest.get().shelf;
                    shelf.gets.fetch_add(1, Ordering::Relaxed);
                    (Ok(shelf.entries.lock().unwrap().get(&key).cloned()),)
                }))
            })
        },
    )?;
    store.func_wrap_concurrent(
        "[method]store.set",
        |guest, (_, key, value): (Resource<Opened>, String, Vec<u8>)| {
            Box::pin(async move {
                if let Err(error) = answered(guest).await {
                    return Ok((Err(error),));
                }
                guest.with(|mut guest| {
                    let shelf = &guest.get().shelf;
                    shelf.sets.fetch_add(1, Ordering::Relaxed);
                    shelf.entries.lock().unwrap().insert(key, value);
                });
                Ok((Ok::<(), Error>(()),))
            })
        },
    )
}

async fn answered(guest: &Accessor<Guest>) -> Result<(), Error> {
    let state = guest.with(|mut guest| *guest.get().shelf.state.lock().unwrap());
    match state {
        State::Up => Ok(()),
        State::Down => Err(Error::Other("the disk is gone".to_owned())),
        State::Hangs => future::pending().await,
    }
}
