//! Layers of integers of eight bits, however an exporter wrote them down.
//!
//! Quantizers write a layer as an operator of its own (`QLinearConv`), as one of `f32` between
//! `DequantizeLinear` and `QuantizeLinear`, or as one of integers (`ConvInteger`) whose sums are made `f32`.
//! [`fold`] makes one node of each of these, and that node is an operator of this module.
//!
//! Absences: weights that are not constants, and levels of other widths, are left as they are.

mod becoming;
mod convolution;
mod dynamic;
mod expand;
mod fold;
mod product;
mod quantization;
mod sum;
#[cfg(test)]
mod tests;
mod view;

use tract_onnx::model::OnnxOpRegister;

pub use convolution::QuantizedConvolution;
pub use fold::fold;
pub use product::QuantizedProduct;
pub use quantization::Quantization;
pub use sum::QuantizedSum;

/// Names that no file can have meant: ONNX's have no spaces.
const CONVOLUTION: &str = "quantized convolution";
const PRODUCT: &str = "quantized product";
const SUM: &str = "quantized sum";

pub fn register(operators: &mut OnnxOpRegister) {
    operators.insert("DynamicQuantizeLinear", dynamic::dynamic_quantization);
    operators.insert("QuantizeLinear", quantization::quantization);
    operators.insert(CONVOLUTION, convolution::convolution);
    operators.insert(PRODUCT, product::product);
    operators.insert(SUM, sum::sum);
}
