//! What an indirect call may call, as far as its own function tells.
//!
//! Rust calls a method of a trait object by loading the function from a place in a vtable that is fixed for
//! the method, and calling what it loaded. Where that is all that a function does to get hold of what it
//! calls, the place is known. LLVM keeps pointers to vtables as they are wherever it hands them on, in
//! memory, to functions and from them; inside of a function it may add to one, and then the place is not
//! known.

use std::collections::BTreeSet;

use anyhow::Result;
use wasmparser::{FuncType, FunctionBody, Operator};

/// The place in a vtable, in bytes, and the type that is called. Without a place it may be any.
pub type Dispatch = (Option<u32>, u32);

/// Where the value on top of the stack comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    Local(u32),
    /// Loaded from this far behind a pointer.
    Load {
        offset: u64,
        base: Base,
    },
    /// Handed over as it is.
    Value,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Base {
    Local(u32),
    Whole,
    Unknown,
}

/// All indirect calls of a function of type `ty`; `functions` has the types of all functions.
pub fn dispatches(
    body: &FunctionBody<'_>,
    ty: u32,
    types: &[FuncType],
    functions: &[u32],
) -> Result<BTreeSet<Dispatch>> {
    let mut seen = Seen::default();
    let mut top = Origin::Unknown;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        let leaves = |ty: u32| match types[ty as usize].results().len() {
            1 => Origin::Value,
            _ => Origin::Unknown,
        };
        top = match operator {
            Operator::LocalGet { local_index } => Origin::Local(local_index),
            Operator::LocalTee { local_index } => {
                seen.sets.push((local_index, top));
                Origin::Local(local_index)
            }
            Operator::LocalSet { local_index } => {
                seen.sets.push((local_index, top));
                Origin::Unknown
            }
            Operator::I32Load { memarg } => Origin::Load {
                offset: memarg.offset,
                base: base(top),
            },
            Operator::I32Const { .. } => Origin::Value,
            Operator::Call { function_index } => leaves(functions[function_index as usize]),
            Operator::CallIndirect { type_index, .. } => {
                seen.calls.push((top, type_index));
                leaves(type_index)
            }
            _ => Origin::Unknown,
        };
    }
    let n_parameters = types[ty as usize].params().len();
    Ok(seen.dispatches(n_parameters as u32))
}

fn base(origin: Origin) -> Base {
    match origin {
        Origin::Local(local) => Base::Local(local),
        Origin::Load { .. } | Origin::Value => Base::Whole,
        Origin::Unknown => Base::Unknown,
    }
}

#[derive(Default)]
struct Seen {
    sets: Vec<(u32, Origin)>,
    calls: Vec<(Origin, u32)>,
}

impl Seen {
    fn dispatches(&self, n_parameters: u32) -> BTreeSet<Dispatch> {
        let mut dispatches = BTreeSet::new();
        for &(origin, ty) in &self.calls {
            match self.places(origin, n_parameters) {
                Some(places) => {
                    dispatches.extend(places.into_iter().map(|place| (Some(place), ty)));
                }
                None => {
                    dispatches.insert((None, ty));
                }
            }
        }
        dispatches
    }

    /// Every place that it can have been loaded from, if all are known.
    fn places(&self, origin: Origin, n_parameters: u32) -> Option<BTreeSet<u32>> {
        let mut places = BTreeSet::new();
        let mut locals = BTreeSet::new();
        let mut open = vec![origin];
        while let Some(origin) = open.pop() {
            match origin {
                Origin::Load { offset, base } if self.is_whole(base) => {
                    places.insert(u32::try_from(offset).ok()?);
                }
                Origin::Local(local) if local >= n_parameters => {
                    if locals.insert(local) {
                        open.extend(self.set(local));
                    }
                }
                _ => return None,
            }
        }
        Some(places)
    }

    /// Whether nothing was added to a pointer since this function got it.
    fn is_whole(&self, pointer: Base) -> bool {
        let mut locals = BTreeSet::new();
        let mut open = vec![pointer];
        while let Some(pointer) = open.pop() {
            match pointer {
                Base::Whole => {}
                Base::Unknown => return false,
                Base::Local(local) => {
                    if locals.insert(local) {
                        open.extend(self.set(local).map(base));
                    }
                }
            }
        }
        true
    }

    fn set(&self, local: u32) -> impl Iterator<Item = Origin> {
        let of_it = self.sets.iter().filter(move |(set, _)| *set == local);
        of_it.map(|(_, origin)| *origin)
    }
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
    fn what_a_local_holds_is_all_that_it_was_ever_set_to() {
        let two = "local.get $pointer  i32.load offset=12  local.set $other
                   local.get $pointer  i32.load offset=24  local.set $other
                   local.get $other  call_indirect (type 0)";
        assert_eq!(of(two), [(Some(12), 0), (Some(24), 0)]);
        let moved = "local.get $pointer  i32.load offset=4  local.tee $other
                     i32.load offset=12  call_indirect (type 0)";
        assert_eq!(of(moved), [(Some(12), 0)]);
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
