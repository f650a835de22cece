//! The exports of the component. One model lives in one instance for the instance's whole life.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::bindings;
use crate::bindings::exports::modelet::model::inference;
use crate::bindings::exports::modelet::model::loading::{self, Loaded};
use crate::{ENGINE, Error, Model, Signature, Tensor, TensorSpec, load, memory};

static MODEL: OnceLock<Model> = OnceLock::new();

/// By as much memory may grow while its gaps are found.
const LARGEST_GAP: usize = 4 << 20;

struct Component;

bindings::export!(Component with_types_in bindings);

impl loading::Guest for Component {
    fn panic_message_address() -> u32 {
        panic_message::address()
    }

    fn load(onnx: Vec<u8>, overrides: Vec<TensorSpec>) -> Result<Loaded, String> {
        std::panic::set_hook(Box::new(panic_message::keep));
        memory::zero_what_is_freed(true);
        let model = load(&onnx, &overrides)?;
        let loaded = Loaded {
            engine: ENGINE.to_owned(),
            not_prepared: model.not_prepared().map(str::to_owned),
        };
        if MODEL.set(model).is_err() {
            return Err("this engine already holds a model".to_owned());
        }
        memory::fill_gaps(onnx.len().min(LARGEST_GAP));
        // Freed while still zeroing: the file must not remain in the snapshot. Its place, before all else, is what
        // calls have room in.
        drop(onnx);
        drop(overrides);
        memory::zero_what_is_freed(false);
        Ok(loaded)
    }
}

impl inference::Guest for Component {
    fn describe() -> Signature {
        match MODEL.get() {
            Some(model) => model.signature().clone(),
            None => Signature {
                inputs: vec![],
                outputs: vec![],
            },
        }
    }

    fn infer(inputs: Vec<Tensor>, outputs: Vec<String>) -> Result<Vec<Tensor>, Error> {
        match MODEL.get() {
            Some(model) => model.infer(inputs, &outputs),
            None => Err(Error::ModelFailed("no model was loaded".to_owned())),
        }
    }
}

/// `loading.memory`: the list is the memory where it lies.
mod whole_memory {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    const PAGE_BYTES: u32 = 1 << 16;

    /// A list as the canonical ABI returns it: address and length.
    static LIST: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

    #[unsafe(export_name = "modelet:model/loading@0.1.0#memory")]
    extern "C" fn memory() -> *const [AtomicU32; 2] {
        let pages = core::arch::wasm32::memory_size(0) as u32;
        // A list can be one byte shorter than a full memory; the builder refuses that one.
        LIST[1].store(pages.saturating_mul(PAGE_BYTES), Relaxed);
        &raw const LIST
    }
}

/// Where a panic writes why, for a host that looks into the memory of the dead instance.
mod panic_message {
    use super::*;

    const CAPACITY: usize = 1020;

    #[repr(C)]
    struct Message {
        length: u32,
        text: [u8; CAPACITY],
    }

    struct Single(RefCell<Message>);

    // SAFETY: a component instance has one thread.
    unsafe impl Sync for Single {}

    static MESSAGE: Single = Single(RefCell::new(Message {
        length: 0,
        text: [0; CAPACITY],
    }));

    pub fn address() -> u32 {
        MESSAGE.0.as_ptr() as u32
    }

    pub fn keep(panic: &std::panic::PanicHookInfo<'_>) {
        if let Ok(mut message) = MESSAGE.0.try_borrow_mut() {
            message.length = 0;
            // Cut off at the capacity: the beginning says what happened.
            let _ = write!(message, "{panic}");
        }
    }

    impl std::fmt::Write for Message {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            let start = self.length as usize;
            let length = text.floor_char_boundary(text.len().min(CAPACITY - start));
            self.text[start..start + length].copy_from_slice(&text.as_bytes()[..length]);
            self.length += length as u32;
            if length == text.len() {
                Ok(())
            } else {
                Err(std::fmt::Error)
            }
        }
    }
}
