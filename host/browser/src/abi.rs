//! The one contract in the canonical ABI: how its values lie in a modelet's memory.
//!
//! Source: the component model's `CanonicalABI.md`. A list or string is an address and a length; a
//! record is its fields, each at a multiple of its own alignment. What a guest wrote is checked before
//! it is believed: every address, length, case, text and tensor.

use modelet_protocol::{Datatype, Dimension, Signature, Tensor, TensorSpec};

/// Bytes of a string or list, of a tensor, of a declared tensor and of a dimension.
const LIST: usize = 8;
const TENSOR: usize = 28;
const SPEC: usize = 20;
const DIMENSION: usize = 16;

/// Where and how large the answer of `describe` and of `infer` is.
const SIGNATURE: usize = 16;
const ANSWER: usize = 16;

/// The guest's answer is none that the contract allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's answer is not of the contract: {0}")]
pub struct Broken(pub &'static str);

/// What `infer` answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Outputs(Vec<Tensor>),
    InvalidInput(String),
    ModelFailed(String),
}

/// Writes the arguments of `infer` and gives its four core parameters. `put` takes bytes and an
/// alignment, and returns the address at which it put them in memory that is the guest's from then on.
pub fn lower<E>(
    inputs: &[Tensor],
    outputs: &[String],
    mut put: impl FnMut(&[u8], u32) -> Result<u32, E>,
) -> Result<[u32; 4], E> {
    let mut tensors = Vec::with_capacity(inputs.len() * TENSOR);
    for input in inputs {
        let dimensions: Vec<u8> = input.shape.iter().flat_map(|d| d.to_le_bytes()).collect();
        let (name, shape, data) = (
            put(input.name.as_bytes(), 1)?,
            put(&dimensions, 8)?,
            put(&input.data, 1)?,
        );
        let datatype = position(input.datatype);
        for word in [name, input.name.len() as u32, datatype] {
            tensors.extend(word.to_le_bytes());
        }
        for word in [
            shape,
            input.shape.len() as u32,
            data,
            input.data.len() as u32,
        ] {
            tensors.extend(word.to_le_bytes());
        }
    }
    let mut names = Vec::with_capacity(outputs.len() * LIST);
    for name in outputs {
        let address = put(name.as_bytes(), 1)?;
        names.extend(address.to_le_bytes());
        names.extend((name.len() as u32).to_le_bytes());
    }
    Ok([
        put(&tensors, 4)?,
        inputs.len() as u32,
        put(&names, 4)?,
        outputs.len() as u32,
    ])
}

/// The number of a case is its place in the contract's list, which is the protocol's.
fn position(datatype: Datatype) -> u32 {
    let mut all = Datatype::ALL.into_iter();
    all.position(|other| other == datatype).unwrap_or_default() as u32
}

/// Reads answers. `get` gives the bytes at an address, or nothing where they are not all in the
/// guest's memory.
pub struct Reader<G> {
    get: G,
    /// How many bytes may still be read: a guest that tells of the same ones again and again would
    /// otherwise fill the host's memory with them.
    left: usize,
}

impl<G: FnMut(u32, usize) -> Option<Vec<u8>>> Reader<G> {
    pub fn new(memory_bytes: usize, get: G) -> Reader<G> {
        Reader {
            get,
            left: memory_bytes,
        }
    }

    /// What `describe` answered with this address.
    pub fn signature(&mut self, address: u32) -> Result<Signature, Broken> {
        let bytes = self.bytes(address, SIGNATURE, 4)?;
        Ok(Signature {
            inputs: self.list(&bytes[0..], SPEC, 4, Self::spec)?,
            outputs: self.list(&bytes[8..], SPEC, 4, Self::spec)?,
        })
    }

    /// What `infer` answered with this address.
    pub fn answer(&mut self, address: u32) -> Result<Answer, Broken> {
        let bytes = self.bytes(address, ANSWER, 4)?;
        match (bytes[0], bytes[4]) {
            (0, _) => self
                .list(&bytes[4..], TENSOR, 4, Self::tensor)
                .map(Answer::Outputs),
            (1, 0) => self.text(&bytes[8..]).map(Answer::InvalidInput),
            (1, 1) => self.text(&bytes[8..]).map(Answer::ModelFailed),
            _ => Err(Broken("a variant has no such case")),
        }
    }

    fn tensor(&mut self, bytes: &[u8]) -> Result<Tensor, Broken> {
        let tensor = Tensor {
            name: self.text(bytes)?,
            datatype: datatype(bytes[8])?,
            shape: self.list(&bytes[12..], 8, 8, |_, bytes| Ok(long(bytes)))?,
            data: self.content(&bytes[20..], 1, 1)?,
        };
        match tensor.check() {
            Ok(()) => Ok(tensor),
            Err(_) => Err(Broken("a tensor does not hold what it declares")),
        }
    }

    fn spec(&mut self, bytes: &[u8]) -> Result<TensorSpec, Broken> {
        Ok(TensorSpec {
            name: self.text(bytes)?,
            datatype: datatype(bytes[8])?,
            shape: self.list(&bytes[12..], DIMENSION, 8, Self::dimension)?,
        })
    }

