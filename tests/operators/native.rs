//! The engine as a library.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use modelet_engine::{Error, Tensor, load};

thread_local! {
    static PANIC: RefCell<String> = RefCell::default();
}

/// A panic inside the engine is a verdict, not noise on the terminal; one of the tests' own is.
pub fn keep_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual_unless_in_a_dependency(panic, &usual);
        let text = panic.payload_as_str().unwrap_or("no message");
        PANIC.with_borrow_mut(|message| message.replace_range(.., text));
    }));
}

fn usual_unless_in_a_dependency(panic: &PanicHookInfo<'_>, usual: &dyn Fn(&PanicHookInfo<'_>)) {
    if panic
        .location()
        .is_none_or(|location| location.file().starts_with("tests/operators"))
    {
        usual(panic);
    }
}

pub fn run(onnx: &[u8], inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let attempt = || {
        let model = load(onnx, &[])?;
        model
            .infer(inputs.to_vec(), &[])
            .map_err(|error| match error {
                Error::InvalidInput(reason) | Error::ModelFailed(reason) => reason,
            })
    };
    catch_unwind(AssertUnwindSafe(attempt))
        .unwrap_or_else(|_| Err(format!("panic: {}", PANIC.with_borrow(String::clone))))
}
