//! A table multiplied by one-hot rows, as rows picked from the table.
//!
//! Keras embeds small vocabularies so: it compares each id with all ids, and multiplies what is zeros and
//! a single one.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::logic::CompEq;

/// Puts rows picked by id wherever `model` multiplies one-hot rows by a constant table.
pub fn pick(model: &mut TypedModel) -> TractResult<()> {
    for node in model.eval_order()? {
        let Some((ids, rows)) = multiplied(model, node) else {
            continue;
        };
        let name = model.node(node).name.clone();
        let patch = TypedModelPatch::replace_single_op(model, model.node(node), &[ids], rows)
            .with_context(|| format!("picking rows for {name}"))?;
        patch.apply(model)?;
    }
    Ok(())
}

/// The ids, and the rows that they pick.
fn multiplied(model: &TypedModel, node: usize) -> Option<(OutletId, Rows)> {
    let node = model.node(node);
    let product = node.op_as::<EinSum>()?;
    let [one_hot, table] = *node.inputs else {
        return None;
    };
    let table = model.outlet_fact(table).ok()?.konst.clone()?;
    let output = &node.outputs[0].fact;
    let numbers = [table.datum_type(), product.operating_dt, output.datum_type];
    if numbers != [f32::datum_type(); 3] || product.q_params.is_some() {
        return None;
    }
    let (ids, first, n_ids) = compared(model, one_hot)?;
    let rank = output.rank();
    let table = as_rows(&product.axes, rank, &table)?;
    let plain = table.try_as_plain_ram().ok()?;
    // What is infinite would make the other rows no numbers.
    let finite = plain
        .as_slice::<f32>()
        .ok()?
        .iter()
        .all(|value| value.is_finite());
    let has_ids = model.outlet_fact(ids).ok()?.rank() == rank && table.shape()[0] == n_ids;
    (has_ids && finite).then_some((ids, Rows { first, table }))
}

/// The ids, each by itself in the last dimension, and the first and the number of those that they are
/// compared with.
fn compared(model: &TypedModel, one_hot: OutletId) -> Option<(OutletId, i64, usize)> {
    let cast = model.node(one_hot.node);
    let equal = model.node(cast.op_as::<Cast>().and(cast.inputs.first())?.node);
    equal.op_as::<TypedBinOp>()?.0.downcast_ref::<CompEq>()?;
    let constant = |outlet: OutletId| model.outlet_fact(outlet).ok()?.konst.clone();
    let (ids, all) = match (constant(equal.inputs[0]), constant(equal.inputs[1])) {
        (None, Some(all)) => (equal.inputs[0], all),
        (Some(all), None) => (equal.inputs[1], all),
        _ => return None,
    };
    let fact = model.outlet_fact(ids).ok()?;
    let alone = fact.shape.last()?.is_one();
    if !fact.datum_type.is_integer() || !alone || all.shape().last() != Some(&all.len()) {
        return None;
    }
    let all = all.cast_to::<i64>().ok()?;
    let plain = all.try_as_plain_ram().ok()?;
    let all = plain.as_slice::<i64>().ok()?;
    let in_order = all
        .windows(2)
        .all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    in_order.then_some((ids, *all.first()?, all.len()))
}

