//! Between the protocol's values and those of `guest/wit`. Tensor data is lent or moves, it is not copied.

use modelet_protocol::{Datatype, Dimension, Signature, Tensor};
use wasmtime::AsContextMut;
use wasmtime::component::Instance;

use crate::bindings::Modelet;
use crate::bindings::exports::modelet::model::inference as wit;

pub use wit::TensorSpec;

/// The signature that a live instance gives of itself.
pub fn describe<S: AsContextMut<Data: Send>>(
    mut store: S,
    instance: &Instance,
) -> wasmtime::Result<Signature> {
    let signature = Modelet::new(&mut store, instance)?
        .modelet_model_inference()
        .call_describe(&mut store)?;
    Ok(self::signature(signature))
}

/// A declared input as the guest takes it.
pub fn spec_to_guest(spec: &modelet_protocol::TensorSpec) -> TensorSpec {
    TensorSpec {
        name: spec.name.clone(),
        datatype: datatype_to_guest(spec.datatype),
        shape: spec
            .shape
            .iter()
            .map(|dimension| match dimension {
                Dimension::Fixed(size) => wit::Dimension::Fixed(*size),
                Dimension::Symbolic(symbol) => wit::Dimension::Symbolic(symbol.clone()),
            })
            .collect(),
    }
}

pub(crate) fn to_guest(tensor: &Tensor) -> wit::TensorParam<'_> {
    wit::TensorParam {
        name: &tensor.name,
        datatype: datatype_to_guest(tensor.datatype),
        shape: &tensor.shape,
        data: &tensor.data,
    }
}

pub(crate) fn from_guest(tensor: wit::TensorResult) -> Tensor {
    Tensor {
        name: tensor.name,
        datatype: datatype_from_guest(tensor.datatype),
        shape: tensor.shape,
        data: tensor.data,
    }
}

pub(crate) fn signature(signature: wit::Signature) -> Signature {
    Signature {
        inputs: signature.inputs.into_iter().map(spec_from_guest).collect(),
        outputs: signature.outputs.into_iter().map(spec_from_guest).collect(),
    }
}

fn spec_from_guest(spec: TensorSpec) -> modelet_protocol::TensorSpec {
    modelet_protocol::TensorSpec {
        name: spec.name,
        datatype: datatype_from_guest(spec.datatype),
        shape: spec
            .shape
            .into_iter()
            .map(|dimension| match dimension {
                wit::Dimension::Fixed(size) => Dimension::Fixed(size),
                wit::Dimension::Symbolic(symbol) => Dimension::Symbolic(symbol),
            })
            .collect(),
    }
}

fn datatype_to_guest(datatype: Datatype) -> wit::Datatype {
    match datatype {
        Datatype::Bool => wit::Datatype::Bool,
        Datatype::Uint8 => wit::Datatype::Uint8,
        Datatype::Uint16 => wit::Datatype::Uint16,
        Datatype::Uint32 => wit::Datatype::Uint32,
        Datatype::Uint64 => wit::Datatype::Uint64,
        Datatype::Int8 => wit::Datatype::Int8,
        Datatype::Int16 => wit::Datatype::Int16,
        Datatype::Int32 => wit::Datatype::Int32,
        Datatype::Int64 => wit::Datatype::Int64,
        Datatype::Fp16 => wit::Datatype::Fp16,
        Datatype::Fp32 => wit::Datatype::Fp32,
        Datatype::Fp64 => wit::Datatype::Fp64,
        Datatype::Bytes => wit::Datatype::Bytes,
    }
}

fn datatype_from_guest(datatype: wit::Datatype) -> Datatype {
    match datatype {
        wit::Datatype::Bool => Datatype::Bool,
        wit::Datatype::Uint8 => Datatype::Uint8,
        wit::Datatype::Uint16 => Datatype::Uint16,
        wit::Datatype::Uint32 => Datatype::Uint32,
        wit::Datatype::Uint64 => Datatype::Uint64,
        wit::Datatype::Int8 => Datatype::Int8,
        wit::Datatype::Int16 => Datatype::Int16,
        wit::Datatype::Int32 => Datatype::Int32,
        wit::Datatype::Int64 => Datatype::Int64,
        wit::Datatype::Fp16 => Datatype::Fp16,
        wit::Datatype::Fp32 => Datatype::Fp32,
        wit::Datatype::Fp64 => Datatype::Fp64,
        wit::Datatype::Bytes => Datatype::Bytes,
    }
}
