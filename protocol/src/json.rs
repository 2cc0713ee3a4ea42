//! One way to read JSON: large texts by simd-json, small ones by `serde_json`, and of both the same comes out.
//!
//! simd-json looks through a whole text first, many bytes at a time, which pays from [`SIMD_FROM`] bytes on
//! (`docs/json.md`). What it reads is not quite the same language, so it has no say in what is refused: a text that it
//! does not take, or of which it might make something else, is read again by `serde_json`, whose value or error counts.
//!
//! | text | simd-json | here |
//! |---|---|---|
//! | whole numbers past `u64` | refused | read again |
//! | lone surrogates, `1e400`, deep nesting in what is ignored | refused | read again |
//! | nesting deeper than `serde_json` reads | read, up to the depth it is given | it is given `serde_json`'s |
//! | `-0` | the whole number 0 | read again: to `serde_json` it is a float |
//! | other floats | may differ in the last digit | read again |
//! | anything else that is wrong, invalid UTF-8, what follows a document | refused, in other words | read again, for the words |
//!
//! Repeated keys are the business of the type that is read, which sees all of them. A type with a `RawValue` is never
//! read by simd-json, which cannot give one. The test `agreement` holds both readers against each other.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed};
use simd_json::{Buffers, Deserializer, INPUT_PADDING, Node, StaticNode, Tape};

/// From this many bytes on a text is read by simd-json. By `docs/json.md` it is the faster one from some 128 bytes on;
/// below this size, however, that saves a fraction of a microsecond, and what is so short is mostly what clients wrote,
/// for which the parser with less `unsafe` code will do.
pub const SIMD_FROM: usize = 1 << 10;
/// The deepest nesting that `serde_json` reads.
const MAX_DEPTH: usize = 127;
/// After a text longer than this, which is rare, memory is given back.
const MAX_KEPT: usize = 256 << 10;

thread_local! {
    static READER: RefCell<Reader> = RefCell::default();
}

/// Reads a document.
///
/// # Errors
///
/// Those of `serde_json`.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    if let Some(value) = read_large(json, PhantomData) {
        return Ok(value);
    }
    serde_json::from_slice(json)
}

/// Reads a document by a seed, which is asked again where its first answer does not count.
///
/// # Errors
///
/// Those of `serde_json`.
pub fn read_seed<T, S>(json: &[u8], seed: &mut S) -> Result<T, serde_json::Error>
where
    for<'a, 'de> &'a mut S: DeserializeSeed<'de, Value = T>,
{
    if let Some(value) = read_large(json, &mut *seed) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn read_large<T>(json: &[u8], seed: impl for<'de> DeserializeSeed<'de, Value = T>) -> Option<T> {
    if json.len() < SIMD_FROM {
        return None;
    }
    // It is lent out already only where a value reads JSON within JSON.
    READER.with(|reader| reader.try_borrow_mut().ok()?.read_seed(json, seed))
}

/// simd-json with the memory that it needs, for one text after another.
pub struct Reader {
    text: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { text: Vec::new(), buffers: Buffers::with_max_depth(0, MAX_DEPTH), tape: Tape(Vec::new()) }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("capacity", &self.text.capacity()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads a document of any size. Where nothing comes of it, `serde_json` is to be asked: it may have something.
    pub fn read<T: DeserializeOwned>(&mut self, json: &[u8]) -> Option<T> {
        self.read_seed(json, PhantomData)
    }

    fn read_seed<T>(
        &mut self,
        json: &[u8],
        seed: impl for<'de> DeserializeSeed<'de, Value = T>,
    ) -> Option<T> {
        let Self { text, buffers, tape } = self;
        // The parser writes into the text, which is still needed where it is read again.
        text.clear();
        text.reserve(json.len() + INPUT_PADDING);
        text.extend_from_slice(json);
        text.resize(json.len() + INPUT_PADDING, b' ');
        let mut filled = std::mem::replace(tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(text, json.len(), buffers, &mut filled);
        let is_sure = parsed.is_ok() && !filled.0.iter().any(is_doubtful);
        let mut reader = Deserializer::from_tape(filled);
        let value = if is_sure { seed.deserialize(&mut reader).ok() } else { None };
        *tape = reader.into_tape().reset();
        if json.len() > MAX_KEPT {
            *self = Self::default();
        }
        value
    }
}

/// Whether `serde_json` may make something else of it. Only `-0` is a whole number with a sign that is 0.
fn is_doubtful(node: &Node<'_>) -> bool {
    matches!(node, Node::Static(StaticNode::F64(_) | StaticNode::I64(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The same document, long enough for simd-json.
    fn long(json: &str) -> String {
        format!("{json}{}", " ".repeat(SIMD_FROM))
    }

    #[test]
    fn what_is_plain_is_read_by_simd_json() {
        let mut reader = Reader::default();
        for value in [json!(1), json!([]), json!({"a": [null, true, -1, u64::MAX, i64::MIN, "\u{1f600}\n"]})]
        {
            assert_eq!(reader.read::<Value>(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn what_is_doubtful_is_left_to_serde_json() {
        let mut reader = Reader::default();
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for text in
            ["", "-0", "[-0]", "1.5", "1e2", "18446744073709551616", "[1] 1", "\"\\ud800\"", &deep(128)]
        {
            assert_eq!(reader.read::<Value>(text.as_bytes()), None, "{text}");
            let (read, other) =
                (read::<Value>(long(text).as_bytes()), serde_json::from_str::<Value>(&long(text)));
            assert_eq!(read.map_err(|e| e.to_string()), other.map_err(|e| e.to_string()), "{text}");
        }
        assert!(reader.read::<Value>(deep(127).as_bytes()).is_some());
        assert!(read::<Value>(deep(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_reader_gives_back_what_a_very_long_text_took() {
        let mut reader = Reader::default();
        let text = "x".repeat(MAX_KEPT);
        assert_eq!(reader.read::<String>(format!("\"{text}\"").as_bytes()), Some(text));
        assert_eq!(reader.text.capacity(), 0);
        assert_eq!(reader.read::<Vec<u8>>(b"[1,2]"), Some(vec![1, 2]));
        assert!(reader.text.capacity() > 0 && reader.tape.0.capacity() > 0);
    }
}
