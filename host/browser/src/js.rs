//! The JavaScript objects that are read and made on the way of a request, with the names of their
//! properties in the bindings: a name that crosses over as a text costs more than what it names.

use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `{name, datatype, shape, data}`, where each may be missing or anything else.
    pub type JsTensor;

    #[wasm_bindgen(method, getter, structural)]
    pub fn name(this: &JsTensor) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    pub fn datatype(this: &JsTensor) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    pub fn shape(this: &JsTensor) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    pub fn data(this: &JsTensor) -> JsValue;

    #[wasm_bindgen(method, setter, structural)]
    pub fn set_name(this: &JsTensor, name: &str);
    #[wasm_bindgen(method, setter, structural)]
    pub fn set_datatype(this: &JsTensor, datatype: &str);
    #[wasm_bindgen(method, setter, structural)]
    pub fn set_shape(this: &JsTensor, shape: &Array);
    #[wasm_bindgen(method, setter, structural)]
    pub fn set_data(this: &JsTensor, data: &Uint8Array);

    /// A live modelet: its functions, of which `instance.js` has seen that they are there, and its memory. A call
    /// fails where the code traps.
    pub type Guest;

    #[wasm_bindgen(method, structural, catch)]
    pub fn realloc(
        this: &Guest,
        old: u32,
        old_size: u32,
        alignment: u32,
        size: u32,
    ) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub fn describe(this: &Guest) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = "endDescribe")]
    pub fn end_describe(this: &Guest, address: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub fn infer(
        this: &Guest,
        inputs: u32,
        inputs_length: u32,
        outputs: u32,
        outputs_length: u32,
    ) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = "endInfer")]
    pub fn end_infer(this: &Guest, address: u32) -> Result<(), JsValue>;

    /// Bytes of memory.
    #[wasm_bindgen(method, structural)]
    pub fn size(this: &Guest) -> u32;
    /// Whether all that is to be read lies in memory. Nothing is read otherwise.
    #[wasm_bindgen(method, structural)]
    pub fn read(this: &Guest, address: u32, into: &mut [u8]) -> bool;
    /// Whether all of it has room in memory. Nothing is written otherwise.
    #[wasm_bindgen(method, structural)]
    pub fn write(this: &Guest, address: u32, from: &[u8]) -> bool;
}

impl JsTensor {
    pub fn new() -> JsTensor {
        Object::new().unchecked_into()
    }
}
