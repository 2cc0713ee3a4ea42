//! Whichever parser reads a text, the same comes out: the same value, or a refusal in the same words.
//!
//! Texts are generated, most of them good or nearly so, and read by both parsers: as they are, and with blanks behind
//! them so that they are long enough for simd-json.
//!
//! | module | holds |
//! |---|---|
//! | `anything` | a type that keeps all that a parser gives |
//! | `texts` | the texts |

mod anything;
mod texts;

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use protocol::Id;
use protocol::body::{ClientMessageId, ContentType, NewMessage, SendMessage, sent};
use protocol::command::{Batch, Command};
use protocol::input::{Ids, Input, Line, Link, List, Patch, Text, Whole};
use protocol::json::{Reader, SIMD_FROM, read};
use protocol::model::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::anything::Anything;

protocol::input! {
    /// A body with a field of most types.
    struct Body {
        /// As of a message.
        content / "content": Option<Text<0, 4_000>>,
        /// A choice.
        content_type / "contentType": Option<ContentType>,
        /// An address.
        attachment_url / "attachmentUrl": Option<Link>,
        /// A text that is taken as it is.
        client_message_id / "clientMessageId": Option<ClientMessageId>,
        /// Identifiers.
        participants / "participants": Option<Ids<1_000>>,
        /// A number.
        seq / "seq": Option<Whole<-5, { i64::MAX }>>,
        /// A list that may be taken away.
        commands / "commands": Patch<List<Line<1, 8>, 9>>,
        /// On or off.
        ok / "ok": Option<bool>,
    }
}

/// A type of each kind that serde knows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "they are compared as they are printed")]
enum Kinds {
    Ok,
    Seq(Vec<Option<i64>>),
    Commands { content: Option<String>, seq: (u8, i32), content_type: Option<bool> },
    Err(i64, f64),
    Content(Pair),
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "they are compared as they are printed")]
struct Pair {
    seq: u64,
    content: char,
}

/// How many texts of each kind, and which: the same every time, so that a failure is nobody's luck.
const CASES: u32 = 1_500;
const SEED: u64 = 20_261_130;

fn runner() -> TestRunner {
    let number = |variable| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    TestRunner::new(Config {
        cases: number("PROPTEST_CASES").map_or(CASES, |cases| cases as u32),
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(SEED)),
        failure_persistence: None,
        ..Config::default()
    })
}

/// Runs `check` on texts, some of which are spoiled.
fn check(texts: impl Strategy<Value = Vec<u8>>, check: impl Fn(&[u8]) -> Result<(), TestCaseError>) {
    let spoiled = texts::spoiled(texts).prop_map(Shown);
    runner().run(&spoiled, |Shown(text)| check(&text)).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A text, legible where a test fails.
#[derive(Clone)]
struct Shown(Vec<u8>);

impl Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn long(text: &[u8]) -> Vec<u8> {
    [text, &[b' '; SIMD_FROM]].concat()
}

fn agree<T: DeserializeOwned + Debug>(text: &[u8]) -> Result<bool, TestCaseError> {
    let print = |read: Result<T, serde_json::Error>| format!("{:?}", read.map_err(|error| error.to_string()));
    let by_simd_json = Reader::default().read::<T>(text);
    let is_read = by_simd_json.is_some();
    if let Some(value) = by_simd_json {
        prop_assert_eq!(print(Ok(value)), print(serde_json::from_slice(text)));
    }
    let long = long(text);
    prop_assert_eq!(print(read(&long)), print(serde_json::from_slice(&long)));
    Ok(is_read)
}

fn agree_on_all(text: &[u8]) -> Result<(), TestCaseError> {
    agree::<Anything>(text)?;
    agree::<Kinds>(text)?;
    agree::<Vec<Kinds>>(text)?;
    agree::<Pair>(text)?;
    agree::<NewMessage>(text)?;
    agree::<Batch>(text)?;
    agree::<Vec<Message<'static>>>(text)?;
    Ok(())
}

/// What a body is read as, before and after something is done to its length that means nothing.
fn agree_on_bodies(text: &[u8]) -> Result<(), TestCaseError> {
    let filler = format!("{{\"filler\":\"{}\",", "x".repeat(SIMD_FROM));
    let mut longer = vec![long(text)];
    if text.starts_with(b"{\"") {
        longer.push([filler.as_bytes(), &text[1..]].concat());
    }
    for longer in longer {
        prop_assert_eq!(format!("{:?}", Body::from_json(text)), format!("{:?}", Body::from_json(&longer)));
        let read = |text| format!("{:?}", SendMessage::from_json(text));
        prop_assert_eq!(read(text), read(&longer));
        if let (Ok(text), Ok(longer)) = (std::str::from_utf8(text), std::str::from_utf8(&longer)) {
            prop_assert_eq!(sent(text), sent(longer));
        }
    }
    Ok(())
}

#[test]
fn of_any_text_the_same_is_read() {
    check(texts::whatever(), agree_on_all);
}

#[test]
fn of_batches_the_same_is_read() {
    check(texts::batch(), agree_on_all);
}

#[test]
fn of_pages_the_same_is_read() {
    check(texts::page(), agree_on_all);
}

#[test]
fn of_bodies_the_same_is_read() {
    check(texts::body(), agree_on_bodies);
    check(texts::whatever(), agree_on_bodies);
}

#[test]
fn batches_and_pages_are_read_by_simd_json() {
    let read = |is_read| if is_read { Ok(()) } else { Err(TestCaseError::fail("it is not read")) };
    runner().run(&texts::batch(), |text| agree::<Batch>(&text).and_then(read)).unwrap();
    runner().run(&texts::page(), |text| agree::<Vec<Message<'static>>>(&text).and_then(read)).unwrap();
}

#[test]
fn what_is_known_to_differ_is_read_the_same() {
    let deep = |depth: usize, open: &str, close: &str| open.repeat(depth) + "1" + &close.repeat(depth);
    let mut texts: Vec<String> = texts::TOKENS.iter().map(|token| (*token).to_owned()).collect();
    for depth in [126, 127, 128, 129, 1_023, 1_024, 1_025, 50_000] {
        texts.extend([deep(depth, "[", "]"), deep(depth, "{\"content\":", "}"), "[".repeat(depth)]);
    }
    for text in texts {
        let within = [
            text.clone(),
            format!("[{text}]"),
            format!("{{\"content\":{text}}}"),
            format!("{{\"content\":\"a\",\"other\":{text}}}"),
            format!("{{\"content\":\"a\"}}{text}"),
            format!("{text}{{\"content\":\"a\"}}"),
            format!("{{\"content\":\"{text}\"}}"),
            format!("{{\"content\":\"a\",\"seq\":{text},\"seq\":{text}}}"),
            format!("{{\"seq\":[{text}],\"{text}\":0}}"),
        ];
        for text in within {
            agree_on_all(text.as_bytes()).unwrap_or_else(|failure| panic!("{text}: {failure}"));
            agree_on_bodies(text.as_bytes()).unwrap_or_else(|failure| panic!("{text}: {failure}"));
        }
    }
}

#[test]
fn a_batch_that_is_one_is_read_whole() {
    let (id, payload) = (Id::mint(), NewMessage::parse(br#"{"content":"a"}"#).unwrap());
    let commands =
        vec![Command::Send { message: id, sender: id, conversation: id, payload, received: None }; 100];
    let json = serde_json::to_vec(&Batch { commands }).unwrap();
    assert_eq!(read::<Batch>(&json).unwrap().commands.len(), 100);
}
