//! `OneHotEncoder`: for each element a row of zeros, with a one where its category is.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::lookup::Keys;
use crate::attributes;
use crate::mapping::{Mapping, mapping};

pub fn one_hot_encoder(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let (ints, texts): (Vec<i64>, Vec<String>) =
        attributes::one_of_two(node, ["cats_int64s", "cats_strings"])?;
    let categories = if texts.is_empty() {
        tensor1(&ints)
    } else {
        tensor1(&texts)
    };
    let encoder = OneHotEncoder {
        keys: Keys::new(&categories)?,
        n_categories: categories.len(),
        zeros: attributes::flag(node, "zeros", true)?,
    };
    Ok((mapping(encoder), vec![]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct OneHotEncoder {
    keys: Keys,
    n_categories: usize,
    /// An unknown category is a row of zeros, not an error.
    zeros: bool,
}

impl OneHotEncoder {
    /// Floats are cut to whole numbers; what is none, such as NaN, is no category.
    fn places(&self, input: &Tensor) -> TractResult<Vec<Option<usize>>> {
        if self.keys.datum_type() == String::datum_type() {
            return self.keys.places(input);
        }
        let mut places = self.keys.places(&*input.cast_to::<i64>()?)?;
        if input.datum_type().is_float() {
            let values = input.cast_to::<f64>()?;
            let values = values.try_as_plain_ram()?.as_slice::<f64>()?;
            for (place, value) in places.iter_mut().zip(values) {
                *place = place.filter(|_| value.is_finite());
            }
        }
        Ok(places)
    }
}

impl Mapping for OneHotEncoder {
    const NAME: &'static str = "OneHotEncoder";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        let texts = self.keys.datum_type() == String::datum_type();
        ensure!(
            texts == (from == String::datum_type()),
            "the categories are {:?}, which {from:?} cannot be looked up in",
            self.keys.datum_type()
        );
        let mut shape: TVec<TDim> = shape.into();
        shape.push(self.n_categories.to_dim());
        Ok((f32::datum_type(), shape))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let places = self.places(input)?;
        ensure!(
            self.zeros || places.iter().all(Option::is_some),
            "a category is unknown"
        );
        let mut output = crate::ml::zeros::<f32>(places.len(), self.n_categories)?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let rows = plain.as_slice_mut::<f32>()?;
        for (row, place) in rows.chunks_exact_mut(self.n_categories).zip(places) {
            if let Some(place) = place {
                row[place] = 1.0;
            }
        }
        let mut shape: TVec<usize> = input.shape().into();
        shape.push(self.n_categories);
        output.into_shape(&shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, int, ints, node, refusal, run, strings};

    #[test]
    fn has_a_one_where_the_category_is() {
        let encoder = || node("OneHotEncoder", 1, vec![ints("cats_int64s", &[0, 3])]);
        let expected = tensor3(&[[[0f32, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]);
        check(
            encoder(),
            tensor2(&[[3i64, 0], [1, -1]]),
            std::slice::from_ref(&expected),
        );
        check(
            encoder(),
            tensor2(&[[3.9f32, 0.0], [f32::NAN, f32::INFINITY]]),
            &[expected],
        );
        let texts = node(
            "OneHotEncoder",
            1,
            vec![strings("cats_strings", &["a", ""])],
        );
        let input = tensor1(&["".to_owned(), "b".to_owned()]);
        check(texts, input, &[tensor2(&[[0f32, 1.0], [0.0, 0.0]])]);
    }

    #[test]
    fn an_unknown_category_can_be_an_error() {
        let attributes = vec![ints("cats_int64s", &[1]), int("zeros", 0)];
        let error = run(node("OneHotEncoder", 1, attributes), tensor1(&[2i64])).unwrap_err();
        assert!(format!("{error:#}").contains("unknown"));
    }

    #[test]
    fn refuses_categories_of_another_kind() {
        let texts = node("OneHotEncoder", 1, vec![strings("cats_strings", &["a"])]);
        assert!(refusal(texts).contains("looked up"));
        assert!(refusal(node("OneHotEncoder", 1, vec![])).contains("exactly one"));
    }
}
