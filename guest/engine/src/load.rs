//! From the bytes of an ONNX file to a plan that runs.

mod declare;
mod explain;
mod functions;
mod gelu;
mod items;
mod maps;
mod one_hot;
#[cfg(target_arch = "wasm32")]
mod products;
#[cfg(target_arch = "wasm32")]
mod sizes;
mod whole;

use std::hint::black_box;

use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

use crate::by_item::ByItem;
#[cfg(target_arch = "wasm32")]
use crate::floats;
use crate::late::Late;
use crate::prepared::Prepared;
use crate::{Dimension, Model, Signature, TensorSpec, values};
use declare::Open;

/// The engine's name and version, as they are embedded in every modelet.
pub const ENGINE: &str = "tract 0.23.9";

/// A name that no dimension has.
const BATCH: &str = "number_of_items_in_the_batch";

/// Reads, types and optimises a model. `overrides` replace the declared datatype and shape of the
/// inputs they name. The error says which part of the file cannot be used, and where.
pub fn load(onnx: &[u8], overrides: &[TensorSpec]) -> Result<Model, String> {
    let framework = framework();
    let mut attempt = try_load(&framework, onnx, overrides, Open::Any);
    if attempt.is_err() && may_share_rows(&framework, onnx) {
        // Exporters that have one input for each column leave open that all have the same rows.
        attempt = try_load(&framework, onnx, overrides, Open::SharedRows);
    }
    let error = match attempt {
        Ok(model) => return Ok(model),
        Err(error) => error,
    };
    if may_be_in_steps(&framework, onnx, overrides)
        && let Ok(model) = try_load(&framework, onnx, overrides, Open::ImageSteps)
    {
        return Ok(model);
    }
    let reason = explained(&framework, onnx, overrides, &error);
    match late(&framework, onnx, overrides) {
        Some((late, signature)) => Ok(Model::late(late, signature, reason)),
        None => Err(reason),
    }
}

fn framework() -> Onnx {
    let mut framework = onnx()
        // Exporters leave shapes here that contradict the dimensions a model is later given.
        .with_ignore_value_info(true);
    modelet_kernels::link();
    modelet_operators::register(&mut framework);
    framework
}

fn explained(
    framework: &Onnx,
    onnx: &[u8],
    overrides: &[TensorSpec],
    error: &TractError,
) -> String {
    let graph = read(framework, onnx).and_then(|mut proto| {
        let inputs = declare::inputs(&mut proto, overrides, Open::Any)?;
        Ok((proto.graph.unwrap_or_default(), inputs))
    });
    match graph {
        Ok((graph, inputs)) => explain::explain(error, &graph, &inputs),
        // It was this error already.
        Err(_) => format!("{error:#}"),
    }
}

/// The model as one that is prepared for each request, if it then answers one of zeros.
fn late(framework: &Onnx, onnx: &[u8], overrides: &[TensorSpec]) -> Option<(Late, Signature)> {
    let mut proto = read(framework, onnx).ok()?;
    let inputs = declare::inputs(&mut proto, overrides, Open::SharedRows).ok()?;
    let outputs = declare::outputs(&mut proto).ok()?;
    let outputs = outputs.into_iter().map(|output| {
        Some(TensorSpec {
            name: output.name,
            datatype: output.datatype?,
            shape: output.shape?,
        })
    });
    let signature = Signature {
        outputs: outputs.collect::<Option<_>>()?,
        inputs,
    };
    let late = Late::new(framework, &proto);
    drop(proto);
    let zeros = signature.inputs.iter().map(zeros).collect::<Option<_>>()?;
    let answers = late.run_once(zeros).ok()?;
    clear_stack();
    (answers.len() == signature.outputs.len()).then_some((late, signature))
}

/// An open dimension is one.
fn zeros(spec: &TensorSpec) -> Option<TValue> {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => usize::try_from(*size).ok(),
        Dimension::Symbolic(_) => Some(1),
    };
    let shape: Vec<usize> = spec.shape.iter().map(size).collect::<Option<_>>()?;
    let tensor = Tensor::zero_dt(values::datum_type(spec.datatype), &shape).ok()?;
    Some(tensor.into_tvalue())
}

