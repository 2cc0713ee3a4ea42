//! Texts that are JSON, or nearly.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use protocol::body::{ContentType, NewMessage};
use protocol::command::{Batch, Command, Presence};
use protocol::model::{Message, ReadBy, UserSummary};
use protocol::{Id, Timestamp, UnixMicros};

/// What parsers have been known to read in different ways, and what is only just right or wrong.
pub(crate) const TOKENS: &[&str] = &[
    "-0",
    "0",
    "-1",
    "-",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "1.0",
    "-0.0",
    "1e2",
    "1E+2",
    "1e",
    "1e400",
    "-1e400",
    "1e-400",
    "0e999",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "0.1234567890123456789012345",
    "2.2250738585072011e-308",
    "9007199254740993.0",
    "1\u{0}",
    "null",
    "nul",
    "nullx",
    "true",
    "truefalse",
    "True",
    "NaN",
    "Infinity",
    "\"",
    "\"\"",
    "\"a\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800x\"",
    "\"\\ud800\\u0041\"",
    "\"\\uD83D\"",
    "\"\\u0000\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\x\"",
    "\"\\'\"",
    "\"\\\"",
    "\\",
    "\"\\/\\b\\f\\n\\r\\t\"",
    "\u{1}",
    "\n",
    "\t",
    "\r",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{80}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{1f600}",
    "\u{0}",
    "[",
    "]",
    "{",
    "}",
    "[]",
    "{}",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1]]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{1:2}",
    "{\"a\":1 \"b\":2}",
    ",",
    ":",
    "//",
    "/**/",
    "'a'",
    "content",
    "",
];

/// Keys that the types which are read know, and one that none does.
const KEYS: &[&str] = &[
    "content",
    "contentType",
    "attachmentUrl",
    "clientMessageId",
    "participants",
    "seq",
    "commands",
    "ok",
    "err",
    "send",
    "conversationId",
    "other",
    "cont\\u0065nt",
];

/// A character as it stands between quotes.
fn escaped(c: char) -> String {
    let quoted = serde_json::to_string(&c).expect("it is written");
    quoted[1..quoted.len() - 1].to_owned()
}

/// Texts as they stand between quotes.
fn quoted() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -!#-\\[\\]-~]{0,40}",
        2 => any::<char>().prop_map(escaped),
        1 => select(&["\\ud83d\\ude00", "\\u00e9", "\\u0000", "\\n", "\\/", "\\\\", "\\\"", "\u{1f600}", "\u{e9}", "\u{7f}"][..])
            .prop_map(str::to_owned),
        1 => select(&["text", "image", "a", "https://example.org/a", "5f0000000000000000000001"][..]).prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "[ \n\r\t]{0,70}"]
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => quoted().prop_map(|text| format!("\"{text}\"")),
        2 => "-?(0|[1-9][0-9]{0,21})",
        1 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        2 => select(&["null", "true", "false", "0", "5", "-5"][..]).prop_map(str::to_owned),
        1 => select(TOKENS).prop_map(str::to_owned),
    ]
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec((blank(), item, blank()), 0..8).prop_map(|items| {
        let items: Vec<String> =
            items.into_iter().map(|(before, item, after)| before + &item + &after).collect();
        format!("[{}]", items.join(","))
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let entry = (select(KEYS), blank(), value, blank());
    vec(entry, 0..8).prop_map(|entries| {
        let entry = |(key, before, value, after)| format!("\"{key}\":{before}{value}{after}");
        format!("{{{}}}", entries.into_iter().map(entry).collect::<Vec<String>>().join(","))
    })
}

fn value() -> impl Strategy<Value = String> {
    leaf().prop_recursive(5, 96, 8, |inner| prop_oneof![list(inner.clone()), object(inner)])
}

/// Any value.
pub(crate) fn whatever() -> impl Strategy<Value = Vec<u8>> {
    (blank(), value(), blank()).prop_map(|(before, value, after)| (before + &value + &after).into_bytes())
}

/// An object with fields as a body has them.
pub(crate) fn body() -> impl Strategy<Value = Vec<u8>> {
    let id = "[0-9a-f]{24}".prop_map(|id| format!("\"{id}\""));
    let value = prop_oneof![4 => leaf(), 1 => vec(id, 0..60).prop_map(|ids| format!("[{}]", ids.join(","))), 1 => value()];
    object(value).prop_map(String::into_bytes)
}

fn written(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it is written")
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 12]>().prop_map(Id::from_bytes)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_000_000_000_000).prop_map(Timestamp::from_millis)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,80}", 1 => vec(any::<char>(), 0..40).prop_map(String::from_iter)]
}

