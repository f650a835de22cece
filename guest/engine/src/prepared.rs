//! A plan with the tables that it runs in.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::model::order::build_flush_list;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::tract_core::plan::{self, SessionId};

use crate::Signature;
use crate::infer::Plan;

/// A plan that is ready to run: what a run needs beside its inputs is made ahead, and kept.
#[derive(Debug)]
pub struct Prepared {
    plan: Arc<TypedSimplePlan>,
    steps: Vec<Step>,
    /// The sizes that are open in the plan.
    symbols: Vec<Symbol>,
    /// Nothing while a run has it, and after one that failed and left it as it was then.
    tables: Mutex<Option<Tables>>,
}

/// An operation to run.
#[derive(Debug)]
struct Step {
    node: usize,
    /// The nodes whose values no later step takes.
    last_for: TVec<usize>,
}

impl Prepared {
    pub fn new(plan: Arc<TypedSimplePlan>) -> TractResult<Prepared> {
        let tables = Mutex::new(Tables::new(&plan)?.forgetful());
        let (steps, symbols) = (steps(&plan)?, symbols(plan.model()));
        Ok(Prepared {
            steps,
            symbols,
            tables,
            plan,
        })
    }

    pub fn run_once(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let kept = || self.tables.try_lock().ok()?.take();
        let mut tables = match kept() {
            Some(tables) => tables,
            // Another thread runs the same model, which happens natively only.
            None => Tables::new(&self.plan)?,
        };
        let outputs = tables.run(self, inputs)?;
        if let Ok(mut kept) = self.tables.try_lock() {
            *kept = tables.forgetful();
        }
        Ok(outputs)
    }
}

impl Plan for Prepared {
    fn run(&self, inputs: TVec<TValue>, _signature: &Signature) -> TractResult<TVec<TValue>> {
        self.run_once(inputs)
    }
}

/// In the plan's order, without the inputs.
fn steps(plan: &TypedSimplePlan) -> TractResult<Vec<Step>> {
    let (model, order) = (plan.model(), plan.order_without_consts());
    let is_input = |node: usize| model.node(node).op_is::<TypedSource>();
    let flushed = build_flush_list(model, order, model.output_outlets()?, |node| {
        !node.op_is::<Const>()
    });
    let steps = order.iter().zip(flushed);
    Ok(steps
        .map(|(&node, last_for)| Step { node, last_for })
        .filter(|step| !is_input(step.node))
        .collect())
}

fn symbols(model: &TypedModel) -> Vec<Symbol> {
    let facts = model.nodes().iter().flat_map(|node| &node.outputs);
    let sizes = facts.flat_map(|output| output.fact.shape.iter());
    let symbols: BTreeSet<_> = sizes.flat_map(TDim::symbols).collect();
    symbols.into_iter().collect()
}

/// What a run reads and writes beside the plan.
#[derive(Debug)]
struct Tables {
    state: TypedSimpleState,
    session: SessionId,
    /// The inputs that the sizes in the tables were found from.
    known: Option<Vec<(DatumType, TVec<usize>)>>,
}

impl Tables {
    fn new(plan: &Arc<TypedSimplePlan>) -> TractResult<Tables> {
        let mut state = plan.spawn()?;
        let session = session(&mut state);
        Ok(Tables {
            state,
            session,
            known: None,
        })
    }

    /// Unless an operation has a state of its own: that would remember the request.
    fn forgetful(self) -> Option<Tables> {
        (!self.remembers()).then_some(self)
    }

    fn remembers(&self) -> bool {
        self.state.op_states.iter().any(Option::is_some)
    }

    fn run(&mut self, prepared: &Prepared, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        if self.remembers() {
            return self.state.run(inputs);
        }
        let model = prepared.plan.model();
        if self.knows(&inputs) {
            let values = &mut self.state.turn_state.values;
            for (outlet, input) in model.input_outlets()?.iter().zip(inputs) {
                values[outlet.node] = Some(tvec!(input));
            }
        } else if !self.find_sizes(&prepared.symbols, inputs)? {
            // An operation of the plan finds the others on the way.
            self.state.exec()?;
            let outputs = self.state.outputs()?;
            self.state.reset_turn()?;
            return Ok(outputs);
        }
        self.run_steps(model, &prepared.steps)?;
        let outputs = self.state.outputs()?;
        let values = &mut self.state.turn_state.values;
        let inputs = model.input_outlets()?.iter().map(|outlet| outlet.node);
        let computed = prepared.steps.iter().map(|step| step.node);
        inputs.chain(computed).for_each(|node| values[node] = None);
        Ok(outputs)
    }