/// Whether several inputs have a first dimension that the file leaves open without a name.
fn may_share_rows(framework: &Onnx, onnx: &[u8]) -> bool {
    let proto = read(framework, onnx);
    proto.is_ok_and(|mut proto| declare::n_open_batches(&mut proto).is_ok_and(|count| count > 1))
}

/// Whether an image's height or width is open.
fn may_be_in_steps(framework: &Onnx, onnx: &[u8], overrides: &[TensorSpec]) -> bool {
    let proto = read(framework, onnx);
    proto.is_ok_and(|mut proto| {
        declare::has_open_image(&mut proto, overrides).is_ok_and(|has_open| has_open)
    })
}

/// The file as tract can take it: without functions, maps and operators that there are none of.
fn read(framework: &Onnx, onnx: &[u8]) -> TractResult<ModelProto> {
    let mut proto = framework
        .proto_model_for_read(&mut &*onnx)
        .context("this is not an ONNX file, or it is damaged")?;
    functions::inline(&mut proto)?;
    whole::check(&proto)?;
    if let Some(graph) = &mut proto.graph {
        maps::as_tables(graph)?;
        modelet_operators::quantized::fold(graph);
        modelet_operators::refuse(framework, graph)?;
    }
    Ok(proto)
}

fn try_load(
    framework: &Onnx,
    onnx: &[u8],
    overrides: &[TensorSpec],
    open: Open,
) -> TractResult<Model> {
    let mut proto = read(framework, onnx)?;
    let inputs = declare::inputs(&mut proto, overrides, open)?;
    let declared = declare::outputs(&mut proto)?;
    let model = typed(framework, &proto)?;
    let outputs = outputs(&model, declared)?;
    let signature = Signature { inputs, outputs };
    let (mut model, is_by_item) = by_item(framework, &mut proto, &signature.inputs, model)?;
    gelu::fuse(&mut model)?;
    one_hot::pick(&mut model)?;
    // The weights are in the graph now; their first copy is not needed beside it. Nor is who made the file.
    drop(proto);
    model.properties.clear();
    model.declutter()?;
    #[cfg(target_arch = "wasm32")]
    let found = products::find(&model);
    model.optimize()?;
    #[cfg(target_arch = "wasm32")]
    sizes::write_anew(&mut model);
    #[cfg(target_arch = "wasm32")]
    let model = floats::take(products::take(model, &found)?)?;
    clear_stack();
    // Places in tables that hold nothing hold what lay on the stack when they were made: remains of the
    // operations that were optimised away, which would count as in use.
    let plan = Prepared::new(model.clone().into_runnable()?)?;
    drop(model);
    Ok(match is_by_item {
        true => Model::new(ByItem(plan), signature),
        false => Model::new(plan, signature),
    })
}

fn typed(framework: &Onnx, proto: &ModelProto) -> TractResult<TypedModel> {
    let model = framework.model_for_proto_model(proto)?;
    for outlet in model.input_outlets()? {
        let sizes = model.outlet_fact(*outlet)?.shape.dims();
        for size in sizes.filter_map(GenericFactoid::concretize) {
            if !matches!(size, TDim::Sym(_)) {
                // tract divides a multiple by what it is one of where it cannot be negative.
                for symbol in size.symbols() {
                    model.symbols.add_assertion(format!("{symbol} >= 0"))?;
                }
            }
        }
    }
    model.into_typed()?.into_decluttered()
}

