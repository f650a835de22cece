//! A plan with the tables that it runs in.

use std::sync::{Arc, Mutex};

use tract_onnx::prelude::*;

use crate::Signature;
use crate::infer::Plan;

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

    pub fn run_once(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
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

impl Plan for Prepared {
    fn run(&self, inputs: TVec<TValue>, _signature: &Signature) -> TractResult<TVec<TValue>> {
        self.run_once(inputs)
    }
}

/// Unless an operation has a state of its own: that would remember the request.
fn forgetful(state: TypedSimpleState) -> Option<TypedSimpleState> {
    let remembers = state.op_states.iter().any(Option::is_some);
    (!remembers).then_some(state)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use tract_onnx::tract_hir::internal::*;
    use tract_onnx::tract_hir::tract_core::ops::math::neg;
    use tract_onnx::tract_hir::tract_core::plan::LaneId;

    use super::*;

    /// How often it was asked, in all of a state's life.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Counter;

    #[derive(Debug, Clone)]
    struct Count(f32);

    impl Op for Counter {
        fn name(&self) -> StaticName {
            "Counter".into()
        }

        op_as_typed_op!();
    }

    impl EvalOp for Counter {
        not_out_of_plan!();

        fn eval(&self, _ctx: &EvalContext, _inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
            bail!("it counts in its state")
        }

        fn state(&self, _ctx: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
            Ok(Some(Box::new(Count(0.0))))
        }
    }

    impl OpState for Count {
        fn reset_lanes(&mut self, _lanes: &[LaneId]) -> TractResult<()> {
            Ok(())
        }

        fn eval(
            &mut self,
            _ctx: &EvalContext,
            _op: &dyn Op,
            _inputs: TVec<TValue>,
        ) -> TractResult<TVec<TValue>> {
            self.0 += 1.0;
            Ok(tvec!(tensor1(&[self.0]).into_tvalue()))
        }
    }

    impl TypedOp for Counter {
        fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
            Ok(tvec!(f32::fact([1])))
        }

        as_op!();
    }

    /// Of one input with any number of rows.
    fn prepared(op: impl Into<Box<dyn TypedOp>>) -> Prepared {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N");
        let x = model.add_source("x", f32::fact(dims!(n))).unwrap();
        let y = model.wire_node("y", op, &[x]).unwrap();
        model.select_output_outlets(&y).unwrap();
        Prepared::new(model.into_runnable().unwrap()).unwrap()
    }

    #[test]
    fn a_request_leaves_nothing_to_the_next() {
        let negative = prepared(neg());
        let run = |input: Tensor| negative.run_once(tvec!(input.into_tvalue()));
        assert_eq!(
            *run(tensor1(&[1f32, 2.0])).unwrap()[0],
            tensor1(&[-1f32, -2.0])
        );
        // Another number of rows, and then one that fails half way.
        assert_eq!(*run(tensor1(&[3f32])).unwrap()[0], tensor1(&[-3f32]));
        run(tensor2(&[[1f32]])).unwrap_err();
        assert_eq!(
            *run(tensor1(&[4f32, 5.0])).unwrap()[0],
            tensor1(&[-4f32, -5.0])
        );
    }

    #[test]
    fn an_operation_that_remembers_begins_anew() {
        let counter = prepared(Counter);
        for _ in 0..3 {
            let answer = counter
                .run_once(tvec!(tensor1(&[0f32]).into_tvalue()))
                .unwrap();
            assert_eq!(*answer[0], tensor1(&[1f32]));
        }
    }
}