/// A batch as a gateway writes it.
pub(crate) fn batch() -> impl Strategy<Value = Vec<u8>> {
    let kind = select(ContentType::ALL);
    let payload = (text(), kind, proptest::option::of(text()), proptest::option::of(text())).prop_map(
        |(content, content_type, attachment_url, client_message_id)| NewMessage {
            content,
            content_type,
            attachment_url,
            client_message_id,
        },
    );
    let presence = select(&[Presence::Offline, Presence::Away, Presence::Online][..]);
    let command = prop_oneof![
        4 => (id(), id(), id(), payload, option::of(any::<i64>())).prop_map(
            |(message, sender, conversation, payload, received)| Command::Send {
                message, sender, conversation, payload, received: received.map(UnixMicros::from_micros)
            },
        ),
        1 => (id(), any::<i64>()).prop_map(|(user, generation)| Command::Connect { user, generation }),
        1 => (id(), id()).prop_map(|(user, message)| Command::Read { user, message }),
        1 => (id(), id(), any::<u64>(), presence, time()).prop_map(|(gateway, user, version, presence, at)| {
            Command::Presence { gateway, user, version, presence, at }
        }),
        1 => id().prop_map(|gateway| Command::Alive { gateway }),
    ];
    vec(command, 0..24).prop_map(|commands| written(&Batch { commands }))
}

/// A page of messages as the api writes it.
pub(crate) fn page() -> impl Strategy<Value = Vec<u8>> {
    let message = (id(), id(), any::<i64>(), text(), text(), time(), proptest::option::of(text())).prop_map(
        |(id, user, seq, name, content, at, optional)| Message {
            mongo_id: id,
            id,
            conversation_id: user,
            seq,
            sender: UserSummary::author(user, name, optional.clone().map(Into::into)),
            content: content.into(),
            content_type: "text".into(),
            attachment_url: optional.map(Into::into),
            client_message_id: None,
            read_by: vec![ReadBy { user_id: user, read_at: at }; 2],
            read_count: Some(seq),
            created_at: at,
            updated_at: at,
            edited_at: Some(at),
            is_deleted: seq % 2 == 0,
        },
    );
    vec(message, 0..12).prop_map(|messages| written(&messages))
}

/// One thing done to a text.
#[derive(Clone, Debug)]
enum Spoil {
    Cut(Index),
    Drop(Index),
    Change(Index, u8),
    Insert(Index, &'static str),
    /// What is between the two is there again behind itself.
    Repeat(Index, Index),
    /// The value that begins at a quote, digit or bracket is another one.
    Replace(Index, &'static str),
}

/// The same texts, two thirds of them no longer as they were.
pub(crate) fn spoiled(texts: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let at = any::<Index>;
    let spoil = prop_oneof![
        at().prop_map(Spoil::Cut),
        at().prop_map(Spoil::Drop),
        (at(), any::<u8>()).prop_map(|(at, byte)| Spoil::Change(at, byte)),
        (at(), select(TOKENS)).prop_map(|(at, token)| Spoil::Insert(at, token)),
        (at(), at()).prop_map(|(from, to)| Spoil::Repeat(from, to)),
        (at(), select(TOKENS)).prop_map(|(at, token)| Spoil::Replace(at, token)),
    ];
    let spoils = prop_oneof![1 => Just(Vec::new()), 2 => vec(spoil, 1..4)];
    (texts, spoils).prop_map(|(mut text, spoils)| {
        spoils.into_iter().for_each(|spoil| apply(spoil, &mut text));
        text
    })
}

fn apply(spoil: Spoil, text: &mut Vec<u8>) {
    let length = text.len();
    if length == 0 {
        return;
    }
    match spoil {
        Spoil::Cut(at) => text.truncate(at.index(length)),
        Spoil::Drop(at) => drop(text.remove(at.index(length))),
        Spoil::Change(at, byte) => text[at.index(length)] = byte,
        Spoil::Insert(at, token) => drop(text.splice(at.index(length)..at.index(length), token.bytes())),
        Spoil::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let again = text[from.min(to)..from.max(to)].to_vec();
            text.splice(from.max(to)..from.max(to), again);
        }
        Spoil::Replace(at, token) => {
            let values: Vec<usize> =
                (0..length.saturating_sub(1)).filter(|&at| b":[,".contains(&text[at])).collect();
            if !values.is_empty() {
                let start = values[at.index(values.len())] + 1;
                let end = text[start..]
                    .iter()
                    .position(|byte| b",]}".contains(byte))
                    .map_or(length, |end| start + end);
                text.splice(start..end, token.bytes());
            }
        }
    }
}