/// The model for one item of its batch, and whether it is: if it treats each by itself. `model` is the one in `proto`,
/// which declares `inputs`.
fn by_item(
    framework: &Onnx,
    proto: &mut ModelProto,
    inputs: &[TensorSpec],
    model: TypedModel,
) -> TractResult<(TypedModel, bool)> {
    if items::batch(&model)?.is_some() {
        // The weights of both need not be in memory at one time.
        drop(model);
        declare::batch(proto, inputs, &Dimension::Fixed(1))?;
        return Ok((typed(framework, proto)?, true));
    }
    if !items::may_be_apart(&model)? {
        return Ok((model, false));
    }
    drop(model);
    // Where the items go is seen by the name of their number, which a number has not.
    let mut one_item = || {
        declare::batch(proto, inputs, &Dimension::Symbolic(BATCH.to_owned()))?;
        let is_apart = items::batch(&typed(framework, proto)?)?.is_some();
        ensure!(is_apart, "items that meet");
        declare::batch(proto, inputs, &Dimension::Fixed(1))?;
        typed(framework, proto)
    };
    if let Ok(model) = one_item() {
        return Ok((model, true));
    }
    declare::types(proto, inputs)?;
    Ok((typed(framework, proto)?, false))
}

/// Zeroes the stack from here on, as far as preparing a model goes down.
#[inline(never)]
fn clear_stack() {
    let mut unused = [0u8; 512 << 10];
    black_box(&mut unused);
}

/// Declared names and datatypes with the shapes that tract inferred.
fn outputs(model: &TypedModel, declared: Vec<declare::Output>) -> TractResult<Vec<TensorSpec>> {
    let facts = model.output_outlets()?.to_vec();
    ensure!(
        facts.len() == declared.len(),
        "the graph lost outputs while it was optimised"
    );
    declared
        .into_iter()
        .zip(facts)
        .map(|(output, outlet)| {
            let fact = model.outlet_fact(outlet)?;
            let datatype = match output.datatype {
                Some(datatype) => datatype,
                None => values::datatype(fact.datum_type).with_context(|| {
                    format!(
                        "output `{}` is {:?}, which no protocol datatype can carry",
                        output.name, fact.datum_type
                    )
                })?,
            };
            Ok(TensorSpec {
                name: output.name,
                datatype,
                shape: fact.shape.iter().map(dimension).collect(),
            })
        })
        .collect()
}

