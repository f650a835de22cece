//! `LabelEncoder`: each element replaced by the value that belongs to it.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use super::lookup::{Keys, pick};
use crate::mapping::{Mapping, mapping};

pub fn label_encoder(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    if let Some(classes) = node.get_attr_opt_vec::<String>("classes_strings")? {
        return Ok((mapping(by_position(node, classes)?), vec![]));
    }
    let keys = list(ctx, node, "keys")?;
    let values = list(ctx, node, "values")?;
    node.expect(keys.len() == values.len(), || {
        format!(
            "as many values as keys, got {} and {}",
            values.len(),
            keys.len()
        )
    })?;
    let fallback = fallback(ctx, node, values.datum_type())?;
    let encoder = LabelEncoder::new(&keys, values, fallback)?;
    Ok((mapping(encoder), vec![]))
}

/// Operator set 1: a text is encoded as its place in a list, and a place as the text there. The type
/// of the input says which.
fn by_position(node: &NodeProto, classes: Vec<String>) -> TractResult<TwoWays> {
    let places: Vec<i64> = (0..).take(classes.len()).collect();
    TwoWays::new(node, &tensor1(&places), &tensor1(&classes))
}

/// The one of `<side>_strings`, `<side>_int64s`, `<side>_floats` and `<side>_tensor` that is there.
fn list(ctx: &ParsingContext, node: &NodeProto, side: &str) -> TractResult<Tensor> {
    let name = |kind| format!("{side}_{kind}");
    let mut found = vec![];
    if let Some(texts) = node.get_attr_opt_vec::<String>(&name("strings"))? {
        found.push(tensor1(&texts));
    }
    if let Some(ints) = node.get_attr_opt_vec::<i64>(&name("int64s"))? {
        found.push(tensor1(&ints));
    }
    if let Some(floats) = node.get_attr_opt_vec::<f32>(&name("floats"))? {
        found.push(tensor1(&floats));
    }
    if let Some(proto) = node.get_attr_opt::<&TensorProto>(&name("tensor"))? {
        found.push(ctx.load_tensor(proto)?);
    }
    match found.pop() {
        Some(list) if found.is_empty() && list.rank() == 1 => Ok(list),
        _ => node.bail(&format!("exactly one list of {side}_… is wanted")),
    }
}

/// What stands for an unknown key, of the values' type.
fn fallback(ctx: &ParsingContext, node: &NodeProto, of: DatumType) -> TractResult<Tensor> {
    if let Some(proto) = node.get_attr_opt::<&TensorProto>("default_tensor")? {
        let given = ctx.load_tensor(proto)?;
        node.expect_attr("default_tensor", given.len() == 1, "one element")?;
        node.expect_attr("default_tensor", given.datum_type() == of, || {
            format!("{of:?} like the values, got {:?}", given.datum_type())
        })?;
        return Ok(given);
    }
    if of == String::datum_type() {
        return Ok(tensor0(default_string(node)?));
    }
    let number = if of.is_float() {
        tensor0(node.get_attr_opt("default_float")?.unwrap_or(-0.0f32))
    } else {
        tensor0(default_int(node)?)
    };
    Ok(number.cast_to_dt(of)?.into_owned())
}

fn default_string(node: &NodeProto) -> TractResult<String> {
    Ok(node
        .get_attr_opt("default_string")?
        .unwrap_or_else(|| "_Unused".to_owned()))
}

fn default_int(node: &NodeProto) -> TractResult<i64> {
    Ok(node.get_attr_opt("default_int64")?.unwrap_or(-1))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LabelEncoder {
    keys: Keys,
    /// One for each key.
    values: Arc<Tensor>,
    fallback: Arc<Tensor>,
}

impl LabelEncoder {
    fn new(keys: &Tensor, values: Tensor, fallback: Tensor) -> TractResult<LabelEncoder> {
        Ok(LabelEncoder {
            keys: Keys::new(keys)?,
            values: values.into_arc_tensor(),
            fallback: fallback.into_arc_tensor(),
        })
    }
}

impl Mapping for LabelEncoder {
    const NAME: &'static str = "LabelEncoder";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        self.keys.check(from)?;
        Ok((self.values.datum_type(), shape.into()))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let places = self.keys.places(input)?;
        pick(&self.values, &self.fallback, &places, input.shape())
    }
}

