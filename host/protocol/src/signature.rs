//! What a model takes and gives.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::datatype::{Datatype, UnknownDatatype};
use crate::tensor::{Malformed, Tensor, element_count};

/// A dimension of a shape: a number, or a name that stands for the same number wherever it occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    Fixed(u64),
    /// Sizes that the model does not fix, such as `N` for the batch, or `32*height` for multiples of 32. Reported as
    /// −1 on the wire.
    Symbolic(String),
}

/// What the sizes that `symbol` stands for are multiples of.
fn step(symbol: &str) -> u64 {
    let step = symbol
        .split_once('*')
        .and_then(|(step, _)| step.parse().ok());
    step.unwrap_or(1).max(1)
}

/// The name, datatype and shape that a model declares for one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    pub name: String,
    pub datatype: Datatype,
    pub shape: Vec<Dimension>,
}

/// The inputs and outputs of a model, in the model's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}

/// Why a request does not fit a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    #[error("the model has no input `{name}`; its inputs are {expected}")]
    UnknownInput { name: String, expected: String },
    #[error("input `{name}` is given twice")]
    DuplicateInput { name: String },
    #[error("input `{spec}` is missing")]
    MissingInput { spec: TensorSpec },
    #[error("the model has no output `{name}`; its outputs are {expected}")]
    UnknownOutput { name: String, expected: String },
    #[error("input `{name}` is {expected}, got {got}")]
    Datatype {
        name: String,
        expected: Datatype,
        got: Datatype,
    },
    #[error("input `{spec}` does not take shape {got:?}")]
    Shape { spec: TensorSpec, got: Vec<u64> },
    #[error("input `{name}` sets dimension {symbol} to {got}, another input set it to {bound}")]
    Symbol {
        name: String,
        symbol: String,
        got: u64,
        bound: u64,
    },
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// More than any model can be given, whose memory holds its inputs too.
const ZEROS_LIMIT_BYTES: u64 = 2 << 30;

/// A large image or a minute of sound; more is not made up.
const LARGER_ZEROS_LIMIT_BYTES: u64 = 64 << 20;

