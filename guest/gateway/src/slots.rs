//! What stands beside the gateway: the application, and the modelets in their slots.

use modelet_protocol::{Datatype, Tensor};

use self::bindings::modelet::model::inference as guest;
use crate::reply::Failure;

#[allow(
    clippy::allow_attributes_without_reason,
    unsafe_op_in_unsafe_fn,
    unused_qualifications,
    reason = "generated code"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: ["../wit", "wit"],
        world: "modelet:gateway/gateway",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

/// JSON that [`crate::application::Served::read`] takes.
pub fn application() -> String {
    bindings::application()
}

/// Runs the modelet in this slot once. One that traps takes the whole instance with it.
pub fn infer(slot: u8, inputs: Vec<Tensor>, outputs: &[String]) -> Result<Vec<Tensor>, Failure> {
    let inputs: Vec<guest::Tensor> = inputs.into_iter().map(to_guest).collect();
    let said = match slot {
        0 => bindings::slot0::infer(&inputs, outputs),
        1 => bindings::slot1::infer(&inputs, outputs),
        2 => bindings::slot2::infer(&inputs, outputs),
        3 => bindings::slot3::infer(&inputs, outputs),
        4 => bindings::slot4::infer(&inputs, outputs),
        5 => bindings::slot5::infer(&inputs, outputs),
        6 => bindings::slot6::infer(&inputs, outputs),
        7 => bindings::slot7::infer(&inputs, outputs),
        8 => bindings::slot8::infer(&inputs, outputs),
        9 => bindings::slot9::infer(&inputs, outputs),
        10 => bindings::slot10::infer(&inputs, outputs),
        11 => bindings::slot11::infer(&inputs, outputs),
        12 => bindings::slot12::infer(&inputs, outputs),
        13 => bindings::slot13::infer(&inputs, outputs),
        14 => bindings::slot14::infer(&inputs, outputs),
        15 => bindings::slot15::infer(&inputs, outputs),
        _ => return Err(Failure::Internal(format!("there is no slot {slot}"))),
    };
    match said {
        Ok(outputs) => Ok(outputs.into_iter().map(from_guest).collect()),
        Err(guest::Error::InvalidInput(reason)) => Err(Failure::Refused(reason)),
        Err(guest::Error::ModelFailed(reason)) => Err(Failure::ModelFailed(reason)),
    }
}

fn to_guest(tensor: Tensor) -> guest::Tensor {
    guest::Tensor {
        name: tensor.name,
        datatype: match tensor.datatype {
            Datatype::Bool => guest::Datatype::Bool,
            Datatype::Uint8 => guest::Datatype::Uint8,
            Datatype::Uint16 => guest::Datatype::Uint16,
            Datatype::Uint32 => guest::Datatype::Uint32,
            Datatype::Uint64 => guest::Datatype::Uint64,
            Datatype::Int8 => guest::Datatype::Int8,
            Datatype::Int16 => guest::Datatype::Int16,
            Datatype::Int32 => guest::Datatype::Int32,
            Datatype::Int64 => guest::Datatype::Int64,
            Datatype::Fp16 => guest::Datatype::Fp16,
            Datatype::Fp32 => guest::Datatype::Fp32,
            Datatype::Fp64 => guest::Datatype::Fp64,
            Datatype::Bytes => guest::Datatype::Bytes,
        },
        shape: tensor.shape,
        data: tensor.data,
    }
}

fn from_guest(tensor: guest::Tensor) -> Tensor {
    Tensor {
        name: tensor.name,
        datatype: match tensor.datatype {
            guest::Datatype::Bool => Datatype::Bool,
            guest::Datatype::Uint8 => Datatype::Uint8,
            guest::Datatype::Uint16 => Datatype::Uint16,
            guest::Datatype::Uint32 => Datatype::Uint32,
            guest::Datatype::Uint64 => Datatype::Uint64,
            guest::Datatype::Int8 => Datatype::Int8,
            guest::Datatype::Int16 => Datatype::Int16,
            guest::Datatype::Int32 => Datatype::Int32,
            guest::Datatype::Int64 => Datatype::Int64,
            guest::Datatype::Fp16 => Datatype::Fp16,
            guest::Datatype::Fp32 => Datatype::Fp32,
            guest::Datatype::Fp64 => Datatype::Fp64,
            guest::Datatype::Bytes => Datatype::Bytes,
        },
        shape: tensor.shape,
        data: tensor.data,
    }
}
