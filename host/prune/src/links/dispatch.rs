//! What an indirect call may call, as far as its own function tells.
//!
//! Rust calls a method of a trait object by loading the function from a place in a vtable that is fixed for
//! the method, and calling what it loaded. Where that is all that a function does to get hold of what it
//! calls, the place is known. LLVM keeps pointers to vtables as they are wherever it hands them on, in
//! memory, to functions and from them; inside of a function it may add to one, and then the place is not
//! known.
//!
//! A forward data-flow analysis over the function's blocks: what each local may hold, joined where ways meet,
//! until nothing changes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use wasmparser::{FuncType, FunctionBody, Operator};

/// The place in a vtable, in bytes, and the type that is called. Without a place it may be any.
pub type Dispatch = (Option<u32>, u32);

/// All indirect calls of a function of type `ty`; `functions` has the types of all functions.
pub fn dispatches(
    body: &FunctionBody<'_>,
    ty: u32,
    types: &[FuncType],
    functions: &[u32],
) -> Result<BTreeSet<Dispatch>> {
    let operators = body.get_operators_reader()?.into_iter();
    let operators: Vec<_> = operators.collect::<Result<_, _>>()?;
    let is_call = |operator: &Operator<'_>| matches!(operator, Operator::CallIndirect { .. });
    if !operators.iter().any(is_call) {
        return Ok(BTreeSet::new());
    }
    let mut locals = vec![Value::ANY; types[ty as usize].params().len()];
    for group in body.get_locals_reader()? {
        let (count, _) = group?;
        locals.extend(vec![Value::ZERO; count as usize]);
    }
    let mut flow = Flow {
        types,
        functions,
        heads: vec![None; operators.len()],
        found: BTreeSet::new(),
    };
    while flow.pass(&operators, locals.clone())? {}
    Ok(flow.found)
}

/// What a local, or a place on the stack, may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Value {
    /// Nothing was added to it since this function got it.
    is_whole: bool,
    /// Where it was loaded from, behind a whole pointer: a bit for each word.
    places: Places,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Places {
    Words(u64),
    Anywhere,
}

impl Value {
    const ZERO: Value = Value {
        is_whole: true,
        places: Places::Words(0),
    };

    /// As it was handed over.
    const ANY: Value = Value {
        is_whole: true,
        places: Places::Anywhere,
    };

    const COMPUTED: Value = Value {
        is_whole: false,
        places: Places::Anywhere,
    };

    fn loaded(pointer: Value, offset: u64) -> Value {
        let is_word = pointer.is_whole && offset.is_multiple_of(4) && offset / 4 < 64;
        Value {
            places: match is_word {
                true => Places::Words(1 << (offset / 4)),
                false => Places::Anywhere,
            },
            ..Value::ANY
        }
    }

    fn or(self, other: Value) -> Value {
        Value {
            is_whole: self.is_whole && other.is_whole,
            places: match (self.places, other.places) {
                (Places::Words(one), Places::Words(other)) => Places::Words(one | other),
                _ => Places::Anywhere,
            },
        }
    }
}

/// What the locals may hold; nothing where no way leads.
type State = Option<Vec<Value>>;

/// Adds what comes in on another way, and says whether that changes anything.
fn join(state: &mut State, other: &State) -> bool {
    let Some(other) = other else { return false };
    let Some(state) = state else {
        *state = Some(other.clone());
        return true;
    };
    let mut changed = false;
    for (value, other) in state.iter_mut().zip(other) {
        let joined = value.or(*other);
        changed |= joined != *value;
        *value = joined;
    }
    changed
}

/// A block that is open.
struct Block {
    /// Where it begins again, if it is a loop.
    head: Option<usize>,
    /// What comes to its end.
    end: State,
    /// What comes to its `else`.
    otherwise: State,
}

struct Flow<'a> {
    types: &'a [FuncType],
    functions: &'a [u32],
    /// By the position of a loop: what comes to its beginning.
    heads: Vec<State>,
    found: BTreeSet<Dispatch>,
}