impl Signature {
    /// Requests of zeros, or of empty strings, to try in turn until a model answers one. They have one item; other
    /// dimensions that are open are small at first, which is quick, but what halves an image or a sound makes
    /// nothing of it. None that is more than a model could be given.
    pub fn zeros(&self) -> impl Iterator<Item = Vec<Tensor>> + '_ {
        let sizes: &[u64] = match self.inputs.iter().any(|spec| self.is_open(spec)) {
            true => &[1, 32, 512],
            false => &[1],
        };
        sizes.iter().map_while(|&open| match open {
            1 => self.zeros_of(open, ZEROS_LIMIT_BYTES),
            _ => self.zeros_of(open, LARGER_ZEROS_LIMIT_BYTES),
        })
    }

    /// Whether the model leaves open more of an input than the number of items.
    fn is_open(&self, spec: &TensorSpec) -> bool {
        let is_open = |dimension: &Dimension| match dimension {
            Dimension::Fixed(_) => false,
            Dimension::Symbolic(symbol) => !self.counts_items(symbol),
        };
        spec.shape.iter().any(is_open)
    }

    /// Whether `symbol` is the first dimension of an input.
    fn counts_items(&self, symbol: &str) -> bool {
        let mut first = self.inputs.iter().filter_map(|spec| spec.shape.first());
        first.any(|first| matches!(first, Dimension::Symbolic(first) if first == symbol))
    }

    fn zeros_of(&self, open: u64, mut left: u64) -> Option<Vec<Tensor>> {
        let zero = |spec: &TensorSpec| {
            let size = |dimension: &Dimension| match dimension {
                Dimension::Fixed(size) => Some(*size),
                Dimension::Symbolic(symbol) if self.counts_items(symbol) => Some(1),
                Dimension::Symbolic(symbol) => open.checked_next_multiple_of(step(symbol)),
            };
            let shape: Vec<u64> = spec.shape.iter().map(size).collect::<Option<_>>()?;
            // An empty string is four zero bytes: its length.
            let size = spec.datatype.size_bytes().unwrap_or(4) as u64;
            let bytes = element_count(&shape)?.checked_mul(size)?;
            left = left.checked_sub(bytes)?;
            Some(Tensor {
                name: spec.name.clone(),
                datatype: spec.datatype,
                shape,
                data: vec![0; usize::try_from(bytes).ok()?],
            })
        };
        self.inputs.iter().map(zero).collect()
    }

    /// Checks names, datatypes, shapes and data of a request's inputs.
    pub fn check_inputs(&self, inputs: &[Tensor]) -> Result<(), InvalidInput> {
        let mut symbols = BTreeMap::new();
        for (index, input) in inputs.iter().enumerate() {
            if inputs[..index].iter().any(|other| other.name == input.name) {
                return Err(InvalidInput::DuplicateInput {
                    name: input.name.clone(),
                });
            }
            self.input(&input.name)?.check(input, &mut symbols)?;
        }
        match self
            .inputs
            .iter()
            .find(|spec| inputs.iter().all(|input| input.name != spec.name))
        {
            Some(spec) => Err(InvalidInput::MissingInput { spec: spec.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that every requested output exists.
    pub fn check_outputs<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), InvalidInput> {
        for name in names {
            if self.outputs.iter().all(|spec| spec.name != name) {
                return Err(InvalidInput::UnknownOutput {
                    name: name.to_owned(),
                    expected: list(&self.outputs),
                });
            }
        }
        Ok(())
    }

    /// The declared input of that name.
    pub fn input(&self, name: &str) -> Result<&TensorSpec, InvalidInput> {
        self.inputs
            .iter()
            .find(|spec| spec.name == name)
            .ok_or_else(|| InvalidInput::UnknownInput {
                name: name.to_owned(),
                expected: list(&self.inputs),
            })
    }
}

impl TensorSpec {
    /// The shape as the protocol writes it: −1 for a symbolic dimension.
    pub fn wire_shape(&self) -> Vec<i64> {
        self.shape
            .iter()
            .map(|dimension| match dimension {
                Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
                Dimension::Symbolic(_) => -1,
            })
            .collect()
    }

    fn check<'a>(
        &'a self,
        tensor: &Tensor,
        symbols: &mut BTreeMap<&'a str, u64>,
    ) -> Result<(), InvalidInput> {
        if self.datatype != tensor.datatype {
            return Err(InvalidInput::Datatype {
                name: self.name.clone(),
                expected: self.datatype,
                got: tensor.datatype,
            });
        }
        if self.shape.len() != tensor.shape.len() {
            return Err(self.wrong_shape(tensor));
        }
        for (dimension, &got) in self.shape.iter().zip(&tensor.shape) {
            match dimension {
                Dimension::Fixed(size) if *size != got => return Err(self.wrong_shape(tensor)),
                Dimension::Fixed(_) => {}
                Dimension::Symbolic(symbol) => {
                    if !got.is_multiple_of(step(symbol)) {
                        return Err(self.wrong_shape(tensor));
                    }
                    let bound = *symbols.entry(symbol).or_insert(got);
                    if bound != got {
                        return Err(InvalidInput::Symbol {
                            name: self.name.clone(),
                            symbol: symbol.clone(),
                            got,
                            bound,
                        });
                    }
                }
            }
        }
        Ok(tensor.check()?)
    }

    fn wrong_shape(&self, tensor: &Tensor) -> InvalidInput {
        InvalidInput::Shape {
            spec: self.clone(),
            got: tensor.shape.clone(),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dimension::Fixed(size) => write!(f, "{size}"),
            Dimension::Symbolic(symbol) => f.write_str(symbol),
        }
    }
}

/// As it is typed for `--input`: `name=FP32[N,3,224,224]`.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}[", self.name, self.datatype)?;
        for (index, dimension) in self.shape.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{dimension}")?;
        }
        f.write_str("]")
    }
}

/// Why a text is not `name=FP32[N,3,224,224]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    #[error("an input is written name=FP32[N,3,224,224], not `{0}`")]
    Form(String),
    #[error(transparent)]
    Datatype(#[from] UnknownDatatype),
    #[error("`{0}` is no dimension: a number, or a name that stands for any size")]
    Dimension(String),
}

impl FromStr for TensorSpec {
    type Err = InvalidSpec;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || InvalidSpec::Form(text.to_owned());
        // The name may hold `=`; what follows it cannot.
        let (name, rest) = text.rsplit_once('=').ok_or_else(form)?;
        let (datatype, rest) = rest.split_once('[').ok_or_else(form)?;
        let shape = rest.strip_suffix(']').ok_or_else(form)?.trim();
        if name.is_empty() {
            return Err(form());
        }
        let dimensions = if shape.is_empty() {
            vec![]
        } else {
            shape.split(',').collect()
        };
        Ok(TensorSpec {
            name: name.to_owned(),
            datatype: datatype.parse()?,
            shape: dimensions
                .into_iter()
                .enumerate()
                .map(|(axis, dimension)| parse_dimension(name, axis, dimension.trim()))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// `?` and `-1` are open as well, each by itself; `32*height` is any multiple of 32.
fn parse_dimension(name: &str, axis: usize, text: &str) -> Result<Dimension, InvalidSpec> {
    let invalid = || InvalidSpec::Dimension(text.to_owned());
    if text == "?" || text == "-1" {
        return Ok(Dimension::Symbolic(format!("{name}_{axis}")));
    }
    let name = match text.split_once('*') {
        Some((step, name)) if step.parse::<u64>().is_ok_and(|step| step > 1) => name,
        _ => text,
    };
    if name.len() < text.len() && name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(invalid());
    }
    match name.chars().next().ok_or_else(invalid)? {
        first if first.is_ascii_digit() => {
            text.parse().map(Dimension::Fixed).map_err(|_| invalid())
        }
        _ if name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            Ok(Dimension::Symbolic(text.to_owned()))
        }
        _ => Err(invalid()),
    }
}

fn list(specs: &[TensorSpec]) -> String {
    let names: Vec<_> = specs
        .iter()
        .map(|spec| format!("`{}`", spec.name))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_that_is_no_word_is_refused() {
        for shape in [
            "a b", "a[", "n*2", "2*2", "0*n", "2*", "*n", "a\u{b}b", "", "-2", "1.5",
        ] {
            let text = format!("x=FP32[{shape},4]");
            assert!(text.parse::<TensorSpec>().is_err(), "{text}");
        }
    }

    fn spec(text: &str) -> TensorSpec {
        text.parse().unwrap()
    }

    fn floats(name: &str, shape: &[u64]) -> Tensor {
        let count: u64 = shape.iter().product();
        Tensor {
            name: name.to_owned(),
            datatype: Datatype::Fp32,
            shape: shape.to_vec(),
            data: vec![0; count as usize * 4],
        }
    }

    fn check(inputs: &[Tensor], expected: &str) {
        let signature = Signature {
            inputs: vec![spec("x=FP32[N,4]"), spec("y=FP32[N]")],
            outputs: vec![spec("label=INT64[N]")],
        };
        let checked = signature.check_inputs(inputs);
        let error = checked
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.is_empty(), expected.is_empty(), "{error}");
    }

