//! Ways to pass a message within a batch: as it came, as a text within the text, and read.

use std::hint::black_box;

use protocol::body::{NewMessage, conversation_id, sent};
use protocol::command::{Batch, Command};
use protocol::input::Invalid;
use protocol::json::Reader;
use protocol::model::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::measure::{Contest, Ratio};
use crate::places::{message, payload, send};

/// An answer whose value is in some form.
#[derive(Deserialize, Serialize)]
struct Answers<P> {
    answers: Vec<Answer<P>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer<P> {
    Ok(P),
}

/// Prints what the forms cost.
pub(crate) fn compare(counts: &[usize]) {
    println!("\n## Forms of what is passed on\n");
    println!(
        "Sends, from a client's text in the gateway to a checked message in the api, on both sides together. *verbatim*: `RawValue`, read by \
         serde_json. The gateway looks for the conversation, the api reads the rest. *quoted*: the text as a string of JSON. *declared*: \
         the gateway reads all of it, and the api checks it again.\n"
    );
    heads();
    for &count in counts {
        sends(count);
    }
    println!("\nThe api's share of it:\n");
    heads();
    for &count in counts {
        sends_read(count);
    }
    println!(
        "\nAnswers, from a batch in the gateway to texts that are written to sockets. *verbatim*: `RawValue`, read by serde_json, which skips \
         it. *declared*: read, and written again.\n"
    );
    println!("| answers | verbatim | quoted, simd-json | declared, simd-json |\n|---:|---:|---:|---:|");
    for &count in counts {
        answers(count);
    }
}

fn heads() {
    println!("| sends | verbatim | quoted, simd-json | declared, serde_json | declared, simd-json |");
    println!("|---:|---:|---:|---:|---:|");
}

fn sends(count: usize) {
    let texts: Vec<String> = (0..count).map(payload).collect();
    let parse = |text: &str| NewMessage::parse(text.as_bytes());
    let mut contest = Contest::new(|| {
        let json = write(&texts, |text| conversation_id(text).and(Ok(raw(text))));
        check(serde_json::from_slice(&json), |payload: Box<RawValue>| parse(payload.get()));
    });
    let (mut quoted, mut declared) = (Reader::default(), Reader::default());
    let texts = &texts;
    contest.against(move || {
        let json = write(texts, |text| conversation_id(text).and(Ok(text.to_owned())));
        check(quoted.read(&json).ok_or(()), |payload: String| parse(&payload));
    });
    contest.against(move || {
        let json = write(texts, |text| sent(text).map(|(_, message)| message));
        check(serde_json::from_slice(&json), NewMessage::checked);
    });
    contest.against(move || {
        let json = write(texts, |text| sent(text).map(|(_, message)| message));
        check(declared.read(&json).ok_or(()), NewMessage::checked);
    });
    row(count, contest);
}

fn sends_read(count: usize) {
    let texts: Vec<String> = (0..count).map(payload).collect();
    let parse = |text: &str| NewMessage::parse(text.as_bytes());
    let verbatim = write(&texts, |text| Ok(raw(text)));
    let quoted = write(&texts, |text| Ok(text.to_owned()));
    let declared = write(&texts, |text| sent(text).map(|(_, message)| message));
    let (mut strings, mut messages) = (Reader::default(), Reader::default());
    let mut contest = Contest::new(|| {
        check(serde_json::from_slice(&verbatim), |payload: Box<RawValue>| parse(payload.get()));
    });
    contest.against(|| check(strings.read(&quoted).ok_or(()), |payload: String| parse(&payload)));
    contest.against(|| check(serde_json::from_slice(&declared), NewMessage::checked));
    contest.against(|| check(messages.read(&declared).ok_or(()), NewMessage::checked));
    row(count, contest);
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("it is JSON")
}

/// What a gateway does.
fn write<P: Serialize>(texts: &[String], form: impl Fn(&str) -> Result<P, Invalid>) -> Vec<u8> {
    let payload = |text: &String| form(text).expect("it is good");
    let commands = texts.iter().map(|text| send(payload(text))).collect();
    serde_json::to_vec(&Batch { commands }).expect("it is written")
}

/// What an api node does.
fn check<P, E, F>(batch: Result<Batch<P>, E>, check: impl Fn(P) -> Result<NewMessage, F>) {
    let Ok(Batch { commands }) = batch else { panic!("it is read") };
    for command in commands {
        let Command::Send { payload, .. } = command else { continue };
        assert!(black_box(check(payload)).is_ok());
    }
}

fn answers(count: usize) {
    let messages: Vec<Message<'static>> = (0..count).map(message).collect();
    let verbatim = answered(&messages, |message| to_raw_value(message).ok());
    let quoted = answered(&messages, |message| serde_json::to_string(message).ok());
    let (mut strings, mut declared) = (Reader::default(), Reader::default());
    let mut contest =
        Contest::new(|| each::<Box<RawValue>, _>(serde_json::from_slice(&verbatim).ok(), black_box));
    contest.against(|| each::<String, _>(strings.read(&quoted), black_box));
    contest.against(|| {
        each(declared.read(&verbatim), |message: Message<'static>| {
            black_box(serde_json::to_string(&message))
        });
    });
    row(count, contest);
}

fn answered<P: Serialize>(messages: &[Message<'_>], form: impl Fn(&Message<'_>) -> Option<P>) -> Vec<u8> {
    let answers = messages.iter().filter_map(form).map(Answer::Ok).collect();
    serde_json::to_vec(&Answers { answers }).expect("it is written")
}

fn each<P: DeserializeOwned, R>(answers: Option<Answers<P>>, mut write: impl FnMut(P) -> R) {
    for Answer::Ok(answer) in answers.expect("it is read").answers {
        black_box(write(answer));
    }
}

fn row(count: usize, contest: Contest<'_>) {
    let (time, ratios) = contest.run();
    let ratios: Vec<String> = ratios.iter().map(Ratio::to_string).collect();
    println!("| {count} | {time} | {} |", ratios.join(" | "));
}
