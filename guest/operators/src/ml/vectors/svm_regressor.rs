//! `SVMRegressor`: the weighted sum of a row's likeness to support vectors.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::machine::Machine;
use crate::attributes;
use crate::mapping::{Mapping, mapping};
use crate::ml::post_transform::PostTransform;

pub fn svm_regressor(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let n_supports: i64 = node.get_attr_opt("n_supports")?.unwrap_or(0);
    let n_supports = usize::try_from(n_supports).unwrap_or(0);
    let rho: Vec<f32> = node.get_attr_vec("rho")?;
    node.expect_attr("rho", !rho.is_empty(), "one value")?;
    // ONNX Runtime leaves the single score as it is, whatever is asked for.
    PostTransform::parse(node)?;
    let (machine, coefficients) = if n_supports > 0 {
        let coefficients: Vec<f32> = node.get_attr_vec("coefficients")?;
        node.expect_attr("coefficients", coefficients.len() == n_supports, || {
            format!("{n_supports} of them, got {}", coefficients.len())
        })?;
        (Machine::parse(node, n_supports)?, coefficients)
    } else {
        (Machine::linear(node, 1)?, vec![1.0])
    };
    let regressor = SvmRegressor {
        machine,
        coefficients,
        rho: rho[0],
        one_class: attributes::flag(node, "one_class", false)?,
    };
    Ok((mapping(regressor), vec![]))
}

#[derive(Debug, Clone, PartialEq)]
struct SvmRegressor {
    machine: Machine,
    /// One for each vector.
    coefficients: Vec<f32>,
    rho: f32,
    /// The answer is 1 for a positive score and -1 otherwise.
    one_class: bool,
}

// Floats are compared only to tell equal nodes from different ones.
impl Eq for SvmRegressor {}

impl SvmRegressor {
    fn score(&self, row: &[f32]) -> f32 {
        let terms = self.machine.compare(row).zip(&self.coefficients);
        let sum: f64 = terms
            .map(|(kernel, coefficient)| f64::from(kernel * coefficient))
            .sum();
        let score = (sum + f64::from(self.rho)) as f32;
        match self.one_class {
            false => score,
            true if score > 0.0 => 1.0,
            true => -1.0,
        }
    }
}

impl Mapping for SvmRegressor {
    const NAME: &'static str = "SVMRegressor";

    fn result(&self, _from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        let n_rows = crate::ml::n_rows(&shape.iter().collect());
        Ok((f32::datum_type(), tvec!(n_rows, 1.to_dim())))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let values = input.cast_to::<f32>()?;
        let values = values.try_as_plain_ram()?.as_slice::<f32>()?;
        let rows = self.machine.rows(input.shape(), values)?;
        let scores: Vec<f32> = rows.iter().map(|row| self.score(row)).collect();
        Tensor::from_shape(&[scores.len(), 1], &scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, floats, int, node, refusal, string};

    fn regressor(kernel: &str, one_class: i64) -> NodeProto {
        let attributes = vec![
            string("kernel_type", kernel),
            floats("kernel_params", &[0.5, 1.0, 2.0]),
            floats("support_vectors", &[1.0, 0.0, -1.0, 2.0]),
            floats("coefficients", &[1.0, -0.5]),
            floats("rho", &[0.25]),
            int("n_supports", 2),
            int("one_class", one_class),
        ];
        node("SVMRegressor", 1, attributes)
    }

    #[test]
    fn compares_by_each_kernel() {
        for kernel in ["LINEAR", "POLY", "RBF", "SIGMOID"] {
            let expected = by_hand(kernel).map(|score| [score]);
            check(
                regressor(kernel, 0),
                tensor2(&[[1.0f32, 1.0], [0.0, 2.0]]),
                &[tensor2(&expected)],
            );
        }
    }

    fn by_hand(kernel: &str) -> [f32; 2] {
        let compare = |x: [f32; 2], v: [f32; 2]| {
            let dot = x[0] * v[0] + x[1] * v[1];
            let distance = (x[0] - v[0]).powi(2) + (x[1] - v[1]).powi(2);
            match kernel {
                "LINEAR" => dot,
                "POLY" => (0.5 * dot + 1.0).powi(2),
                "RBF" => (-0.5 * distance).exp(),
                _ => (0.5 * dot + 1.0).tanh(),
            }
        };
        [[1.0, 1.0], [0.0, 2.0]]
            .map(|row| compare(row, [1.0, 0.0]) - 0.5 * compare(row, [-1.0, 2.0]) + 0.25)
    }

    #[test]
    fn one_class_is_a_sign() {
        let rows = tensor2(&[[1.0f32, 1.0], [0.0, 2.0]]);
        check(regressor("LINEAR", 1), rows, &[tensor2(&[[1f32], [-1.0]])]);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(refusal(regressor("TANH", 0)).contains("TANH"));
        let mut short = regressor("RBF", 0);
        short
            .attribute
            .retain(|attribute| attribute.name != "coefficients");
        short.attribute.push(floats("coefficients", &[1.0]));
        assert!(refusal(short).contains("2 of them, got 1"));
    }
}