    #[test]
    fn sizes_are_multiples_of_what_a_symbol_says() {
        let image = spec("x=FP32[N,1,32*h]");
        let takes = |shape| image.check(&floats("x", shape), &mut BTreeMap::new());
        takes(&[1, 1, 96]).unwrap();
        let error = takes(&[1, 1, 97]).unwrap_err().to_string();
        assert_eq!(
            error,
            "input `x=FP32[N,1,32*h]` does not take shape [1, 1, 97]"
        );
    }

    #[test]
    fn zeros_grow_where_sizes_are_open() {
        let shapes = |inputs: &[&str]| {
            let signature = Signature {
                inputs: inputs.iter().map(|text| spec(text)).collect(),
                outputs: vec![],
            };
            let shapes = |tensors: Vec<Tensor>| tensors.into_iter().map(|tensor| tensor.shape);
            signature
                .zeros()
                .map(|tensors| shapes(tensors).collect())
                .collect::<Vec<Vec<_>>>()
        };
        assert_eq!(
            shapes(&["x=FP32[N,4]", "y=FP32[2,N]"]),
            [[vec![1, 4], vec![2, 1]]]
        );
        assert_eq!(
            shapes(&["x=FP32[N,48*w]"]),
            [[vec![1, 48]], [vec![1, 48]], [vec![1, 528]]]
        );
        assert_eq!(
            shapes(&["x=FP32[N,a,b,c]"]).len(),
            2,
            "the last would be half a gigabyte"
        );
    }

    #[test]
    fn specs_are_written_as_they_are_read() {
        for text in [
            "x=FP32[N,3,224,224]",
            "a=b=INT64[]",
            "s=BYTES[2]",
            "x=FP32[N,3,32*h,32*w]",
        ] {
            assert_eq!(spec(text).to_string(), text);
        }
        assert_eq!(spec("x=FP32[?,-1]").to_string(), "x=FP32[x_0,x_1]");
        for text in [
            "x",
            "x=FP32",
            "x=FP32[2",
            "=FP32[2]",
            "x=FP33[2]",
            "x=FP32[2,]",
            "x=FP32[2a]",
        ] {
            assert!(text.parse::<TensorSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn inputs_are_held_against_the_signature() {
        let (x, y) = (floats("x", &[3, 4]), floats("y", &[3]));
        check(&[x.clone(), y.clone()], "");
        check(&[y.clone(), x.clone()], "");
        check(&[floats("x", &[0, 4]), floats("y", &[0])], "");
        check(std::slice::from_ref(&x), "input `y=FP32[N]` is missing");
        check(&[x.clone(), y.clone(), y.clone()], "`y` is given twice");
        check(
            &[x.clone(), floats("z", &[3])],
            "no input `z`; its inputs are `x`, `y`",
        );
        check(
            &[x.clone(), floats("y", &[2])],
            "sets dimension N to 2, another input set it to 3",
        );
        check(
            &[floats("x", &[3, 5]), y.clone()],
            "does not take shape [3, 5]",
        );
        check(&[floats("x", &[12]), y.clone()], "does not take shape [12]");
        let short = Tensor {
            data: vec![0; 11],
            ..y.clone()
        };
        check(&[x.clone(), short], "takes 12 bytes, got 11");
        let wrong = Tensor {
            datatype: Datatype::Int32,
            ..y
        };
        check(&[x, wrong], "input `y` is FP32, got INT32");
    }
}
