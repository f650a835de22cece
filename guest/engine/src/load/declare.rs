//! What the file declares of its inputs and outputs, with every open dimension given a name.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension as DimProto, dimension::Value as Size};
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto};
use tract_onnx::tract_hir::internal::*;

use crate::{Datatype, Dimension, TensorSpec, values};

/// A declared output. Without a datatype or a shape where the file declares no tensor, or not which.
pub struct Output {
    pub name: String,
    pub datatype: Option<Datatype>,
    pub shape: Option<Vec<Dimension>>,
}

/// What is taken for granted of sizes that are open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Nothing.
    Any,
    /// Inputs whose first dimension has no name have as many rows as each other.
    SharedRows,
    /// Images have a height and a width that can be halved five times. Networks that do so and then put together what
    /// they have before and after give an answer for no others.
    ImageSteps,
}

/// Heights and widths of [`Open::ImageSteps`] are multiples of this.
const IMAGE_STEP: &str = "32";

/// The name of the rows that inputs share.
const SHARED: &str = "N";

/// The inputs that are not constants: those a caller gives.
fn given(graph: &mut GraphProto) -> Vec<&mut ValueInfoProto> {
    let is_constant = |input: &ValueInfoProto| {
        let constants = &graph.initializer;
        constants.iter().any(|constant| constant.name == input.name)
    };
    graph
        .input
        .iter_mut()
        .filter(|input| !is_constant(input))
        .collect()
}

/// How many inputs have a first dimension that is open and has no name.
pub fn n_open_batches(proto: &mut ModelProto) -> TractResult<usize> {
    let mut count = 0;
    for input in given(graph(proto)?) {
        let (_, shape) = spec(input, &mut Symbols::default())?;
        let first = shape.and_then(|shape| shape.into_iter().next());
        count += usize::from(first == Some(None));
    }
    Ok(count)
}