    fn dimension(&mut self, bytes: &[u8]) -> Result<Dimension, Broken> {
        match bytes[0] {
            0 => Ok(Dimension::Fixed(long(&bytes[8..]))),
            1 => self.text(&bytes[8..]).map(Dimension::Symbolic),
            _ => Err(Broken("a variant has no such case")),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<String, Broken> {
        let content = self.content(bytes, 1, 1)?;
        String::from_utf8(content).map_err(|_| Broken("a text is not UTF-8"))
    }

    fn list<T>(
        &mut self,
        bytes: &[u8],
        size: usize,
        alignment: u32,
        read: impl Fn(&mut Self, &[u8]) -> Result<T, Broken>,
    ) -> Result<Vec<T>, Broken> {
        let content = self.content(bytes, size, alignment)?;
        let elements = content.chunks_exact(size);
        elements.map(|element| read(self, element)).collect()
    }

    /// What a list or string at the beginning of `bytes` points to.
    fn content(&mut self, bytes: &[u8], size: usize, alignment: u32) -> Result<Vec<u8>, Broken> {
        let (address, count) = (word(bytes), word(&bytes[4..]) as usize);
        let length = count
            .checked_mul(size)
            .ok_or(Broken("a list is too long"))?;
        self.bytes(address, length, alignment)
    }

    fn bytes(&mut self, address: u32, length: usize, alignment: u32) -> Result<Vec<u8>, Broken> {
        if !address.is_multiple_of(alignment) {
            return Err(Broken("an address is not aligned"));
        }
        let left = self.left.checked_sub(length);
        self.left = left.ok_or(Broken("it is longer than the model's memory"))?;
        let bytes = (self.get)(address, length).filter(|bytes| bytes.len() == length);
        bytes.ok_or(Broken("an address is outside of the model's memory"))
    }
}

fn datatype(case: u8) -> Result<Datatype, Broken> {
    let datatype = Datatype::ALL.get(usize::from(case)).copied();
    datatype.ok_or(Broken("an enum has no such case"))
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(first(bytes))
}

fn long(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(first(bytes))
}

fn first<const SIZE: usize>(bytes: &[u8]) -> [u8; SIZE] {
    *bytes
        .first_chunk()
        .expect("every caller has read a record that is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest's memory, in which `put` allocates.
    #[derive(Default)]
    struct Memory(Vec<u8>);

    impl Memory {
        fn put(&mut self, bytes: &[u8], alignment: u32) -> Result<u32, ()> {
            let address = self.0.len().next_multiple_of(alignment as usize);
            self.0.resize(address, 0xaa);
            self.0.extend(bytes);
            Ok(address as u32)
        }

        fn reader(&self) -> Reader<impl FnMut(u32, usize) -> Option<Vec<u8>>> {
            let get = |address: u32, length: usize| {
                let from = self.0.get(address as usize..)?;
                Some(from.get(..length)?.to_vec())
            };
            Reader::new(self.0.len(), get)
        }
    }

    fn tensors() -> Vec<Tensor> {
        vec![
            Tensor {
                name: "x".to_owned(),
                datatype: Datatype::Fp32,
                shape: vec![1, 2],
                data: vec![0, 0, 128, 63, 0, 0, 0, 64],
            },
            Tensor {
                name: "größe".to_owned(),
                datatype: Datatype::Bytes,
                shape: vec![],
                data: vec![2, 0, 0, 0, b'a', b'b'],
            },
        ]
    }

    /// An `infer` that answers with what it was given: `ok(list)` has the list at its address 4.
    fn echoed() -> (Memory, u32) {
        let mut memory = Memory::default();
        let lowered = lower(&tensors(), &["y".to_owned()], |bytes, alignment| {
            memory.put(bytes, alignment)
        });
        let [list, count, ..] = lowered.unwrap();
        let words = [0, list, count, 0].map(u32::to_le_bytes).concat();
        let address = memory.put(&words, 4).unwrap();
        (memory, address)
    }

    #[test]
    fn what_is_lowered_lifts_as_the_same() {
        let (memory, address) = echoed();
        let answer = memory.reader().answer(address).unwrap();
        assert_eq!(answer, Answer::Outputs(tensors()));
    }

    #[test]
    fn errors_are_lifted_with_their_text() {
        let mut memory = Memory::default();
        let text = memory.put(b"why", 1).unwrap();
        let mut answer = |case: u32| {
            let words = [1, case, text, 3].map(u32::to_le_bytes).concat();
            let address = memory.put(&words, 4).unwrap();
            memory.reader().answer(address)
        };
        assert_eq!(answer(0), Ok(Answer::InvalidInput("why".to_owned())));
        assert_eq!(answer(1), Ok(Answer::ModelFailed("why".to_owned())));
        assert!(answer(2).is_err());
    }

    #[test]
    fn no_byte_of_an_answer_that_changes_is_a_panic() {
        let (memory, address) = echoed();
        for index in 0..memory.0.len() {
            for value in [0, 1, 13, 0x7f, 0xff] {
                let mut damaged = Memory(memory.0.clone());
                damaged.0[index] = value;
                // Some changes make another answer that is as good.
                let _ = damaged.reader().answer(address);
                let _ = damaged.reader().signature(address);
            }
        }
    }

    #[test]
    fn addresses_that_lead_outside_or_between_are_refused() {
        let (memory, address) = echoed();
        let end = memory.0.len() as u32;
        for wrong in [address + 1, end, u32::MAX - 3] {
            assert!(memory.reader().answer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_same_bytes_told_again_and_again_are_not_read_for_ever() {
        let mut memory = Memory::default();
        let big = memory.put(&[0; 1 << 16], 1).unwrap();
        let shape = memory.put(&(1_u64 << 16).to_le_bytes(), 8).unwrap();
        let tensor = [big, 0, 1, shape, 1, big, 1 << 16].map(u32::to_le_bytes);
        let list = memory.put(&tensor.concat().repeat(1000), 4).unwrap();
        let words = [0, list, 1000, 0].map(u32::to_le_bytes).concat();
        let address = memory.put(&words, 4).unwrap();
        let error = memory.reader().answer(address).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}
