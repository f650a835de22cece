//! Messages to values and back.

use std::time::{Duration, Instant};

use modelet_protocol::rest::metadata::IndexEntry;
use modelet_protocol::{Datatype, Tensor, TensorSpec};

use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::model_infer_response::InferOutputTensor;
use super::proto::model_metadata_response::TensorMetadata;
use super::proto::repository_index_response::ModelIndex;
use super::proto::*;
use crate::registry::Ready;
use crate::request::{Answer, Failure, Request};
use crate::statistics::Tally;

/// Tensors come typed in `contents`, or all of them as bytes in `raw_input_contents`.
pub fn request(
    request: ModelInferRequest,
    id: String,
    deadline: Instant,
) -> Result<Request, Failure> {
    let deadline = shortened(deadline, request.parameters.get("timeout"));
    let mut raw = request.raw_input_contents.into_iter();
    let is_raw = raw.len() > 0;
    if is_raw && raw.len() != request.inputs.len() {
        return Err(Failure::Malformed(format!(
            "raw_input_contents has {} tensors, inputs has {}",
            raw.len(),
            request.inputs.len()
        )));
    }
    let mut inputs = Vec::new();
    for input in request.inputs {
        inputs.push(tensor(input, raw.next())?);
    }
    let mut outputs = Vec::new();
    for output in request.outputs {
        outputs.push(requested(output)?);
    }
    Ok(Request {
        id,
        inputs,
        outputs,
        deadline,
    })
}

fn shortened(deadline: Instant, timeout: Option<&InferParameter>) -> Instant {
    let microseconds = match timeout.and_then(|timeout| timeout.parameter_choice.as_ref()) {
        Some(ParameterChoice::Int64Param(microseconds)) => u64::try_from(*microseconds).ok(),
        Some(ParameterChoice::Uint64Param(microseconds)) => Some(*microseconds),
        _ => None,
    };
    microseconds
        .filter(|microseconds| *microseconds > 0)
        .and_then(|microseconds| Instant::now().checked_add(Duration::from_micros(microseconds)))
        .map_or(deadline, |asked| deadline.min(asked))
}

fn requested(output: InferRequestedOutputTensor) -> Result<String, Failure> {
    for parameter in ["shared_memory_region", "classification"] {
        if output.parameters.contains_key(parameter) {
            let name = output.name;
            return Err(Failure::Unsupported(format!(
                "parameter `{parameter}` of `{name}` is not supported"
            )));
        }
    }
    Ok(output.name)
}

fn tensor(input: InferInputTensor, raw: Option<Vec<u8>>) -> Result<Tensor, Failure> {
    let name = input.name;
    let malformed = |reason: String| Failure::Malformed(format!("input `{name}`: {reason}"));
    if input.parameters.contains_key("shared_memory_region") {
        return Err(Failure::Unsupported(format!(
            "parameter `shared_memory_region` of `{name}` is not supported: send the data in the request"
        )));
    }
    let datatype: Datatype =
        input
            .datatype
            .parse()
            .map_err(|error: modelet_protocol::datatype::UnknownDatatype| {
                malformed(error.to_string())
            })?;
    let shape: Option<Vec<u64>> = input
        .shape
        .iter()
        .map(|&size| u64::try_from(size).ok())
        .collect();
    let shape = shape
        .ok_or_else(|| malformed(format!("shape {:?} has a negative dimension", input.shape)))?;
    let data = match (raw, input.contents) {
        (Some(_), Some(_)) => {
            return Err(malformed(
                "contents and raw_input_contents cannot be mixed".to_owned(),
            ));
        }
        (Some(raw), None) => raw,
        (None, contents) => typed(datatype, contents.unwrap_or_default()).map_err(malformed)?,
    };
    let tensor = Tensor {
        name: name.clone(),
        datatype,
        shape,
        data,
    };
    tensor
        .check()
        .map_err(|error| Failure::Malformed(error.to_string()))?;
    Ok(tensor)
}

