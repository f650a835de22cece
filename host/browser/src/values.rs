//! Between the protocol's values and JavaScript's.

use js_sys::{Array, Object, Reflect, Uint8Array};
use modelet_protocol::{Tensor, TensorSpec};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::js::JsTensor;

/// Whole numbers above this are not told apart by a JavaScript number.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Tensors as the page has them: `{name, datatype, shape, data}` with the data as bytes.
pub fn tensors(list: &JsValue) -> Result<Vec<Tensor>, String> {
    let list: &Array = list.dyn_ref().ok_or("the inputs are no list")?;
    list.iter()
        .map(|tensor| match tensor.is_object() {
            true => self::tensor(tensor.unchecked_ref()),
            false => Err("a tensor is no object".to_owned()),
        })
        .collect()
}

fn tensor(value: &JsTensor) -> Result<Tensor, String> {
    let name = value.name().as_string();
    let name = name.ok_or("a tensor has no name")?;
    let datatype = value.datatype().as_string().unwrap_or_default();
    let datatype = datatype
        .parse()
        .map_err(|error| format!("tensor `{name}`: {error}"))?;
    let shape: Option<Vec<u64>> = value
        .shape()
        .dyn_ref::<Array>()
        .and_then(|shape| shape.iter().map(|size| whole(&size)).collect());
    let data = value.data();
    let data = data.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
    match (shape, data) {
        (Some(shape), Some(data)) => Ok(Tensor {
            name,
            datatype,
            shape,
            data,
        }),
        (None, _) => Err(format!("tensor `{name}`: its shape is no list of sizes")),
        (_, None) => Err(format!("tensor `{name}`: its data are not bytes")),
    }
}

fn whole(value: &JsValue) -> Option<u64> {
    let number = value.as_f64()?;
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

pub fn texts(list: &JsValue) -> Result<Vec<String>, String> {
    let list: &Array = list.dyn_ref().ok_or("the outputs are no list")?;
    let texts = list.iter().map(|text| text.as_string());
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| "the outputs are not names".to_owned())
}

pub fn from_tensors(tensors: &[Tensor]) -> JsValue {
    let list: Array = tensors.iter().map(from_tensor).collect();
    list.into()
}

fn from_tensor(tensor: &Tensor) -> JsValue {
    let sizes = tensor.shape.iter();
    let shape: Array = sizes.map(|&size| JsValue::from_f64(size as f64)).collect();
    let value = JsTensor::new();
    value.set_name(&tensor.name);
    value.set_datatype(tensor.datatype.name());
    value.set_shape(&shape);
    value.set_data(&Uint8Array::from(&tensor.data[..]));
    value.into()
}

/// A declared tensor, with −1 for a size that the model leaves open.
pub fn from_specs(specs: &[TensorSpec]) -> JsValue {
    let spec = |spec: &TensorSpec| {
        let shape: Array = spec
            .wire_shape()
            .into_iter()
            .map(|size| JsValue::from_f64(size as f64))
            .collect();
        record(&[
            ("name", JsValue::from_str(&spec.name)),
            ("datatype", JsValue::from_str(spec.datatype.name())),
            ("shape", shape.into()),
        ])
    };
    let list: Array = specs.iter().map(spec).collect();
    list.into()
}

pub fn record(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), value)
            .expect("a new object takes every property");
    }
    object.into()
}

/// A property; undefined where there is none.
pub fn field(value: &JsValue, name: &str) -> JsValue {
    Reflect::get(value, &JsValue::from_str(name)).unwrap_or_default()
}
