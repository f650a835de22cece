//! One modelet in the browser's own WebAssembly: its file read, its instances called.

use js_sys::Uint8Array;
use js_sys::WebAssembly::Memory;
use modelet_artifact::{Metadata, outline};
use modelet_protocol::{Signature, Tensor};
use wasm_bindgen::prelude::*;

use crate::abi::{Answer, Broken, Reader, lower};
use crate::js::Functions;
use crate::values::{field, from_specs, from_tensors, record, tensors, texts};

/// A modelet's file, read and found to be one.
#[wasm_bindgen]
pub struct Modelet {
    metadata: Metadata,
    places: [u32; 4],
}

#[wasm_bindgen]
impl Modelet {
    /// Reads the file; what is in its modules stays where it is. The error says why it is no modelet.
    #[wasm_bindgen(constructor)]
    pub fn new(file: &Uint8Array) -> Result<Modelet, JsError> {
        let read = |range: std::ops::Range<u64>| {
            file.subarray(range.start as u32, range.end as u32).to_vec()
        };
        let outline = outline(u64::from(file.length()), read)?;
        let (memory, code) = (outline.memory, outline.code);
        Ok(Modelet {
            metadata: outline.metadata,
            // A file in a browser's memory has fewer than 2³² bytes.
            places: [memory.start, memory.end, code.start, code.end].map(|place| place as u32),
        })
    }

    /// Where the memory module begins and ends, and where the code module does.
    pub fn places(&self) -> Vec<u32> {
        self.places.to_vec()
    }

    /// `{name, version, labels, engine, tool, inputs, outputs}`.
    pub fn facts(&self) -> JsValue {
        let metadata = &self.metadata;
        let version = metadata.version.as_deref();
        let labels: Vec<_> = metadata
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), JsValue::from_str(value)))
            .collect();
        record(&[
            ("name", JsValue::from_str(&metadata.name)),
            ("version", version.map_or(JsValue::UNDEFINED, JsValue::from)),
            ("labels", record(&labels)),
            ("engine", JsValue::from_str(&metadata.engine)),
            ("tool", JsValue::from_str(&metadata.tool)),
            ("inputs", from_specs(&metadata.signature.inputs)),
            ("outputs", from_specs(&metadata.signature.outputs)),
        ])
    }

    /// Whether what an instance says of itself is what the file says. To be asked before the first call.
    pub fn check(&self, memory: &Memory, functions: &Functions) -> Result<(), JsError> {
        let guest = Guest { memory, functions };
        let described = guest.describe().map_err(|error| JsError::new(&error))?;
        match described == self.metadata.signature {
            true => Ok(()),
            false => Err(JsError::new(
                "the model does not have the signature that its file declares",
            )),
        }
    }

    /// Runs the model once: `{outputs}`, or `{trigger, message}` where it failed, or `{message}` where
    /// the request is wrong. After a trigger `trap` the instance is dead.
    pub fn infer(
        &self,
        memory: &Memory,
        functions: &Functions,
        inputs: &JsValue,
        outputs: &JsValue,
    ) -> JsValue {
        let guest = Guest { memory, functions };
        let (inputs, outputs) = match self.request(inputs, outputs) {
            Ok(request) => request,
            Err(reason) => return failed(None, &reason),
        };
        match guest.infer(&inputs, &outputs) {
            Ok(Answer::Outputs(tensors)) => record(&[("outputs", from_tensors(&tensors))]),
            Ok(Answer::InvalidInput(reason)) => failed(None, &reason),
            Ok(Answer::ModelFailed(reason)) => failed(Some("failed"), &reason),
            Err(reason) => {
                let message = guest.panic_message(self.metadata.panic_message_address);
                failed(Some("trap"), &message.unwrap_or(reason))
            }
        }
    }
}

impl Modelet {
    fn request(
        &self,
        inputs: &JsValue,
        outputs: &JsValue,
    ) -> Result<(Vec<Tensor>, Vec<String>), String> {
        let (inputs, outputs) = (tensors(inputs)?, texts(outputs)?);
        let signature = &self.metadata.signature;
        signature
            .check_inputs(&inputs)
            .and_then(|()| signature.check_outputs(outputs.iter().map(String::as_str)))
            .map_err(|error| error.to_string())?;
        Ok((inputs, outputs))
    }
}

fn failed(trigger: Option<&str>, message: &str) -> JsValue {
    record(&[
        ("trigger", trigger.map_or(JsValue::UNDEFINED, JsValue::from)),
        ("message", JsValue::from_str(message)),
    ])
}

/// A live instance.
struct Guest<'a> {
    memory: &'a Memory,
    functions: &'a Functions,
}

impl Guest<'_> {
    fn describe(&self) -> Result<Signature, String> {
        let address = self.functions.describe().map_err(trapped)?;
        let signature = self.reader().signature(address).map_err(told)?;
        self.functions.end_describe(address).map_err(trapped)?;
        Ok(signature)
    }

    fn infer(&self, inputs: &[Tensor], outputs: &[String]) -> Result<Answer, String> {
        let put = |bytes: &[u8], alignment| self.put(bytes, alignment);
        let [inputs, inputs_length, outputs, outputs_length] = lower(inputs, outputs, put)?;
        let address = self
            .functions
            .infer(inputs, inputs_length, outputs, outputs_length)
            .map_err(trapped)?;
        let answer = self.reader().answer(address).map_err(told)?;
        // The guest may have back what it answered with.
        self.functions.end_infer(address).map_err(trapped)?;
        Ok(answer)
    }

    fn put(&self, bytes: &[u8], alignment: u32) -> Result<u32, String> {
        let length = bytes.len() as u32;
        let address = self
            .functions
            .realloc(0, 0, alignment, length)
            .map_err(trapped)?;
        // Allocating may have moved the memory.
        let memory = self.bytes();
        let end = address.checked_add(length);
        if !address.is_multiple_of(alignment) || end.is_none_or(|end| end > memory.length()) {
            return Err("the model gave memory that it does not have".to_owned());
        }
        memory.subarray(address, address + length).copy_from(bytes);
        Ok(address)
    }

    fn get(&self, address: u32, length: usize) -> Option<Vec<u8>> {
        let memory = self.bytes();
        let end = address.checked_add(u32::try_from(length).ok()?)?;
        (end <= memory.length()).then(|| memory.subarray(address, end).to_vec())
    }

    fn bytes(&self) -> Uint8Array {
        Uint8Array::new(&self.memory.buffer())
    }

    fn reader(&self) -> Reader<impl FnMut(u32, usize) -> Option<Vec<u8>>> {
        let get = |address, length| self.get(address, length);
        Reader::new(self.bytes().length() as usize, get)
    }

    /// What the guest's panic hook left. The address comes from the file, so it is only ever an index.
    fn panic_message(&self, address: u32) -> Option<String> {
        let length = self.get(address, 4)?.try_into().ok()?;
        let text = self.get(address.checked_add(4)?, u32::from_le_bytes(length) as usize)?;
        (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
    }
}

fn told(broken: Broken) -> String {
    broken.to_string()
}

/// What WebAssembly itself says of a trap.
fn trapped(error: JsValue) -> String {
    let message = field(&error, "message").as_string();
    message.unwrap_or_else(|| "the model stopped".to_owned())
}