/// Texts to integers or integers to texts, as the input has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoWays {
    from_text: LabelEncoder,
    to_text: LabelEncoder,
}

impl TwoWays {
    /// `ints` and `texts` of one length belong together.
    pub fn new(node: &NodeProto, ints: &Tensor, texts: &Tensor) -> TractResult<TwoWays> {
        let unknown_text = tensor0(default_string(node)?);
        let unknown_int = tensor0(default_int(node)?);
        Ok(TwoWays {
            from_text: LabelEncoder::new(texts, ints.clone(), unknown_int)?,
            to_text: LabelEncoder::new(ints, texts.clone(), unknown_text)?,
        })
    }

    fn way(&self, from: DatumType) -> &LabelEncoder {
        if from == String::datum_type() {
            &self.from_text
        } else {
            &self.to_text
        }
    }
}

impl Mapping for TwoWays {
    const NAME: &'static str = "CategoryMapper";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        self.way(from).result(from, shape)
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        self.way(input.datum_type()).eval(input)
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;
    use crate::cases::{check, float, floats, int, ints, node, refusal, string, strings};

    fn encoder(attributes: Vec<AttributeProto>) -> NodeProto {
        node("LabelEncoder", 1, attributes)
    }

    fn texts(texts: &[&str]) -> Tensor {
        tensor1(
            &texts
                .iter()
                .map(|text| text.to_string())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn texts_become_numbers_and_back() {
        let keys = || strings("keys_strings", &["a", "", "b"]);
        let attributes = vec![keys(), ints("values_int64s", &[5, 6, 7])];
        let input = texts(&["b", "", "A", "a"]);
        check(
            encoder(attributes),
            input.clone(),
            &[tensor1(&[7i64, 6, -1, 5])],
        );
        let attributes = vec![
            keys(),
            floats("values_floats", &[0.5, 1.5, 2.5]),
            float("default_float", 9.0),
        ];
        check(
            encoder(attributes),
            input,
            &[tensor1(&[2.5f32, 1.5, 9.0, 0.5])],
        );
        let attributes = vec![
            ints("keys_int64s", &[5, 6]),
            strings("values_strings", &["a", "b"]),
            string("default_string", "none"),
        ];
        check(
            encoder(attributes),
            tensor1(&[6i64, 7]),
            &[texts(&["b", "none"])],
        );
    }

    #[test]
    fn a_missing_number_is_a_key_like_others() {
        let attributes = vec![
            floats("keys_floats", &[1.0, f32::NAN, 0.0]),
            ints("values_int64s", &[1, 2, 3]),
            int("default_int64", 9),
        ];
        check(
            encoder(attributes),
            tensor1(&[-f32::NAN, -0.0, 4.0]),
            &[tensor1(&[2i64, 3, 9])],
        );
    }

    #[test]
    fn the_first_operator_set_knows_places_only() {
        let attributes = || vec![strings("classes_strings", &["a", "b"])];
        check(
            encoder(attributes()),
            texts(&["b", "c"]),
            &[tensor1(&[1i64, -1])],
        );
        check(
            encoder(attributes()),
            tensor1(&[1i64, 2]),
            &[texts(&["b", "_Unused"])],
        );
    }

    #[test]
    fn refuses_lists_that_do_not_fit() {
        let keys = || floats("keys_floats", &[1.0, 2.0]);
        let short = vec![keys(), ints("values_int64s", &[1])];
        assert!(refusal(encoder(short)).contains("1 and 2"));
        assert!(refusal(encoder(vec![keys()])).contains("values_…"));
        let two = vec![
            keys(),
            ints("values_int64s", &[1, 2]),
            floats("values_floats", &[1.0, 2.0]),
        ];
        assert!(refusal(encoder(two)).contains("exactly one"));
        let texts = vec![strings("keys_strings", &["a"]), ints("values_int64s", &[1])];
        assert!(refusal(encoder(texts)).contains("looked up"));
    }
}
