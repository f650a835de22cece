//! NumPy's `.npy` files, versions 1 to 3 of the format, row-major and little-endian.
//!
//! Source: the format's definition in NumPy's documentation, `numpy.lib.format`.

use anyhow::{Context as _, Result, bail, ensure};
use modelet_protocol::{Datatype, Tensor};

/// What every `.npy` file begins with.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads a whole file as the tensor `name`.
///
/// Fixed-width strings (`S` and `U`) become `BYTES`, without the zeros that pad them; `U` as UTF-8.
pub fn read(bytes: &[u8], name: &str) -> Result<Tensor> {
    let (header, data) = split(bytes).context("the .npy header is cut off")?;
    let header = std::str::from_utf8(header).context("the .npy header is no text")?;
    let header = Header::parse(header)?;
    let (datatype, data) = header.elements.convert(data)?;
    let tensor = Tensor {
        name: name.to_owned(),
        datatype,
        shape: header.shape,
        data,
    };
    tensor.check()?;
    Ok(tensor)
}

/// The header's text and what follows it. Version 1 has a two-byte length, later ones four.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (&[major, _minor], rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        _ => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
    };
    rest.split_at_checked(length)
}

/// What the header, a Python dictionary, says.
struct Header {
    elements: Elements,
    shape: Vec<u64>,
}

impl Header {
    fn parse(text: &str) -> Result<Header> {
        let elements = Elements::parse(value_of(text, "descr")?)?;
        if value_of(text, "fortran_order")?.starts_with("True") {
            bail!(
                "the .npy file is in column-major order; save `numpy.ascontiguousarray(x)` instead"
            );
        }
        let shape = value_of(text, "shape")?;
        let sizes = shape
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .map(|(sizes, _)| sizes)
            .with_context(|| format!("the .npy shape `{shape}` cannot be read"))?;
        let shape = sizes
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("the .npy shape ({sizes}) cannot be read"))?;
        Ok(Header { elements, shape })
    }
}

/// The text from the value of `key` on.
fn value_of<'a>(header: &'a str, key: &str) -> Result<&'a str> {
    header
        .split_once(&format!("'{key}':"))
        .map(|(_, value)| value.trim_start())
        .with_context(|| format!("the .npy header has no `{key}`"))
}

/// How elements lie in the file.
enum Elements {
    Plain(Datatype),
    /// `S`: bytes per element.
    Bytes(usize),
    /// `U`: UTF-32 characters per element.
    Text(usize),
}

impl Elements {
    /// From NumPy's notation, for example `'<f4', …`.
    fn parse(descr: &str) -> Result<Elements> {
        let descr = descr
            .strip_prefix('\'')
            .and_then(|rest| rest.split_once('\''))
            .map(|(descr, _)| descr)
            .context("the .npy file holds records; save one array of numbers or strings")?;
        ensure!(
            !descr.starts_with('>'),
            "the .npy file is big-endian ({descr}); save `x.astype(x.dtype.newbyteorder('<'))` instead"
        );
        let plain = descr.trim_start_matches(['<', '|', '=']);
        if let Some(datatype) = datatype(plain) {
            return Ok(Elements::Plain(datatype));
        }
        let width = |letter| {
            let width = plain.strip_prefix(letter)?.parse::<usize>().ok()?;
            (1..=1 << 20).contains(&width).then_some(width)
        };
        width('S')
            .map(Elements::Bytes)
            .or_else(|| width('U').map(Elements::Text))
            .with_context(|| {
                format!("the .npy file holds `{descr}`, which no model takes; convert it with `x.astype(…)`")
            })
    }

    fn convert(&self, data: &[u8]) -> Result<(Datatype, Vec<u8>)> {
        match *self {
            Elements::Plain(datatype) => Ok((datatype, data.to_vec())),
            Elements::Bytes(width) => Ok((
                Datatype::Bytes,
                data.chunks(width)
                    .flat_map(|element| prefixed(without_padding(element)))
                    .collect(),
            )),
            Elements::Text(width) => {
                let mut converted = Vec::new();
                for element in data.chunks(width * 4) {
                    converted.extend(prefixed(utf8(element)?.as_bytes()));
                }
                Ok((Datatype::Bytes, converted))
            }
        }
    }
}