impl Flow<'_> {
    /// Goes through the function once. Says whether a loop begins with more than it did.
    fn pass(&mut self, operators: &[Operator<'_>], locals: Vec<Value>) -> Result<bool> {
        let mut changed = false;
        let mut state = Some(locals);
        let mut stack = Vec::new();
        let mut blocks = vec![Block {
            head: None,
            end: None,
            otherwise: None,
        }];
        for (position, operator) in operators.iter().enumerate() {
            for target in targets(operator, blocks.len())? {
                let block = &mut blocks[target];
                match block.head {
                    Some(head) => changed |= join(&mut self.heads[head], &state),
                    None => {
                        join(&mut block.end, &state);
                    }
                }
            }
            self.structure(position, operator, &mut blocks, &mut state)?;
            self.value(operator, &mut stack, &mut state);
        }
        Ok(changed)
    }

    /// Opens and closes blocks, and ends ways.
    fn structure(
        &mut self,
        position: usize,
        operator: &Operator<'_>,
        blocks: &mut Vec<Block>,
        state: &mut State,
    ) -> Result<()> {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                let is_loop = matches!(operator, Operator::Loop { .. });
                let is_if = matches!(operator, Operator::If { .. });
                if is_loop {
                    join(&mut self.heads[position], state);
                    state.clone_from(&self.heads[position]);
                }
                blocks.push(Block {
                    head: is_loop.then_some(position),
                    end: None,
                    otherwise: is_if.then(|| state.clone()).flatten(),
                });
            }
            Operator::Else => {
                let block = blocks.last_mut().context("an `else` without its block")?;
                join(&mut block.end, state);
                *state = block.otherwise.take();
            }
            Operator::End => {
                let block = blocks.pop().context("an `end` without its block")?;
                join(state, &block.end);
                join(state, &block.otherwise);
            }
            Operator::Br { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable => *state = None,
            _ => {}
        }
        Ok(())
    }

    /// Follows values over `stack`, of which only as much is known as was pushed since something else happened.
    fn value(&mut self, operator: &Operator<'_>, stack: &mut Vec<Value>, state: &mut State) {
        let Some(locals) = state else {
            stack.clear();
            return;
        };
        let mut pop = || stack.pop().unwrap_or(Value::COMPUTED);
        let pushed = match *operator {
            Operator::LocalGet { local_index } => locals[local_index as usize],
            Operator::LocalTee { local_index } => {
                locals[local_index as usize] = pop();
                locals[local_index as usize]
            }
            Operator::LocalSet { local_index } => {
                locals[local_index as usize] = pop();
                return;
            }
            Operator::I32Const { .. } => Value::ANY,
            Operator::I32Load { memarg } => Value::loaded(pop(), memarg.offset),
            Operator::Select => {
                pop();
                pop().or(pop())
            }
            Operator::Call { function_index } => {
                return self.call(self.functions[function_index as usize], stack);
            }
            Operator::CallIndirect { type_index, .. } => {
                self.found.extend(found(pop().places, type_index));
                return self.call(type_index, stack);
            }
            _ => {
                let (popped, pushed) = computed(operator);
                stack.truncate(stack.len().saturating_sub(popped));
                match pushed {
                    true => Value::COMPUTED,
                    false => return,
                }
            }
        };
        stack.push(pushed);
    }

    /// What a called function does to the stack.
    fn call(&self, ty: u32, stack: &mut Vec<Value>) {
        stack.clear();
        if self.types[ty as usize].results().len() == 1 {
            stack.push(Value::ANY);
        }
    }
}

/// How many values `operator` takes from the stack, and whether it puts one on. What is not listed leaves nothing
/// that is known.
fn computed(operator: &Operator<'_>) -> (usize, bool) {
    match operator {
        Operator::I32Eqz => (1, true),
        Operator::I32Add
        | Operator::I32And
        | Operator::I32Eq
        | Operator::I32GeS
        | Operator::I32GeU
        | Operator::I32GtS
        | Operator::I32GtU
        | Operator::I32LeS
        | Operator::I32LeU
        | Operator::I32LtS
        | Operator::I32LtU
        | Operator::I32Ne
        | Operator::I32Or
        | Operator::I32Sub => (2, true),
        _ => (usize::MAX, false),
    }
}

fn found(places: Places, ty: u32) -> Vec<Dispatch> {
    match places {
        Places::Anywhere => vec![(None, ty)],
        Places::Words(words) => {
            let words = (0..64).filter(|word| words >> word & 1 == 1);
            words.map(|word| (Some(4 * word), ty)).collect()
        }
    }
}

