//! Tensors joined along their first dimension, and taken apart again.

use crate::Tensor;
use crate::tensor::element_count;

/// One tensor for each place of the parts, with the rows of all of them in order. Every part has the same
/// names, datatypes and shapes but for the first dimension.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a [Tensor]>) -> Vec<Tensor> {
    let mut parts = parts.into_iter();
    let mut joined = parts.next().map(<[Tensor]>::to_vec).unwrap_or_default();
    for part in parts {
        for (whole, tensor) in joined.iter_mut().zip(part) {
            if let (Some(rows), Some(more)) = (whole.shape.first_mut(), tensor.shape.first()) {
                *rows += more;
            }
            whole.data.extend_from_slice(&tensor.data);
        }
    }
    joined
}

/// Parts with this many rows each; `None` where a tensor has not as many rows as all of them together.
pub fn split(tensors: &[Tensor], rows: &[u64]) -> Option<Vec<Vec<Tensor>>> {
    let mut parts: Vec<Vec<Tensor>> = rows.iter().map(|_| Vec::new()).collect();
    let all: u64 = rows.iter().sum();
    for tensor in tensors {
        let (&first, inner) = tensor.shape.split_first()?;
        if first != all {
            return None;
        }
        let elements = element_count(inner)?;
        let mut rest = tensor.data.as_slice();
        for (part, &rows) in parts.iter_mut().zip(rows) {
            let bytes = length(tensor, rest, rows.checked_mul(elements)?)?;
            let (data, tail) = rest.split_at_checked(bytes)?;
            rest = tail;
            let mut shape = tensor.shape.clone();
            shape[0] = rows;
            part.push(Tensor {
                name: tensor.name.clone(),
                datatype: tensor.datatype,
                shape,
                data: data.to_vec(),
            });
        }
    }
    Some(parts)
}

/// The bytes of so many elements at the beginning of `data`.
fn length(tensor: &Tensor, data: &[u8], elements: u64) -> Option<usize> {
    let elements = usize::try_from(elements).ok()?;
    match tensor.datatype.size_bytes() {
        Some(size) => elements.checked_mul(size),
        None => (0..elements).try_fold(0_usize, |at, _| {
            let (length, _) = data.get(at..)?.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            at.checked_add(4)?.checked_add(length)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datatype;

    fn tensor(datatype: Datatype, shape: &[u64], data: &[u8]) -> Tensor {
        Tensor {
            name: "x".to_owned(),
            datatype,
            shape: shape.to_vec(),
            data: data.to_vec(),
        }
    }

    fn check_round_trip(parts: &[Vec<Tensor>], rows: &[u64]) {
        let joined = join(parts.iter().map(Vec::as_slice));
        for whole in &joined {
            whole.check().unwrap();
        }
        assert_eq!(split(&joined, rows).unwrap(), parts);
    }

    #[test]
    fn what_was_joined_comes_apart_again() {
        let one = vec![
            tensor(Datatype::Int16, &[1, 2], &[1, 2, 3, 4]),
            tensor(Datatype::Bytes, &[1], b"\x01\0\0\0a"),
        ];
        let two = vec![
            tensor(Datatype::Int16, &[2, 2], &[5, 6, 7, 8, 9, 10, 11, 12]),
            tensor(Datatype::Bytes, &[2], b"\0\0\0\0\x02\0\0\0bc"),
        ];
        check_round_trip(&[one.clone(), two.clone()], &[1, 2]);
        check_round_trip(&[two.clone(), one.clone(), two], &[2, 1, 2]);
        check_round_trip(&[one], &[1]);
    }

    #[test]
    fn what_does_not_come_apart_is_no_panic() {
        let short = tensor(Datatype::Int16, &[2, 2], &[1, 2, 3]);
        assert_eq!(split(&[short], &[1, 1]), None);
        let texts = tensor(Datatype::Bytes, &[2], b"\xff\xff\xff\xffa");
        assert_eq!(split(&[texts], &[1, 1]), None);
        let whole = tensor(Datatype::Int16, &[2, 2], &[0; 8]);
        assert_eq!(split(std::slice::from_ref(&whole), &[1, 2]), None);
        assert_eq!(split(&[tensor(Datatype::Int8, &[], &[0])], &[1]), None);
        let huge = tensor(Datatype::Int8, &[2, u64::MAX, 2], &[]);
        assert_eq!(split(&[huge], &[1, 1]), None);
    }
}
