//! Attributes that a node may leave out.

use tract_onnx::pb::NodeProto;
use tract_onnx::pb_helpers::AttrTVecType;
use tract_onnx::tract_hir::internal::*;

/// The elements of a list; none where it is not there.
pub fn list<'a, T>(node: &'a NodeProto, name: &str) -> TractResult<Vec<T>>
where
    T: AttrTVecType<'a>,
{
    Ok(node.get_attr_opt_vec(name)?.unwrap_or_default())
}

/// Two lists, of which exactly one has elements.
pub fn one_of_two<'a, A, B>(node: &'a NodeProto, names: [&str; 2]) -> TractResult<(Vec<A>, Vec<B>)>
where
    A: AttrTVecType<'a>,
    B: AttrTVecType<'a>,
{
    let (first, second) = (list::<A>(node, names[0])?, list::<B>(node, names[1])?);
    node.expect(first.is_empty() != second.is_empty(), || {
        format!("exactly one of {} and {} with elements", names[0], names[1])
    })?;
    Ok((first, second))
}

/// A number that means yes, unless it is zero.
pub fn flag(node: &NodeProto, name: &str, default: bool) -> TractResult<bool> {
    let number: Option<i64> = node.get_attr_opt(name)?;
    Ok(number.map_or(default, |number| number != 0))
}