/// The blocks that `operator` may go to, by their place among those that are open.
fn targets(operator: &Operator<'_>, open: usize) -> Result<Vec<usize>> {
    let block = |depth: u32| {
        let outer = (open - 1).checked_sub(depth as usize);
        outer.context("a branch to no block")
    };
    Ok(match operator {
        Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
            vec![block(*relative_depth)?]
        }
        Operator::BrTable { targets } => {
            let all = targets.targets().collect::<Result<Vec<_>, _>>()?;
            let all = all.into_iter().chain([targets.default()]);
            all.map(block).collect::<Result<_>>()?
        }
        _ => vec![],
    })
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    /// The indirect calls of a function with the parameters `$pointer` and `$number`, and a local `$other`.
    /// They call type 0, which takes and returns nothing.
    fn of(body: &str) -> Vec<Dispatch> {
        let module = format!(
            "(module (type (func)) (type (func (param i32 i32))) (memory 1) (table 1 funcref)
               (func $found (type 2) (result i32) i32.const 8) (type (func (result i32)))
               (func (type 1) (param $pointer i32) (param $number i32) (local $other i32) {body}))"
        );
        let module = wat::parse_str(module).unwrap();
        let (mut types, mut functions, mut bodies) = (vec![], vec![], vec![]);
        for payload in Parser::new(0).parse_all(&module) {
            match payload.unwrap() {
                Payload::TypeSection(section) => {
                    let section = section.into_iter_err_on_gc_types();
                    types = section.collect::<Result<_, _>>().unwrap();
                }
                Payload::FunctionSection(section) => {
                    functions = section.into_iter().collect::<Result<_, _>>().unwrap();
                }
                Payload::CodeSectionEntry(body) => bodies.push(body),
                _ => {}
            }
        }
        let found = dispatches(&bodies[1], 1, &types, &functions).unwrap();
        found.into_iter().collect()
    }

    #[test]
    fn a_method_is_called_from_its_place() {
        let call = "local.get $pointer  i32.load offset=12  call_indirect (type 0)";
        assert_eq!(of(call), [(Some(12), 0)]);
        let loaded =
            "local.get $pointer  i32.load offset=4  i32.load offset=16  call_indirect (type 0)";
        assert_eq!(of(loaded), [(Some(16), 0)]);
        let returned = "call $found  i32.load offset=20  call_indirect (type 0)";
        assert_eq!(of(returned), [(Some(20), 0)]);
    }

    #[test]
    fn one_of_two_is_either() {
        let vtable =
            "i32.const 1024  local.get $pointer  local.get $number  i32.const 7  i32.eq  select
                      i32.load offset=12  call_indirect (type 0)";
        assert_eq!(of(vtable), [(Some(12), 0)]);
        let shifted =
            "i32.const 1024  local.get $pointer  i32.const 8  i32.add  local.get $number  select
                       i32.load offset=12  call_indirect (type 0)";
        assert_eq!(of(shifted), [(None, 0)]);
    }

    #[test]
    fn what_a_local_held_before_is_forgotten() {
        let reused = "local.get $number  i32.const 8  i32.add  local.set $other  local.get $pointer
                      i32.load offset=4  local.tee $other  i32.load offset=12  call_indirect (type 0)";
        assert_eq!(of(reused), [(Some(12), 0)]);
    }

    #[test]
    fn ways_that_meet_bring_what_they_have() {
        let either =
            "local.get $number  if  local.get $pointer  i32.load offset=12  local.set $other
                      else  local.get $pointer  i32.load offset=16  local.set $other  end
                      local.get $other  call_indirect (type 0)";
        assert_eq!(of(either), [(Some(12), 0), (Some(16), 0)]);
        let around = "local.get $pointer  i32.load offset=12  local.set $other
                      block  local.get $number  br_if 0  local.get $number  local.set $other  end
                      local.get $other  call_indirect (type 0)";
        assert_eq!(of(around), [(None, 0)]);
        let left = "local.get $pointer  i32.load offset=12  local.set $other
                    block  local.get $number  br_if 0  local.get $number  local.set $other  return  end
                    local.get $other  call_indirect (type 0)";
        assert_eq!(of(left), [(Some(12), 0)]);
    }

    #[test]
    fn a_loop_begins_with_what_it_ends_with() {
        let again = "local.get $pointer  local.set $other
                     loop  local.get $other  i32.load offset=12  call_indirect (type 0)
                     local.get $other  i32.const 4  i32.add  local.set $other
                     local.get $number  br_if 0  end";
        // The first time it is the vtable.
        assert_eq!(of(again), [(None, 0), (Some(12), 0)]);
        let same = "loop  local.get $pointer  i32.load offset=12  call_indirect (type 0)
                    local.get $number  br_if 0  end";
        assert_eq!(of(same), [(Some(12), 0)]);
    }

    #[test]
    fn who_adds_to_a_pointer_may_call_from_anywhere() {
        for body in [
            "local.get $pointer  i32.const 8  i32.add  i32.load offset=4  call_indirect (type 0)",
            "local.get $pointer  i32.const 8  i32.add  local.set $pointer
             local.get $pointer  i32.load offset=4  call_indirect (type 0)",
            "local.get $pointer  local.set $other
             local.get $other  local.get $number  i32.add  local.set $other
             local.get $other  i32.load  call_indirect (type 0)",
        ] {
            assert_eq!(of(body), [(None, 0)], "{body}");
        }
    }

    #[test]
    fn a_number_that_was_handed_over_may_be_any() {
        assert_eq!(of("local.get $number  call_indirect (type 0)"), [(None, 0)]);
        let below = "local.get $pointer  i32.load offset=12  local.get $number  drop  call_indirect (type 0)";
        assert_eq!(of(below), [(None, 0)]);
    }
}
