//! The runs of words that a `TfIdfVectorizer` knows, as a tree: a run begins with the shorter one.

use std::collections::HashMap;
use std::hash::Hash;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attributes;

/// How long runs are, and how many words may be left out between two of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    min: usize,
    max: usize,
    skips: usize,
}

impl Sizes {
    pub fn parse(node: &NodeProto) -> TractResult<Sizes> {
        let number = |name| -> TractResult<Option<usize>> {
            Ok(usize::try_from(node.get_attr::<i64>(name)?).ok())
        };
        match (
            number("min_gram_length")?,
            number("max_gram_length")?,
            number("max_skip_count")?,
        ) {
            (Some(min), Some(max), Some(skips)) if 1 <= min && min <= max => {
                Ok(Sizes { min, max, skips })
            }
            _ => node.bail("min_gram_length is from 1 to max_gram_length, max_skip_count from 0"),
        }
    }
}

const ROOT: u32 = 0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    words: Words,
    /// From a run and a word's number to the run with that word at its end.
    longer: HashMap<(u32, u32), u32>,
    /// Of each run, if it is counted.
    columns: Vec<Option<usize>>,
}

/// The numbers of words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Words {
    Texts(HashMap<String, u32>),
    Ints(HashMap<i64, u32>),
}

impl Pool {
    /// `columns` are those of the runs, in the order of the pool.
    pub fn parse(node: &NodeProto, sizes: &Sizes, columns: &[usize]) -> TractResult<Arc<Pool>> {
        let (texts, ints): (Vec<String>, Vec<i64>) =
            attributes::one_of_two(node, ["pool_strings", "pool_int64s"])?;
        let (words, numbers) = if ints.is_empty() {
            let (known, numbers) = number(texts)?;
            (Words::Texts(known), numbers)
        } else {
            let (known, numbers) = number(ints)?;
            (Words::Ints(known), numbers)
        };
        let mut pool = Pool {
            words,
            longer: HashMap::new(),
            columns: vec![None],
        };
        pool.fill(node, &numbers, sizes, columns)?;
        Ok(Arc::new(pool))
    }

    /// With the runs of `words`: single words first, then pairs, and so on.
    fn fill(
        &mut self,
        node: &NodeProto,
        words: &[u32],
        sizes: &Sizes,
        columns: &[usize],
    ) -> TractResult<()> {
        let starts: Vec<i64> = node.get_attr_vec("ngram_counts")?;
        let mut columns = columns.iter();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied();
            let Some(section) = section(words, start, end) else {
                return node.bail_attr("ngram_counts", "places in the pool, in their order");
            };
            let size = index + 1;
            node.expect_attr("ngram_counts", section.len().is_multiple_of(size), || {
                format!("whole runs of {size} words, got {} words", section.len())
            })?;
            for run in section.chunks_exact(size) {
                let column = columns.next().copied();
                node.expect_attr("ngram_indexes", column.is_some(), "one for each run")?;
                if (sizes.min..=sizes.max).contains(&size) {
                    self.add(run, column)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, run: &[u32], column: Option<usize>) -> TractResult<()> {
        let mut at = ROOT;
        for &word in run {
            let next = u32::try_from(self.columns.len())?;
            at = *self.longer.entry((at, word)).or_insert(next);
            if at == next {
                self.columns.push(None);
            }
        }
        self.columns[at as usize] = column;
        Ok(())
    }

    /// Whether words of this type can be looked up.
    pub fn check(&self, words: DatumType) -> TractResult<()> {
        let fits = match &self.words {
            Words::Texts(_) => words == String::datum_type(),
            Words::Ints(_) => words.is_integer() || words == TDim::datum_type(),
        };
        ensure!(fits, "the pool does not hold words of type {words:?}");
        Ok(())
    }

    /// The number of each word; nothing for an unknown one.
    pub fn words(&self, input: &Tensor) -> TractResult<Vec<Option<u32>>> {
        Ok(match &self.words {
            Words::Texts(known) => {
                let words = input.try_as_plain_ram()?.as_slice::<String>()?;
                words.iter().map(|word| known.get(word).copied()).collect()
            }
            Words::Ints(known) => {
                let words = input.cast_to::<i64>()?;
                let words = words.try_as_plain_ram()?.as_slice::<i64>()?;
                words.iter().map(|word| known.get(word).copied()).collect()
            }
        })
    }

    /// Calls `found` with the column of each run in `words`, once for each place and distance between
    /// words. A single word has no distance, and is found once.
    pub fn count(&self, words: &[Option<u32>], sizes: &Sizes, mut found: impl FnMut(usize)) {
        for distance in 1..=sizes.skips.saturating_add(1) {
            let min = match distance {
                1 => sizes.min,
                _ => sizes.min.max(2),
            };
            // No run of two words reaches further than the row.
            if min > sizes.max || (distance > 1 && distance >= words.len()) {
                break;
            }
            for start in 0..words.len() {
                let run = words[start..].iter().step_by(distance).take(sizes.max);
                self.follow(run, min, &mut found);
            }
        }
    }

    fn follow<'a>(
        &self,
        words: impl Iterator<Item = &'a Option<u32>>,
        min: usize,
        found: &mut impl FnMut(usize),
    ) {
        let mut at = ROOT;
        for (index, word) in words.enumerate() {
            let longer = word.and_then(|word| self.longer.get(&(at, word)));
            let Some(&next) = longer else {
                return;
            };
            at = next;
            if index + 1 >= min
                && let Some(column) = self.columns[at as usize]
            {
                found(column);
            }
        }
    }
}

/// A number for each different word, and the numbers of all.
fn number<W: Hash + Eq>(words: Vec<W>) -> TractResult<(HashMap<W, u32>, Vec<u32>)> {
    let mut known = HashMap::new();
    let mut numbers = Vec::with_capacity(words.len());
    for word in words {
        let next = u32::try_from(known.len())?;
        numbers.push(*known.entry(word).or_insert(next));
    }
    Ok((known, numbers))
}

/// The words from `start` to `end`, or to the pool's end.
fn section(words: &[u32], start: i64, end: Option<i64>) -> Option<&[u32]> {
    let start = usize::try_from(start).ok()?;
    let end = match end {
        Some(end) => usize::try_from(end).ok()?,
        None => words.len(),
    };
    words.get(start..end)
}
