//! Which of some keys an element is.

use std::collections::HashMap;

use tract_onnx::tract_hir::internal::*;

/// The places of keys of one type. A key that is there twice has the place of the first, as in ONNX
/// Runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    datum_type: DatumType,
    texts: HashMap<String, usize>,
    numbers: HashMap<u64, usize>,
}

impl Keys {
    /// From a tensor of texts or numbers.
    pub fn new(keys: &Tensor) -> TractResult<Keys> {
        let mut known = Keys {
            datum_type: keys.datum_type(),
            texts: HashMap::new(),
            numbers: HashMap::new(),
        };
        if keys.datum_type() == String::datum_type() {
            let texts = keys.try_as_plain_ram()?.as_slice::<String>()?;
            for (place, text) in texts.iter().enumerate() {
                known.texts.entry(text.clone()).or_insert(place);
            }
        } else {
            for (place, number) in numbers(keys)?.into_iter().enumerate() {
                known.numbers.entry(number).or_insert(place);
            }
        }
        Ok(known)
    }

    pub fn datum_type(&self) -> DatumType {
        self.datum_type
    }

    /// The place of each element, which must be of the keys' type.
    pub fn places(&self, elements: &Tensor) -> TractResult<Vec<Option<usize>>> {
        self.check(elements.datum_type())?;
        if self.datum_type == String::datum_type() {
            let texts = elements.try_as_plain_ram()?.as_slice::<String>()?;
            return Ok(texts
                .iter()
                .map(|text| self.texts.get(text).copied())
                .collect());
        }
        let numbers = numbers(elements)?;
        Ok(numbers
            .iter()
            .map(|number| self.numbers.get(number).copied())
            .collect())
    }

    /// Whether elements of this type can be looked up. tract's symbolic integers are INT64.
    pub fn check(&self, elements: DatumType) -> TractResult<()> {
        let same = elements == self.datum_type
            || (elements == TDim::datum_type() && self.datum_type == i64::datum_type());
        ensure!(
            same,
            "the keys are {:?}, which {elements:?} cannot be looked up in",
            self.datum_type
        );
        Ok(())
    }
}

/// Numbers as bits that are equal where the numbers are: one zero, and one NaN.
fn numbers(tensor: &Tensor) -> TractResult<Vec<u64>> {
    if !tensor.datum_type().is_float() {
        let whole = tensor.cast_to::<i64>()?;
        let whole = whole.try_as_plain_ram()?.as_slice::<i64>()?;
        return Ok(whole.iter().map(|number| *number as u64).collect());
    }
    let canonical = |number: &f64| match number {
        number if number.is_nan() => f64::NAN.to_bits(),
        // Adding zero makes a negative zero positive.
        number => (number + 0.0).to_bits(),
    };
    let floats = tensor.cast_to::<f64>()?;
    let floats = floats.try_as_plain_ram()?.as_slice::<f64>()?;
    Ok(floats.iter().map(canonical).collect())
}

/// The element of `values` at each place, or `fallback`; both of one type.
pub fn pick(
    values: &Tensor,
    fallback: &Tensor,
    places: &[Option<usize>],
    shape: &[usize],
) -> TractResult<Tensor> {
    fn typed<T: Datum>(
        values: &Tensor,
        fallback: &Tensor,
        places: &[Option<usize>],
        shape: &[usize],
    ) -> TractResult<Tensor> {
        let values = values.try_as_plain_ram()?.as_slice::<T>()?;
        let fallback = fallback.try_as_plain_ram()?.as_slice::<T>()?;
        let fallback = fallback.first().context("there is no default")?;
        let element = |place: &Option<usize>| {
            let value = place.and_then(|place| values.get(place));
            value.unwrap_or(fallback).clone()
        };
        let picked: Vec<T> = places.iter().map(element).collect();
        Ok(tract_ndarray::ArrayD::from_shape_vec(shape, picked)?.into_tensor())
    }
    match values.datum_type() {
        DatumType::String => typed::<String>(values, fallback, places, shape),
        DatumType::F32 => typed::<f32>(values, fallback, places, shape),
        DatumType::F64 => typed::<f64>(values, fallback, places, shape),
        DatumType::I64 => typed::<i64>(values, fallback, places, shape),
        DatumType::I32 => typed::<i32>(values, fallback, places, shape),
        DatumType::I16 => typed::<i16>(values, fallback, places, shape),
        other => bail!("values of type {other:?} belong to no key"),
    }
}