/// The inputs a caller gives, rewritten in `proto` so that what tract reads is what is returned.
pub fn inputs(
    proto: &mut ModelProto,
    overrides: &[TensorSpec],
    open: Open,
) -> TractResult<Vec<TensorSpec>> {
    let mut specs = vec![];
    let mut symbols = Symbols::default();
    for input in given(graph(proto)?) {
        let (datatype, mut shape) = spec(input, &mut symbols)?;
        if let Some(first @ None) = shape.as_mut().and_then(|shape| shape.first_mut())
            && open == Open::SharedRows
        {
            *first = Some(symbols.dimension(SHARED));
        }
        let given = overrides.iter().find(|given| given.name == input.name);
        let mut spec = settle(&input.name, (datatype, shape), given, &mut symbols)?;
        if open == Open::ImageSteps {
            go_in_steps(&mut spec);
        }
        input.r#type = Some(tensor_type(&spec));
        specs.push(spec);
    }
    match overrides
        .iter()
        .find(|given| specs.iter().all(|spec| spec.name != given.name))
    {
        None => Ok(specs),
        Some(unknown) => bail!(
            "the model has no input `{}`; its inputs are {}",
            unknown.name,
            specs
                .iter()
                .map(|spec| format!("`{}`", spec.name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// Whether [`Open::ImageSteps`] says more of the inputs than [`Open::Any`].
pub fn has_open_image(proto: &mut ModelProto, overrides: &[TensorSpec]) -> TractResult<bool> {
    let mut inputs = inputs(proto, overrides, Open::Any)?;
    Ok(inputs.iter_mut().any(go_in_steps))
}

/// Makes multiples of what is open behind the first of four dimensions, and says whether there was some.
fn go_in_steps(spec: &mut TensorSpec) -> bool {
    let [_, sizes @ ..] = &mut spec.shape[..] else {
        return false;
    };
    let is_image = sizes.len() == 3;
    let mut is_open = false;
    for size in sizes {
        if let Dimension::Symbolic(symbol) = size
            && is_image
            && !symbol.contains('*')
        {
            *symbol = format!("{IMAGE_STEP}*{symbol}");
            is_open = true;
        }
    }
    is_open
}

/// Rewrites the inputs in `proto` as `inputs` has them, but with this first dimension.
pub fn batch(proto: &mut ModelProto, inputs: &[TensorSpec], first: &Dimension) -> TractResult<()> {
    let mut inputs = inputs.to_vec();
    for dimension in inputs.iter_mut().filter_map(|spec| spec.shape.first_mut()) {
        dimension.clone_from(first);
    }
    types(proto, &inputs)
}

/// Rewrites the inputs in `proto` as `inputs` has them.
pub fn types(proto: &mut ModelProto, inputs: &[TensorSpec]) -> TractResult<()> {
    for input in &mut graph(proto)?.input {
        if let Some(spec) = inputs.iter().find(|spec| spec.name == input.name) {
            input.r#type = Some(tensor_type(spec));
        }
    }
    Ok(())
}

/// The graph's outputs; a declared type that is no tensor (a map from ZipMap) is set aside.
pub fn outputs(proto: &mut ModelProto) -> TractResult<Vec<Output>> {
    let mut outputs = vec![];
    for output in &mut graph(proto)?.output {
        let datatype = match output.r#type.as_ref().and_then(|of| of.value.as_ref()) {
            Some(Value::TensorType(tensor)) if tensor.elem_type != 0 => {
                Some(datatype(&output.name, tensor.elem_type)?)
            }
            _ => None,
        };
        let shape = declared_shape(output);
        if datatype.is_none() {
            output.r#type = None;
        }
        outputs.push(Output {
            name: output.name.clone(),
            datatype,
            shape,
        });
    }
    Ok(outputs)
}

/// Of an output, with names for what is open.
fn declared_shape(output: &ValueInfoProto) -> Option<Vec<Dimension>> {
    let (_, shape) = spec(output, &mut Symbols::default()).ok()?;
    let named = |(axis, size): (usize, Option<Dimension>)| {
        size.unwrap_or_else(|| Dimension::Symbolic(format!("{}_{axis}", output.name)))
    };
    Some(shape?.into_iter().enumerate().map(named).collect())
}

fn graph(proto: &mut ModelProto) -> TractResult<&mut GraphProto> {
    proto
        .graph
        .as_mut()
        .context("the file holds no graph: this is not an ONNX model")
}

/// The declared datatype and, where the rank is known, the shape; an open dimension is `None`.
type Declared = (Option<Datatype>, Option<Vec<Option<Dimension>>>);

fn spec(input: &ValueInfoProto, symbols: &mut Symbols) -> TractResult<Declared> {
    let Some(Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|of| of.value.as_ref())
    else {
        bail!(
            "input `{}` is not a tensor, and the protocol carries only tensors: convert the model \
             so that it takes one (skl2onnx: initial_types with tensor types)",
            input.name
        );
    };
    let datatype = match tensor.elem_type {
        0 => None,
        elem_type => Some(datatype(&input.name, elem_type)?),
    };
    let shape = tensor.shape.as_ref().map(|shape| {
        let dimensions = shape.dim.iter();
        dimensions.map(|size| dimension(size, symbols)).collect()
    });
    Ok((datatype, shape))
}

fn dimension(proto: &DimProto, symbols: &mut Symbols) -> Option<Dimension> {
    match proto.value.as_ref()? {
        Size::DimValue(size) => u64::try_from(*size).ok().map(Dimension::Fixed),
        Size::DimParam(name) if name.is_empty() || name == "?" || name.starts_with("unk__") => None,
        Size::DimParam(name) => Some(symbols.dimension(name)),
    }
}

/// The symbols of one model. tract reads only some names as a symbol and not as an expression; two
/// names that differ stay two symbols.
#[derive(Default)]
struct Symbols {
    /// What the file or the user calls it, and what tract does.
    known: Vec<(String, String)>,
}

impl Symbols {
    /// As `dimension`, also of `32*height`.
    fn multiple(&mut self, text: &str) -> Dimension {
        let Some((step, name)) = text.split_once('*') else {
            return self.dimension(text);
        };
        match self.dimension(name) {
            Dimension::Symbolic(symbol) => Dimension::Symbolic(format!("{step}*{symbol}")),
            fixed => fixed,
        }
    }

    fn dimension(&mut self, name: &str) -> Dimension {
        if let Some((_, symbol)) = self.known.iter().find(|(known, _)| known == name) {
            return Dimension::Symbolic(symbol.clone());
        }
        let mut symbol: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        if !symbol.starts_with(|c: char| c.is_ascii_alphabetic()) {
            symbol.insert(0, 'd');
        }
        while self.known.iter().any(|(_, taken)| *taken == symbol) {
            symbol.push('_');
        }
        self.known.push((name.to_owned(), symbol.clone()));
        Dimension::Symbolic(symbol)
    }
}

fn settle(
    name: &str,
    declared: Declared,
    given: Option<&TensorSpec>,
    symbols: &mut Symbols,
) -> TractResult<TensorSpec> {
    let (datatype, shape) = declared;
    if let Some(given) = given {
        if let Some(declared) = datatype
            && declared != given.datatype
        {
            bail!(
                "input `{name}` is declared {} in the file, not {}",
                values::name(declared),
                values::name(given.datatype)
            );
        }
        if let Some(shape) = shape
            && !fits(&shape, &given.shape)
        {
            bail!(
                "input `{name}` is declared with the shape [{}] in the file, which the given shape \
                 contradicts",
                written(&shape)
            );
        }
        let shape = given.shape.iter().map(|dimension| match dimension {
            Dimension::Symbolic(name) => symbols.multiple(name),
            fixed => fixed.clone(),
        });
        return Ok(TensorSpec {
            name: name.to_owned(),
            datatype: given.datatype,
            shape: shape.collect(),
        });
    }
    let datatype = datatype
        .with_context(|| format!("input `{name}` declares no datatype; give one with --input"))?;
    let shape = shape.with_context(|| {
        format!(
            "input `{name}` declares no shape; give one, for example --input '{name}=FP32[N,4]'"
        )
    })?;
    let shape = shape.into_iter().enumerate().map(|(axis, dimension)| {
        dimension.unwrap_or_else(|| symbols.dimension(&format!("{name}_{axis}")))
    });
    Ok(TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: shape.collect(),
    })
}

/// A declared shape, with `?` for what is open.
fn written(shape: &[Option<Dimension>]) -> String {
    let sizes = shape.iter().map(|size| match size {
        Some(Dimension::Fixed(size)) => size.to_string(),
        Some(Dimension::Symbolic(name)) => name.clone(),
        None => "?".to_owned(),
    });
    sizes.collect::<Vec<_>>().join(",")
}

fn fits(declared: &[Option<Dimension>], given: &[Dimension]) -> bool {
    declared.len() == given.len()
        && declared
            .iter()
            .zip(given)
            .all(|(declared, given)| match (declared, given) {
                (Some(Dimension::Fixed(declared)), Dimension::Fixed(given)) => declared == given,
                (Some(Dimension::Fixed(_)), Dimension::Symbolic(_)) => false,
                _ => true,
            })
}

fn tensor_type(spec: &TensorSpec) -> TypeProto {
    let dim = spec.shape.iter().map(|dimension| {
        let value = match dimension {
            Dimension::Fixed(size) => Size::DimValue(i64::try_from(*size).unwrap_or(i64::MAX)),
            Dimension::Symbolic(symbol) => Size::DimParam(symbol.clone()),
        };
        DimProto {
            value: Some(value),
            ..DimProto::default()
        }
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor = TensorType {
        elem_type: elem_type(spec.datatype) as i32,
        shape,
    };
    TypeProto {
        value: Some(Value::TensorType(tensor)),
        ..TypeProto::default()
    }
}

fn datatype(name: &str, elem_type: i32) -> TractResult<Datatype> {
    let of = data_type(name, elem_type)?;
    DatumType::try_from(of)
        .ok()
        .and_then(values::datatype)
        .with_context(|| {
            format!(
                "`{name}` is {}, which no protocol datatype can carry: let the model take and give \
                 FLOAT, and cast inside",
                of.as_str_name()
            )
        })
}

/// ONNX's own datatype of `name`.
pub fn data_type(name: &str, number: i32) -> TractResult<DataType> {
    DataType::try_from(number).map_err(|_| {
        format_err!("`{name}` has the datatype {number}, which ONNX 1.23 does not know")
    })
}

fn elem_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::Bool,
        Datatype::Uint8 => DataType::Uint8,
        Datatype::Uint16 => DataType::Uint16,
        Datatype::Uint32 => DataType::Uint32,
        Datatype::Uint64 => DataType::Uint64,
        Datatype::Int8 => DataType::Int8,
        Datatype::Int16 => DataType::Int16,
        Datatype::Int32 => DataType::Int32,
        Datatype::Int64 => DataType::Int64,
        Datatype::Fp16 => DataType::Float16,
        Datatype::Fp32 => DataType::Float,
        Datatype::Fp64 => DataType::Double,
        Datatype::Bytes => DataType::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_a_sign_only_are_two_symbols() {
        let mut symbols = Symbols::default();
        let mut symbol = |name| symbols.dimension(name);
        let named = |name: &str| Dimension::Symbolic(name.to_owned());
        assert_eq!(symbol("a.b"), named("a_b"));
        assert_eq!(symbol("a_b"), named("a_b_"));
        assert_eq!(symbol("a.b"), named("a_b"));
        assert_eq!(symbol("2*n"), named("d2_n"));
    }
}