fn dimension(size: &TDim) -> Dimension {
    match size.to_i64() {
        Ok(size) if size >= 0 => Dimension::Fixed(size as u64),
        _ => Dimension::Symbolic(size.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use prost::Message as _;
    use tract_onnx::pb::attribute_proto::AttributeType;
    use tract_onnx::pb::{
        AttributeProto, GraphProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
    };

    use super::*;
    use crate::{Datatype, Tensor};

    fn node(
        op_type: &str,
        inputs: &[&str],
        output: &str,
        attribute: &[AttributeProto],
    ) -> NodeProto {
        NodeProto {
            op_type: op_type.to_owned(),
            input: inputs.iter().map(|name| name.to_string()).collect(),
            output: vec![output.to_owned()],
            attribute: attribute.to_vec(),
            ..NodeProto::default()
        }
    }

    fn axis(axis: i64) -> AttributeProto {
        AttributeProto {
            name: "axis".to_owned(),
            r#type: AttributeType::Int.into(),
            i: axis,
            ..AttributeProto::default()
        }
    }

    fn sizes(name: &str, sizes: &[i64]) -> AttributeProto {
        AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Ints.into(),
            ints: sizes.to_vec(),
            ..AttributeProto::default()
        }
    }

    fn constant(name: &str, shape: &[i64], values: &[f32]) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: shape.to_vec(),
            data_type: 1,
            float_data: values.to_vec(),
            ..TensorProto::default()
        }
    }

    /// A file that makes `y` of `input`.
    fn file(nodes: Vec<NodeProto>, constant: TensorProto, input: TensorSpec) -> Vec<u8> {
        let value = |name: &str| ValueInfoProto {
            name: name.to_owned(),
            ..ValueInfoProto::default()
        };
        let graph = GraphProto {
            node: nodes,
            initializer: vec![constant],
            input: vec![value(&input.name)],
            output: vec![value("y")],
            ..GraphProto::default()
        };
        let mut proto = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                version: 17,
                ..OperatorSetIdProto::default()
            }],
            graph: Some(graph),
            ..ModelProto::default()
        };
        declare::types(&mut proto, &[input]).unwrap();
        proto.encode_to_vec()
    }

    /// Two images of one row and two columns, a convolution that leaves them as they are, and the shares along an axis.
    /// Of a single tap it would be a product.
    fn shares(along: i64) -> Vec<u8> {
        let nodes = vec![
            node("Conv", &["x", "k"], "h", &[sizes("pads", &[0, 0, 0, 1])]),
            node("Softmax", &["h"], "y", &[axis(along)]),
        ];
        file(nodes, constant("k", &[1, 1, 1, 2], &[1.0, 0.0]), images())
    }

    fn images() -> TensorSpec {
        TensorSpec {
            name: "x".to_owned(),
            datatype: Datatype::Fp32,
            shape: [2, 1, 1, 2].map(Dimension::Fixed).into(),
        }
    }

    #[test]
    fn images_of_a_fixed_batch_are_answered_together_where_they_meet() {
        let values = [0f32, 3f32.ln(), 0.0, 0.0];
        for (axis, expected) in [(0, [0.5, 0.75, 0.5, 0.25]), (3, [0.25, 0.75, 0.5, 0.5])] {
            let model = load(&shares(axis), &[]).unwrap();
            let input = Tensor {
                name: "x".to_owned(),
                datatype: Datatype::Fp32,
                shape: vec![2, 1, 1, 2],
                data: values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            };
            let answer = model.infer(vec![input], &[]).unwrap();
            let shares: Vec<f32> = answer[0]
                .data
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect();
            let near = |(share, expected): (&f32, &f32)| (share - expected).abs() < 1e-5;
            assert!(shares.iter().zip(&expected).all(near), "{shares:?}");
        }
    }

    /// An image, half of it, and that half at twice its size, one behind the other: only of an even height and width.
    fn halved() -> Vec<u8> {
        let pool = [sizes("kernel_shape", &[2, 2]), sizes("strides", &[2, 2])];
        let nodes = vec![
            node("MaxPool", &["x"], "half", &pool),
            node("Resize", &["half", "", "scales"], "whole", &[]),
            node("Concat", &["x", "whole"], "y", &[axis(1)]),
        ];
        let open = |name: &str| Dimension::Symbolic(name.to_owned());
        let image = TensorSpec {
            name: "x".to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![
                open("n"),
                Dimension::Fixed(1),
                open("height"),
                open("width"),
            ],
        };
        file(
            nodes,
            constant("scales", &[4], &[1.0, 1.0, 2.0, 2.0]),
            image,
        )
    }

    #[test]
    fn open_images_that_are_halved_and_put_together_go_in_steps() {
        let model = load(&halved(), &[]).unwrap();
        assert_eq!(model.not_prepared(), None);
        let shape = &model.signature().inputs[0].shape;
        assert_eq!(shape[2], Dimension::Symbolic("32*height".to_owned()));
        let ask = |height: usize, width: usize| {
            let values = (0..2 * height * width).map(|value| value as f32);
            model.infer(
                vec![Tensor {
                    name: "x".to_owned(),
                    datatype: Datatype::Fp32,
                    shape: vec![2, 1, height as u64, width as u64],
                    data: values.flat_map(f32::to_le_bytes).collect(),
                }],
                &[],
            )
        };
        for (height, width) in [(32, 64), (96, 32)] {
            let answer = ask(height, width).unwrap();
            assert_eq!(answer[0].shape, [2, 2, height as u64, width as u64]);
            // The greatest of the second image's first window, where its second channel begins.
            let place = 3 * height * width;
            let value = &answer[0].data[4 * place..4 * place + 4];
            let expected = (height * width + width + 1) as f32;
            assert_eq!(value, expected.to_le_bytes());
        }
        ask(33, 32).unwrap_err();
    }
}