/// The table [ids, columns], if the product keeps all axes of its first input but the last, which it
/// takes each id's row for.
fn as_rows(axes: &AxesMapping, rank: usize, table: &Tensor) -> Option<Arc<Tensor>> {
    let last = rank.checked_sub(1)?;
    let kept = |axis: usize| {
        let axis_of = axes.axis((InOut::In(0), axis)).ok()?;
        (*axis_of.inputs[0] == [axis] && *axis_of.outputs[0] == [axis]).then_some(())
    };
    (0..last).try_for_each(kept)?;
    let summed = axes.axis((InOut::In(0), last)).ok()?;
    let columns = axes.axis((InOut::Out(0), last)).ok()?;
    let ([row], [column]) = (&*summed.inputs[1], &*columns.inputs[1]) else {
        return None;
    };
    let alone = summed.outputs[0].is_empty() && columns.inputs[0].is_empty() && row != column;
    let (n_rows, n_columns) = (*table.shape().get(*row)?, *table.shape().get(*column)?);
    if !alone || n_rows.checked_mul(n_columns)? != table.len() {
        return None;
    }
    // All others are one, and change nothing.
    let rows = match row < column {
        true => table.clone(),
        false => table.clone().move_axis(*row, *column).ok()?,
    };
    let rows = rows.into_shape(&[n_rows, n_columns]).ok()?;
    Some(rows.into_arc_tensor())
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rows {
    /// The id of the first row.
    first: i64,
    /// [ids, columns]
    table: Arc<Tensor>,
}

impl Op for Rows {
    fn name(&self) -> StaticName {
        "Rows".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Rows {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let ids = args_1!(inputs).cast_to::<i64>()?.into_owned();
        let n_columns = self.table.shape()[1];
        let mut shape: TVec<usize> = ids.shape().into();
        *shape.last_mut().context("ids have no dimension")? = n_columns;
        // An id that is none of them has a row of zeros.
        let mut output = Tensor::zero::<f32>(&shape)?;
        if n_columns > 0 {
            let mut plain = output.try_as_plain_ram_mut()?;
            let picked = plain.as_slice_mut::<f32>()?.chunks_exact_mut(n_columns);
            let table = self.table.try_as_plain_ram()?;
            let table = table.as_slice::<f32>()?;
            let ids = ids.try_as_plain_ram()?;
            for (picked, id) in picked.zip(ids.as_slice::<i64>()?) {
                let row = id
                    .checked_sub(self.first)
                    .and_then(|row| usize::try_from(row).ok());
                let row = row.and_then(|row| table.chunks_exact(n_columns).nth(row));
                if let Some(row) = row {
                    picked.copy_from_slice(row);
                }
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Rows {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        *shape.last_mut().context("ids have no dimension")? = self.table.shape()[1].to_dim();
        Ok(tvec!(f32::fact(shape)))
    }

    as_op!();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use tract_onnx::tract_hir::tract_core::ops::cast::cast;
    use tract_onnx::tract_hir::tract_core::ops::logic::comp_eq;

    use super::*;

    /// As Keras writes it: ids from 2 on, by a table of three rows.
    fn model(product: &str, table: Tensor, ids: &[i32]) -> TypedModel {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N").to_dim();
        let shape = [n, 4.to_dim(), 1.to_dim()];
        let x = model.add_source("x", i32::fact(shape)).unwrap();
        let ids = tensor1(ids).broadcast_into_rank(3).unwrap();
        let ids = model.add_const("ids", ids).unwrap();
        let table = model.add_const("table", table).unwrap();
        let equal = TypedBinOp(comp_eq(), None);
        let equal = model.wire_node("equal", equal, &[x, ids]).unwrap()[0];
        let one_hot = model.wire_node("one hot", cast(f32::datum_type()), &[equal]);
        let product = EinSum::new(product.parse().unwrap(), f32::datum_type());
        let y = model.wire_node("y", product, &[one_hot.unwrap()[0], table]);
        model.select_output_outlets(&y.unwrap()).unwrap();
        model
    }

    fn answer(model: TypedModel) -> Tensor {
        let x = tensor3(&[[[2i32], [4], [1], [3]], [[5], [-7], [4], [4]]]);
        let plan = model.into_runnable().unwrap();
        let answers = plan.run(tvec!(x.into_tvalue())).unwrap();
        answers.into_iter().next().unwrap().into_tensor()
    }

    fn picks(model: &TypedModel) -> bool {
        model.nodes().iter().any(|node| node.op_is::<Rows>())
    }

    #[test]
    fn rows_are_what_the_product_is() {
        let table = tensor2(&[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        let whole = table.clone().into_shape(&[1, 3, 2]).unwrap();
        let turned = table.clone().permute_axes(&[1, 0]).unwrap();
        for (product, table) in [
            ("nik,kc->nic", table),
            ("nik,nkc->nic", whole),
            ("nik,ck->nic", turned),
        ] {
            let ids = [2, 3, 4];
            let mut picking = model(product, table.clone(), &ids);
            pick(&mut picking).unwrap();
            assert!(picks(&picking), "{product}");
            assert_eq!(
                answer(picking),
                answer(model(product, table, &ids)),
                "{product}"
            );
        }
    }

    #[test]
    fn other_products_stay() {
        let table = || tensor2(&[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        for (product, ids) in [("nik,kc->nic", [2, 4, 3]), ("nik,kc->inc", [2, 3, 4])] {
            let mut other = model(product, table(), &ids);
            pick(&mut other).unwrap();
            assert!(!picks(&other), "{product} {ids:?}");
        }
    }
}
