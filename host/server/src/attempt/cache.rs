//! Answers that are kept by the content of what was asked, for models whose `[cache]` asks for it.
//!
//! A model's answer depends on its inputs only, so an answer is good as long as its version is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use modelet_policy::spec;
use modelet_protocol::Tensor;

/// What an answer weighs beside its tensors, most of it for the places where it is noted.
const ANSWER_BYTES: u64 = 200;

/// The kept answers of one version. Those that nobody asked for the longest make room for others.
pub struct Cache {
    answers: Mutex<Answers>,
    size_bytes: u64,
    ttl: Option<Duration>,
}

struct Answers {
    by_key: LruCache<blake3::Hash, Kept>,
    bytes: u64,
}

struct Kept {
    outputs: Vec<Tensor>,
    at: Duration,
}

impl Kept {
    fn bytes(&self) -> u64 {
        let bytes = |tensor: &Tensor| tensor.data.len() + tensor.name.len() + size_of::<Tensor>();
        ANSWER_BYTES + self.outputs.iter().map(bytes).sum::<usize>() as u64
    }
}

impl Cache {
    pub fn new(spec: &spec::Cache) -> Cache {
        Cache {
            answers: Mutex::new(Answers {
                by_key: LruCache::unbounded(),
                bytes: 0,
            }),
            size_bytes: spec.size_bytes,
            ttl: spec.ttl,
        }
    }

    /// What was kept for this key, if it is not too old. `now` is the server's time.
    pub fn get(&self, key: &blake3::Hash, now: Duration) -> Option<Vec<Tensor>> {
        let mut answers = self.answers();
        let kept = answers.by_key.get(key)?;
        if self.ttl.is_none_or(|ttl| now.saturating_sub(kept.at) < ttl) {
            return Some(kept.outputs.clone());
        }
        let old = answers.by_key.pop(key)?;
        answers.bytes -= old.bytes();
        None
    }

    pub fn keep(&self, key: blake3::Hash, outputs: Vec<Tensor>, now: Duration) {
        let kept = Kept { outputs, at: now };
        let bytes = kept.bytes();
        if bytes > self.size_bytes {
            return;
        }
        let mut answers = self.answers();
        let before = answers.by_key.put(key, kept);
        answers.bytes += bytes;
        answers.bytes -= before.map_or(0, |before| before.bytes());
        while answers.bytes > self.size_bytes
            && let Some((_, oldest)) = answers.by_key.pop_lru()
        {
            answers.bytes -= oldest.bytes();
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        // Nothing between the two changes of an answer and its bytes can panic.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Different for whatever may be answered differently: the inputs and the wanted outputs.
pub fn key(inputs: &[Tensor], outputs: &[String]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    // Every text and list after its length: no two questions are written alike.
    let mut bytes = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    bytes(&(inputs.len() as u64).to_le_bytes());
    for input in inputs {
        bytes(input.name.as_bytes());
        bytes(input.datatype.name().as_bytes());
        let shape: Vec<u8> = input
            .shape
            .iter()
            .flat_map(|size| size.to_le_bytes())
            .collect();
        bytes(&shape);
        bytes(&input.data);
    }
    for output in outputs {
        bytes(output.as_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use modelet_protocol::Datatype;

    use super::*;

    fn tensor(name: &str, data: &[u8]) -> Tensor {
        Tensor {
            name: name.to_owned(),
            datatype: Datatype::Uint8,
            shape: vec![data.len() as u64],
            data: data.to_vec(),
        }
    }

    #[test]
    fn different_questions_have_different_keys() {
        let text = |text: &str| vec![text.to_owned()];
        let reshaped = Tensor {
            shape: vec![1, 2],
            ..tensor("a", b"xy")
        };
        let retyped = Tensor {
            datatype: Datatype::Int8,
            ..tensor("a", b"xy")
        };
        let keys = [
            key(&[], &[]),
            key(&[tensor("a", b"xy")], &[]),
            key(&[tensor("a", b"xy")], &text("y")),
            key(&[tensor("ax", b"y")], &[]),
            key(&[tensor("a", b"x"), tensor("a", b"y")], &[]),
            key(&[reshaped], &[]),
            key(&[retyped], &[]),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{place}");
        }
    }

    #[test]
    fn an_answer_is_given_again_until_it_is_too_old() {
        let cache = Cache::new(&spec::Cache {
            size_bytes: 1 << 20,
            ttl: Some(Duration::from_secs(60)),
        });
        let key = key(&[tensor("a", b"xy")], &[]);
        let at = Duration::from_secs(1000);
        assert_eq!(cache.get(&key, at), None);
        cache.keep(key, vec![tensor("b", b"z")], at);
        let later = |seconds| cache.get(&key, at + Duration::from_secs(seconds));
        assert_eq!(later(59), Some(vec![tensor("b", b"z")]));
        assert_eq!(later(60), None);
        assert_eq!(later(0), None, "what is too old is gone");
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let size_bytes = 1 << 20;
        let cache = Cache::new(&spec::Cache {
            size_bytes,
            ttl: None,
        });
        for number in 0..10_000_u64 {
            let key = key(&[tensor("a", &number.to_le_bytes())], &[]);
            cache.keep(key, vec![tensor("b", &[0; 1000])], Duration::ZERO);
        }
        assert!(cache.answers().bytes <= size_bytes);
        assert!(cache.answers().by_key.len() > 500);
        let huge = key(&[], &[]);
        cache.keep(huge, vec![tensor("b", &[0; 2 << 20])], Duration::ZERO);
        assert_eq!(cache.get(&huge, Duration::ZERO), None);
        assert!(cache.answers().by_key.len() > 500);
    }
}
