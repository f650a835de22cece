//! Tensors of the contract to tensors of tract and back.

use tract_onnx::prelude::*;

use crate::Datatype;

pub fn datum_type(datatype: Datatype) -> DatumType {
    match datatype {
        Datatype::Bool => DatumType::Bool,
        Datatype::Uint8 => DatumType::U8,
        Datatype::Uint16 => DatumType::U16,
        Datatype::Uint32 => DatumType::U32,
        Datatype::Uint64 => DatumType::U64,
        Datatype::Int8 => DatumType::I8,
        Datatype::Int16 => DatumType::I16,
        Datatype::Int32 => DatumType::I32,
        Datatype::Int64 => DatumType::I64,
        Datatype::Fp16 => DatumType::F16,
        Datatype::Fp32 => DatumType::F32,
        Datatype::Fp64 => DatumType::F64,
        Datatype::Bytes => DatumType::String,
    }
}

/// The contract's name for a tract type; `None` for those that have none.
pub fn datatype(datum_type: DatumType) -> Option<Datatype> {
    Some(match datum_type.unquantized() {
        DatumType::Bool => Datatype::Bool,
        DatumType::U8 => Datatype::Uint8,
        DatumType::U16 => Datatype::Uint16,
        DatumType::U32 => Datatype::Uint32,
        DatumType::U64 => Datatype::Uint64,
        DatumType::I8 => Datatype::Int8,
        DatumType::I16 => Datatype::Int16,
        DatumType::I32 => Datatype::Int32,
        // tract computes shapes, and ONNX casts to INT64, in a symbolic integer type of its own.
        DatumType::I64 | DatumType::TDim => Datatype::Int64,
        DatumType::F16 => Datatype::Fp16,
        DatumType::F32 => Datatype::Fp32,
        DatumType::F64 => Datatype::Fp64,
        DatumType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// As the protocol writes it.
pub fn name(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "BOOL",
        Datatype::Uint8 => "UINT8",
        Datatype::Uint16 => "UINT16",
        Datatype::Uint32 => "UINT32",
        Datatype::Uint64 => "UINT64",
        Datatype::Int8 => "INT8",
        Datatype::Int16 => "INT16",
        Datatype::Int32 => "INT32",
        Datatype::Int64 => "INT64",
        Datatype::Fp16 => "FP16",
        Datatype::Fp32 => "FP32",
        Datatype::Fp64 => "FP64",
        Datatype::Bytes => "BYTES",
    }
}

/// Reads little-endian row-major `data` as a tract tensor.
pub fn tensor(datatype: Datatype, shape: &[u64], data: &[u8]) -> Result<Tensor, String> {
    let shape: TVec<usize> = shape
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| format!("shape {shape:?} is too large")))
        .collect::<Result<_, _>>()?;
    let count = shape
        .iter()
        .try_fold(1usize, |count, &size| count.checked_mul(size))
        .ok_or_else(|| format!("the product of shape {shape:?} overflows"))?;
    if datatype == Datatype::Bytes {
        return strings(&shape, count, data);
    }
    let datum_type = datum_type(datatype);
    if count.checked_mul(datum_type.size_of()) != Some(data.len()) {
        return Err(format!(
            "shape {shape:?} does not take {} bytes",
            data.len()
        ));
    }
    if datatype == Datatype::Bool && data.iter().any(|&byte| byte > 1) {
        return Err("a boolean is the byte 0 or 1".to_owned());
    }
    // SAFETY: all bytes make numbers, and those of booleans were looked at. wasm32 is little-endian, as
    // is every host that runs this code natively.
    let tensor = unsafe { Tensor::from_raw_dt(datum_type, &shape, data) };
    tensor.map_err(|error| error.to_string())
}

fn strings(shape: &[usize], count: usize, mut data: &[u8]) -> Result<Tensor, String> {
    let mut elements = Vec::new();
    while !data.is_empty() {
        let (length, rest) = data
            .split_first_chunk::<4>()
            .ok_or("a BYTES length is cut off")?;
        let (element, rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or("a BYTES element ends beyond the data")?;
        let text = std::str::from_utf8(element)
            .map_err(|_| format!("BYTES element {} is not UTF-8 text", elements.len()))?;
        elements.push(text.to_owned());
        data = rest;
    }
    if elements.len() != count {
        return Err(format!(
            "shape {shape:?} does not take {} BYTES elements",
            elements.len()
        ));
    }
    tract_ndarray::ArrayD::from_shape_vec(shape, elements)
        .map(IntoTensor::into_tensor)
        .map_err(|error| error.to_string())
}

/// Writes a tract tensor as little-endian row-major bytes of `datatype`.
pub fn bytes(tensor: &Tensor, datatype: Datatype) -> TractResult<Vec<u8>> {
    if datatype == Datatype::Bytes {
        return string_bytes(tensor);
    }
    let wanted = datum_type(datatype);
    if tensor.datum_type().unquantized() == wanted {
        return Ok(tensor.as_bytes().to_vec());
    }
    Ok(tensor.cast_to_dt(wanted)?.as_bytes().to_vec())
}

fn string_bytes(tensor: &Tensor) -> TractResult<Vec<u8>> {
    let mut data = Vec::new();
    for text in tensor.try_as_plain_ram()?.as_slice::<String>()? {
        data.extend((text.len() as u32).to_le_bytes());
        data.extend(text.as_bytes());
    }
    Ok(data)
}
