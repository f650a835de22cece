//! One modelet in the browser's own WebAssembly: its file read, its instances called.

use js_sys::Uint8Array;
use modelet_artifact::{Metadata, outline};
use modelet_protocol::{Signature, Tensor};
use wasm_bindgen::prelude::*;

use crate::abi::{Answer, Broken, Reader, lower};
use crate::js::Guest;
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
    pub fn check(&self, guest: &Guest) -> Result<(), JsError> {
        let described = describe(guest).map_err(|error| JsError::new(&error))?;
        match described == self.metadata.signature {
            true => Ok(()),
            false => Err(JsError::new(
                "the model does not have the signature that its file declares",
            )),
        }
    }

    /// Runs the model once: `{outputs}`, or `{trigger, message}` where it failed, or `{message}` where
    /// the request is wrong. After a trigger `trap` the instance is dead.
    pub fn infer(&self, guest: &Guest, inputs: &JsValue, outputs: &JsValue) -> JsValue {
        let (inputs, outputs) = match self.request(inputs, outputs) {
            Ok(request) => request,
            Err(reason) => return failed(None, &reason),
        };
        match infer(guest, &inputs, &outputs) {
            Ok(Answer::Outputs(tensors)) => record(&[("outputs", from_tensors(&tensors))]),
            Ok(Answer::InvalidInput(reason)) => failed(None, &reason),
            Ok(Answer::ModelFailed(reason)) => failed(Some("failed"), &reason),
            Err(reason) => {
                let message = panic_message(guest, self.metadata.panic_message_address);
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

fn describe(guest: &Guest) -> Result<Signature, String> {
    let address = guest.describe().map_err(trapped)?;
    let signature = reader(guest).signature(address).map_err(told)?;
    guest.end_describe(address).map_err(trapped)?;
    Ok(signature)
}

fn infer(guest: &Guest, inputs: &[Tensor], outputs: &[String]) -> Result<Answer, String> {
    let put = |bytes: &[u8], alignment| put(guest, bytes, alignment);
    let [inputs, inputs_length, outputs, outputs_length] = lower(inputs, outputs, put)?;
    let address = guest
        .infer(inputs, inputs_length, outputs, outputs_length)
        .map_err(trapped)?;
    let answer = reader(guest).answer(address).map_err(told)?;
    // The guest may have back what it answered with.
    guest.end_infer(address).map_err(trapped)?;
    Ok(answer)
}

fn put(guest: &Guest, bytes: &[u8], alignment: u32) -> Result<u32, String> {
    let length = bytes.len() as u32;
    let address = guest.realloc(0, 0, alignment, length).map_err(trapped)?;
    match address.is_multiple_of(alignment) && guest.write(address, bytes) {
        true => Ok(address),
        false => Err("the model gave memory that it does not have".to_owned()),
    }
}

fn reader(guest: &Guest) -> Reader<impl FnMut(u32, usize) -> Option<Vec<u8>>> {
    let get = |address, length| get(guest, address, length);
    Reader::new(guest.size() as usize, get)
}

fn get(guest: &Guest, address: u32, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    guest.read(address, &mut bytes).then_some(bytes)
}

/// What the guest's panic hook left. The address comes from the file, so it is only ever an index.
fn panic_message(guest: &Guest, address: u32) -> Option<String> {
    let length = get(guest, address, 4)?.try_into().ok()?;
    let length = u32::from_le_bytes(length);
    if length > guest.size() {
        return None;
    }
    let text = get(guest, address.checked_add(4)?, length as usize)?;
    (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
}

fn told(broken: Broken) -> String {
    broken.to_string()
}

/// What WebAssembly itself says of a trap.
fn trapped(error: JsValue) -> String {
    let message = field(&error, "message").as_string();
    message.unwrap_or_else(|| "the model stopped".to_owned())
}