/// The bytes of typed contents. Integers of 8 and 16 bits travel in wider fields.
fn typed(datatype: Datatype, contents: InferTensorContents) -> Result<Vec<u8>, String> {
    fn narrow<W: Copy + std::fmt::Display, N: TryFrom<W>, const SIZE: usize>(
        wide: &[W],
        bytes: fn(N) -> [u8; SIZE],
    ) -> Result<Vec<u8>, String> {
        let mut data = Vec::with_capacity(wide.len() * SIZE);
        for &value in wide {
            let narrow = N::try_from(value).map_err(|_| format!("{value} is out of range"))?;
            data.extend(bytes(narrow));
        }
        Ok(data)
    }
    match datatype {
        Datatype::Bool => Ok(contents.bool_contents.into_iter().map(u8::from).collect()),
        Datatype::Int8 => narrow(&contents.int_contents, i8::to_le_bytes),
        Datatype::Int16 => narrow(&contents.int_contents, i16::to_le_bytes),
        Datatype::Int32 => narrow(&contents.int_contents, i32::to_le_bytes),
        Datatype::Int64 => narrow(&contents.int64_contents, i64::to_le_bytes),
        Datatype::Uint8 => narrow(&contents.uint_contents, u8::to_le_bytes),
        Datatype::Uint16 => narrow(&contents.uint_contents, u16::to_le_bytes),
        Datatype::Uint32 => narrow(&contents.uint_contents, u32::to_le_bytes),
        Datatype::Uint64 => narrow(&contents.uint64_contents, u64::to_le_bytes),
        Datatype::Fp32 => narrow(&contents.fp32_contents, f32::to_le_bytes),
        Datatype::Fp64 => narrow(&contents.fp64_contents, f64::to_le_bytes),
        Datatype::Fp16 => Err("FP16 travels only in raw_input_contents".to_owned()),
        Datatype::Bytes => {
            let mut data = Vec::new();
            for element in contents.bytes_contents {
                data.extend((element.len() as u32).to_le_bytes());
                data.extend(element);
            }
            Ok(data)
        }
    }
}

/// Answers in the form of the question: raw to raw, typed to typed. FP16 has no typed form.
/// `model` is the one that was asked. `raw`: whether the request had its tensors as bytes.
pub fn response(model: String, id: String, answer: &mut Answer, raw: bool) -> ModelInferResponse {
    let outputs = std::mem::take(&mut answer.outputs);
    let raw = raw
        || outputs
            .iter()
            .any(|output| output.datatype == Datatype::Fp16);
    let mut response = ModelInferResponse {
        model_name: model,
        id,
        ..ModelInferResponse::default()
    };
    if let Some((model, version)) = answer.model() {
        response.model_name = model.to_owned();
        response.model_version = version.unwrap_or_default();
    }
    for (name, text) in answer.parameters() {
        let parameter_choice = Some(ParameterChoice::StringParam(text));
        let parameter = InferParameter { parameter_choice };
        response.parameters.insert(name.to_owned(), parameter);
    }
    for output in outputs {
        let contents = (!raw).then(|| contents(&output));
        response.outputs.push(InferOutputTensor {
            name: output.name,
            datatype: output.datatype.to_string(),
            shape: output
                .shape
                .iter()
                .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
                .collect(),
            contents,
            ..InferOutputTensor::default()
        });
        if raw {
            response.raw_output_contents.push(output.data);
        }
    }
    response
}

