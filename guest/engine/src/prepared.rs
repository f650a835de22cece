//! A plan with the tables that it runs in.

use std::sync::{Arc, Mutex};

use tract_onnx::prelude::*;

/// A plan that is ready to run: what a run needs beside its inputs is made ahead, and kept.
#[derive(Debug)]
pub struct Prepared {
    plan: Arc<TypedSimplePlan>,
    /// Nothing while a run has it, and after one that failed and left it as it was then.
    state: Mutex<Option<TypedSimpleState>>,
}

impl Prepared {
    pub fn new(plan: Arc<TypedSimplePlan>) -> TractResult<Prepared> {
        let state = Mutex::new(forgetful(plan.spawn()?));
        Ok(Prepared { plan, state })
    }

    pub fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let kept = || self.state.try_lock().ok()?.take();
        let mut state = match kept() {
            Some(state) => state,
            // Another thread runs the same model, which happens natively only.
            None => self.plan.spawn()?,
        };
        let outputs = state.run(inputs)?;
        if let Ok(mut kept) = self.state.try_lock() {
            *kept = forgetful(state);
        }
        Ok(outputs)
    }
}

/// Unless an operation has a state of its own: that would remember the request.
fn forgetful(state: TypedSimpleState) -> Option<TypedSimpleState> {
    let remembers = state.op_states.iter().any(Option::is_some);
    (!remembers).then_some(state)
}