fn datatype(name: &str) -> Option<Datatype> {
    Some(match name {
        "b1" => Datatype::Bool,
        "u1" => Datatype::Uint8,
        "u2" => Datatype::Uint16,
        "u4" => Datatype::Uint32,
        "u8" => Datatype::Uint64,
        "i1" => Datatype::Int8,
        "i2" => Datatype::Int16,
        "i4" => Datatype::Int32,
        "i8" => Datatype::Int64,
        "f2" => Datatype::Fp16,
        "f4" => Datatype::Fp32,
        "f8" => Datatype::Fp64,
        _ => return None,
    })
}

fn without_padding(element: &[u8]) -> &[u8] {
    let end = element.iter().rposition(|&byte| byte != 0);
    &element[..end.map_or(0, |last| last + 1)]
}

/// The text of UTF-32 characters, without the zeros at its end.
fn utf8(element: &[u8]) -> Result<String> {
    let text: Option<String> = element
        .chunks(4)
        .map(|character| {
            let character = character.try_into().ok()?;
            char::from_u32(u32::from_le_bytes(character))
        })
        .collect();
    let text = text.context("the .npy file holds text that is not UTF-32")?;
    Ok(text.trim_end_matches('\0').to_owned())
}

/// A `BYTES` element: its length in four little-endian bytes, then itself.
fn prefixed(element: &[u8]) -> impl Iterator<Item = u8> {
    // Widths are limited above, so the length fits.
    let length = (element.len() as u32).to_le_bytes();
    length.into_iter().chain(element.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(major: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[major, 0]].concat();
        match major {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran_order: &str, shape: &str) -> String {
        format!("{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}\n")
    }

    fn check_error(descr: &str, fortran_order: &str, shape: &str, data: &[u8], message: &str) {
        let bytes = file(1, &header(descr, fortran_order, shape), data);
        let error = read(&bytes, "x").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn numbers_of_each_version_and_shape() {
        for (major, shape, expected) in [
            (1, "(2,)", vec![2]),
            (2, "(1, 2)", vec![1, 2]),
            (3, "(2, 1, 1)", vec![2, 1, 1]),
        ] {
            let data = [1f32, -2.5].map(f32::to_le_bytes).concat();
            let tensor = read(&file(major, &header("'<f4'", "False", shape), &data), "x").unwrap();
            assert_eq!(tensor.datatype, Datatype::Fp32);
            assert_eq!(tensor.shape, expected);
            assert_eq!(tensor.data, data);
        }
    }

    #[test]
    fn a_scalar_has_no_dimension() {
        let tensor = read(&file(1, &header("'|u1'", "False", "()"), &[7]), "x").unwrap();
        assert_eq!((tensor.shape, tensor.data), (vec![], vec![7]));
    }

    #[test]
    fn strings_lose_their_padding() {
        let tensor = read(
            &file(1, &header("'|S3'", "False", "(2,)"), b"ab\0\0\0\0"),
            "x",
        )
        .unwrap();
        assert_eq!(
            tensor.bytes_elements().collect::<Vec<_>>(),
            [&b"ab"[..], b""]
        );

        let data: Vec<u8> = ['é' as u32, 0].map(u32::to_le_bytes).concat();
        let tensor = read(&file(1, &header("'<U2'", "False", "(1,)"), &data), "x").unwrap();
        assert_eq!(
            tensor.bytes_elements().collect::<Vec<_>>(),
            ["é".as_bytes()]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_advice() {
        check_error("'>f4'", "False", "(1,)", &[0; 4], "newbyteorder");
        check_error("'<f4'", "True", "(2, 2)", &[0; 16], "ascontiguousarray");
        check_error("'|O'", "False", "(1,)", &[0; 4], "`|O`");
        check_error("'<c8'", "False", "(1,)", &[0; 8], "`<c8`");
        check_error("[('a', '<f4')]", "False", "(1,)", &[0; 4], "records");
        check_error("'<f4'", "False", "(3,)", &[0; 4], "takes 12 bytes, got 4");
        check_error("'<f4'", "False", "(-1,)", &[0; 4], "shape (-1,)");
        check_error("'<f4'", "False", "7", &[0; 4], "cannot be read");
        check_error("'<U2'", "False", "(1,)", &[0xff; 8], "not UTF-32");
    }

    #[test]
    fn every_cut_is_an_error_and_no_panic() {
        let whole = file(1, &header("'<f4'", "False", "(1,)"), &[0; 4]);
        for length in MAGIC.len()..whole.len() {
            assert!(read(&whole[..length], "x").is_err(), "{length} bytes");
        }
    }
}
