//! `Imputer`: one value, most often NaN, replaced by another in each column.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attributes;
use crate::mapping::{Mapping, mapping};

pub fn imputer(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let (floats, ints): (Vec<f32>, Vec<i64>) =
        attributes::one_of_two(node, ["imputed_value_floats", "imputed_value_int64s"])?;
    let values = if ints.is_empty() {
        let replaced = node.get_attr_opt("replaced_value_float")?.unwrap_or(0.0);
        Values::Floats(replaced, floats)
    } else {
        let replaced = node.get_attr_opt("replaced_value_int64")?.unwrap_or(0);
        Values::Ints(replaced, ints)
    };
    Ok((mapping(Imputer { values }), vec![]))
}

#[derive(Debug, Clone, PartialEq)]
struct Imputer {
    values: Values,
}

// Values are compared only to tell equal nodes from different ones.
impl Eq for Imputer {}

/// What is replaced, and one value to replace it with, or one for each column.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    Floats(f32, Vec<f32>),
    Ints(i64, Vec<i64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Floats(_, values) => values.len(),
            Values::Ints(_, values) => values.len(),
        }
    }
}

impl Mapping for Imputer {
    const NAME: &'static str = "Imputer";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        let fits = match &self.values {
            Values::Floats(..) => from.is_float(),
            Values::Ints(..) => from.is_integer(),
        };
        ensure!(fits, "{from:?} cannot be replaced by {:?}", self.values);
        let n_columns = shape.last().and_then(|columns| columns.to_usize().ok());
        let n_values = self.values.len();
        ensure!(
            n_values == 1 || n_columns.is_none_or(|columns| columns == n_values),
            "one value or one for each column is wanted, got {n_values} for {n_columns:?} columns"
        );
        Ok((from, shape.into()))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let output = match &self.values {
            Values::Floats(replaced, values) if input.datum_type() == f64::datum_type() => {
                let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
                replace(input, f64::from(*replaced), &values)?
            }
            Values::Floats(replaced, values) => {
                replace(&*input.cast_to::<f32>()?, *replaced, values)?
            }
            Values::Ints(replaced, values) => {
                replace(&*input.cast_to::<i64>()?, *replaced, values)?
            }
        };
        Ok(output.cast_to_dt(input.datum_type())?.into_owned())
    }
}

fn replace<T: Datum + Copy + PartialOrd>(
    input: &Tensor,
    replaced: T,
    values: &[T],
) -> TractResult<Tensor> {
    let mut output = input.clone();
    // Only NaN is not comparable with itself.
    let missing = |value: T| value.partial_cmp(&value).is_none();
    let mut plain = output.try_as_plain_ram_mut()?;
    let elements = plain.as_slice_mut::<T>()?.iter_mut();
    for (element, value) in elements.zip(values.iter().cycle()) {
        if *element == replaced || (missing(*element) && missing(replaced)) {
            *element = *value;
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, float, floats, int, ints, node, refusal};

    const NAN: f32 = f32::NAN;

    #[test]
    fn replaces_what_is_missing() {
        let rows = || tensor2(&[[NAN, 2.0], [3.0, NAN]]);
        for (values, expected) in [
            (&[7.0, 8.0][..], [[7f32, 2.0], [3.0, 8.0]]),
            (&[9.0], [[9.0, 2.0], [3.0, 9.0]]),
        ] {
            let attributes = vec![
                floats("imputed_value_floats", values),
                float("replaced_value_float", NAN),
            ];
            check(
                node("Imputer", 1, attributes),
                rows(),
                &[tensor2(&expected)],
            );
        }
    }

    #[test]
    fn replaces_a_number_too() {
        let attributes = vec![
            ints("imputed_value_int64s", &[5]),
            int("replaced_value_int64", -1),
        ];
        check(
            node("Imputer", 1, attributes),
            tensor2(&[[-1i64, 2]]),
            &[tensor2(&[[5i64, 2]])],
        );
    }

    #[test]
    fn refuses_values_that_do_not_fit() {
        let imputer = |values| node("Imputer", 1, vec![floats("imputed_value_floats", values)]);
        assert!(refusal(imputer(&[1.0, 2.0, 3.0])).contains("got 3"));
        assert!(refusal(imputer(&[])).contains("exactly one"));
        let whole = node("Imputer", 1, vec![ints("imputed_value_int64s", &[1])]);
        assert!(refusal(whole).contains("cannot be replaced"));
    }
}