fn contents(tensor: &Tensor) -> InferTensorContents {
    fn read<const SIZE: usize, T>(data: &[u8], value: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        data.as_chunks::<SIZE>()
            .0
            .iter()
            .map(|bytes| value(*bytes))
            .collect()
    }
    let mut contents = InferTensorContents::default();
    let data = &tensor.data;
    match tensor.datatype {
        Datatype::Bool => contents.bool_contents = read(data, |[byte]| byte != 0),
        Datatype::Int8 => contents.int_contents = read(data, |b| i8::from_le_bytes(b).into()),
        Datatype::Int16 => contents.int_contents = read(data, |b| i16::from_le_bytes(b).into()),
        Datatype::Int32 => contents.int_contents = read(data, i32::from_le_bytes),
        Datatype::Int64 => contents.int64_contents = read(data, i64::from_le_bytes),
        Datatype::Uint8 => contents.uint_contents = read(data, |b| u8::from_le_bytes(b).into()),
        Datatype::Uint16 => contents.uint_contents = read(data, |b| u16::from_le_bytes(b).into()),
        Datatype::Uint32 => contents.uint_contents = read(data, u32::from_le_bytes),
        Datatype::Uint64 => contents.uint64_contents = read(data, u64::from_le_bytes),
        Datatype::Fp32 => contents.fp32_contents = read(data, f32::from_le_bytes),
        Datatype::Fp64 => contents.fp64_contents = read(data, f64::from_le_bytes),
        // Sent raw: there is no field for it.
        Datatype::Fp16 => {}
        Datatype::Bytes => {
            contents.bytes_contents = tensor.bytes_elements().map(<[u8]>::to_vec).collect();
        }
    }
    contents
}

pub fn metadata(ready: &Ready, versions: Vec<String>) -> ModelMetadataResponse {
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.to_string(),
        shape: spec.wire_shape(),
    };
    ModelMetadataResponse {
        name: ready.model.to_string(),
        versions,
        platform: ready.platform().to_owned(),
        inputs: ready.signature().inputs.iter().map(tensor).collect(),
        outputs: ready.signature().outputs.iter().map(tensor).collect(),
    }
}

pub fn config(ready: &Ready) -> ModelConfig {
    let data_type = |datatype| match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    };
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: spec.wire_shape(),
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: spec.wire_shape(),
    };
    ModelConfig {
        name: ready.model.to_string(),
        platform: ready.platform().to_owned(),
        backend: "modelet".to_owned(),
        max_batch_size: 0,
        input: ready.signature().inputs.iter().map(input).collect(),
        output: ready.signature().outputs.iter().map(output).collect(),
    }
}

pub fn statistics(ready: &Ready) -> ModelStatistics {
    let tally = |tally: &Tally| {
        Some(StatisticDuration {
            count: tally.count(),
            ns: tally.nanoseconds(),
        })
    };
    let counted = &ready.statistics;
    let batch = |(batch_size, count, ns)| InferBatchStatistics {
        batch_size,
        compute_input: None,
        compute_infer: Some(StatisticDuration { count, ns }),
        compute_output: None,
    };
    ModelStatistics {
        name: ready.model.to_string(),
        version: ready.version.to_string(),
        last_inference: counted.last_inference_ms(),
        inference_count: counted
            .inferences
            .load(std::sync::atomic::Ordering::Relaxed),
        execution_count: counted
            .executions
            .load(std::sync::atomic::Ordering::Relaxed),
        inference_stats: Some(InferStatistics {
            success: tally(&counted.success),
            fail: tally(&counted.fail),
            queue: tally(&counted.queue),
            compute_input: tally(&counted.compute_input),
            compute_infer: tally(&counted.compute_infer),
            compute_output: tally(&counted.compute_output),
            cache_hit: tally(&counted.cache_hit),
            cache_miss: tally(&counted.cache_miss),
        }),
        batch_stats: counted.batch_sizes().into_iter().map(batch).collect(),
    }
}

pub fn index_entry(entry: IndexEntry) -> ModelIndex {
    ModelIndex {
        name: entry.name,
        version: entry.version,
        state: entry.state,
        reason: entry.reason,
    }
}

/// A parameter as a key.
pub fn text(parameter: &InferParameter) -> Option<String> {
    match parameter.parameter_choice.as_ref()? {
        ParameterChoice::BoolParam(value) => Some(value.to_string()),
        ParameterChoice::Int64Param(value) => Some(value.to_string()),
        ParameterChoice::Uint64Param(value) => Some(value.to_string()),
        ParameterChoice::StringParam(text) => Some(text.clone()),
        ParameterChoice::DoubleParam(value) => Some(value.to_string()),
    }
}