    /// Whether all sizes are those of the run before.
    fn knows(&self, inputs: &[TValue]) -> bool {
        self.known.as_ref().is_some_and(|known| {
            known.len() == inputs.len()
                && known
                    .iter()
                    .zip(inputs)
                    .all(|((datum_type, shape), input)| {
                        *datum_type == input.datum_type() && **shape == *input.shape()
                    })
        })
    }

    /// Takes the inputs, and says whether all sizes follow from theirs.
    fn find_sizes(&mut self, symbols: &[Symbol], inputs: TVec<TValue>) -> TractResult<bool> {
        let shape = |input: &TValue| (input.datum_type(), input.shape().into());
        let shapes = inputs.iter().map(shape).collect();
        self.known = None;
        self.state.reset_turn()?;
        self.state.set_inputs(inputs)?;
        let found = &self.state.turn_state.resolved_symbols;
        let all = symbols.iter().all(|symbol| found.get(symbol).is_some());
        self.known = all.then_some(shapes);
        Ok(all)
    }

    /// What tract's plan does when it knows all sizes.
    fn run_steps(&mut self, model: &TypedModel, steps: &[Step]) -> TractResult<()> {
        let turn = &mut self.state.turn_state;
        for step in steps {
            let node = &model.nodes()[step.node];
            let mut inputs = tvec!();
            for input in &node.inputs {
                let values = turn.values[input.node].as_ref();
                inputs.push(values.context("an operation ran too early")?[input.slot].clone());
            }
            // Before the operation, which can then work in place.
            for node in &step.last_for {
                turn.values[*node] = None;
            }
            let context = turn.context(self.session, step.node);
            turn.values[step.node] = Some(plan::eval(&context, None, node, inputs)?);
        }
        Ok(())
    }
}

/// The session of `state`, which tract tells operations alone. None of them runs.
fn session(state: &mut TypedSimpleState) -> SessionId {
    let mut session = SessionId::NONE;
    // What it says is that the first of them was stopped, or that there is none.
    let _ = state.exec_plan_with_eval(|context, _, _, _| {
        session = context.session;
        Err(std::fmt::Error)
    });
    session
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use tract_onnx::tract_hir::tract_core::ops::array::Range;
    use tract_onnx::tract_hir::tract_core::ops::math::{add, neg};
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

    /// A number of rows that only the values say, and then one that the shapes say.
    #[test]
    fn sizes_are_found_where_they_are() {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N").to_dim();
        let end = model
            .add_source("end", i64::datum_type().scalar_fact())
            .unwrap();
        let start = model.add_const("start", tensor0(0i64)).unwrap();
        let step = model.add_const("step", tensor0(1i64)).unwrap();
        let range = Range::new(n);
        let range = model.wire_node("range", range, &[start, end, step]);
        model.select_output_outlets(&range.unwrap()).unwrap();
        let range = Prepared::new(model.into_runnable().unwrap()).unwrap();
        for end in [3, 2, 4] {
            let answer = range.run_once(tvec!(tensor0(end).into_tvalue())).unwrap();
            assert_eq!(*answer[0], tensor1(&(0..end).collect::<Vec<i64>>()));
        }
    }

    /// An operation may work in the memory of what it is given, if nothing else wants that.
    #[test]
    fn what_a_later_operation_takes_stays() {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N");
        let x = model.add_source("x", f32::fact(dims!(n))).unwrap();
        let y = model.wire_node("y", neg(), &[x]).unwrap()[0];
        let z = model.wire_node("z", neg(), &[y]).unwrap()[0];
        let sum = model.wire_node("sum", add(), &[y, z]).unwrap()[0];
        model.select_output_outlets(&[sum, y, x]).unwrap();
        let prepared = Prepared::new(model.into_runnable().unwrap()).unwrap();
        for rows in [vec![1f32], vec![2f32], vec![3f32, 4.0], vec![5f32, 6.0]] {
            let x = tensor1(&rows);
            let answer = prepared.run_once(tvec!(x.clone().into_tvalue())).unwrap();
            let negative: Vec<_> = rows.iter().map(|value| -value).collect();
            assert_eq!(*answer[0], tensor1(&vec![0f32; rows.len()]));
            assert_eq!(*answer[1], tensor1(&negative));
            assert_eq!(*answer[2], x);
        }
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
