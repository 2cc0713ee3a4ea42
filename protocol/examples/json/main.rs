//! What each JSON parser costs, place by place, and from which size on simd-json is the faster one. Prints
//! `docs/json.md`:
//!
//! ```sh
//! cargo run --release -p linkup-protocol --example json > docs/json.md
//! ```
//!
//! What is compared takes turns within one run, round by round; a ratio is the median over all rounds of what one takes
//! to what the other takes in the same round, with its quartiles. Times are medians, of a machine that may have had
//! other things to do.
//!
//! | module | holds |
//! |---|---|
//! | `measure` | taking turns, and what comes of it |
//! | `places` | the texts, as they are read in LinkUp |
//! | `forms` | other ways to pass a message within a batch |

mod forms;
mod measure;
mod places;

use std::hint::black_box;

use protocol::body::SendMessage;
use protocol::command::{Answers, Batch};
use protocol::input::Input;
use protocol::json::{Reader, SIMD_FROM};
use protocol::model::Message;
use serde::de::DeserializeOwned;
use simd_json::Buffers;

use crate::measure::{Contest, Ratio};
use crate::places::{Conversation, ConversationBody, MessageBody};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many commands a batch has here. Under load it is tens; alone, one.
const BATCHES: [usize; 4] = [1, 8, 64, 256];
/// The sizes among which the threshold is looked for.
const SIZES: [usize; 10] = [128, 256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];

fn main() {
    println!("# JSON parsers\n");
    println!(
        "Printed by `cargo run --release -p linkup-protocol --example json`, which says how it measures.\n"
    );
    println!("## Place by place\n");
    println!(
        "How long it takes to read a text into its declared type. *fresh*: simd-json as `from_slice` has it, with new buffers; *reused*: as \
         `protocol::json` has it, with what makes sure that `serde_json` would read the same. Both copy the text first, which they write \
         into.\n"
    );
    println!("| place | bytes | serde_json | fresh | reused | read by |\n|---|---:|---:|---:|---:|---|");
    for count in BATCHES {
        place::<Batch>(&format!("gateway → api, sends: {count}"), &places::batch(count));
    }
    for count in BATCHES {
        answers(&format!("api → gateway, answers: {count}"), &places::answers(count));
    }
    for (name, text) in places::message_bodies() {
        place::<MessageBody>(&format!("REST, message of 4,000 characters, {name}"), &text);
    }
    for count in [10, 100, 1_000] {
        place::<ConversationBody>(
            &format!("REST, conversation with {count} participants"),
            &places::participants(count),
        );
    }
    place::<Vec<Message<'static>>>("harness, page of 100 messages", &places::messages(100));
    place::<Vec<Conversation>>("harness, page of 50 conversations", &places::conversations(50));
    whole_bodies();
    forms::compare(&BATCHES);
    threshold();
}

/// Reads with either parser, and simd-json both ways.
fn contest<'a, T: DeserializeOwned>(text: &'a [u8]) -> Contest<'a> {
    let (mut reader, mut fresh) = (Reader::default(), Vec::new());
    assert!(reader.read::<T>(text).is_some(), "simd-json leaves it to serde_json");
    let mut contest = Contest::new(move || drop(black_box(serde_json::from_slice::<T>(text))));
    contest.against(move || {
        fresh.clear();
        fresh.extend_from_slice(text);
        let mut buffers = Buffers::new(text.len());
        drop(black_box(simd_json::serde::from_slice_with_buffers::<T>(&mut fresh, &mut buffers)));
    });
    contest.against(move || drop(black_box(reader.read::<T>(text))));
    contest
}

fn place<T: DeserializeOwned>(name: &str, text: &[u8]) {
    let (time, ratios) = contest::<T>(text).run();
    let by = if text.len() < SIMD_FROM { "serde_json" } else { "simd-json" };
    println!("| {name} | {} | {time} | {} | {} | {by} |", text.len(), ratios[0], ratios[1]);
}

/// They are passed on unread, in a form that simd-json does not have.
fn answers(name: &str, text: &[u8]) {
    let (time, _) = Contest::new(|| drop(black_box(serde_json::from_slice::<Answers>(text)))).run();
    println!("| {name} | {} | {time} | – | – | serde_json |", text.len());
}

/// What reading is of all that is done to a body.
fn whole_bodies() {
    println!(
        "\nA body is checked, too. All of `POST /api/conversations/:id/messages` up to the checked message:\n"
    );
    println!("| body | bytes | time |\n|---|---:|---:|");
    for (name, text) in places::message_bodies() {
        let (time, _) = Contest::new(|| drop(black_box(SendMessage::from_json(&text)))).run();
        println!("| {name} | {} | {time} |", text.len());
    }
}

fn threshold() {
    println!("\n## The threshold\n");
    println!("simd-json with reused buffers to serde_json, by size:\n");
    println!("| bytes, about | batches of reads | batches of sends | pages of messages | identifiers |");
    println!("|---:|---:|---:|---:|---:|");
    let mut from = SIZES[0];
    for size in SIZES {
        let ratios = [
            grown(size, places::reads).map(|text| last(contest::<Batch>(&text))),
            grown(size, places::batch).map(|text| last(contest::<Batch>(&text))),
            grown(size, places::messages).map(|text| last(contest::<Vec<Message<'static>>>(&text))),
            grown(size, places::participants).map(|text| last(contest::<ConversationBody>(&text))),
        ];
        if ratios.iter().flatten().any(|ratio| ratio.median() >= 1.0) {
            from = size * 2;
        }
        let row = ratios.map(|ratio| ratio.map_or_else(|| "–".to_owned(), |ratio| ratio.to_string()));
        println!("| {size} | {} |", row.join(" | "));
    }
    println!(
        "\nHere simd-json is the faster one at every size from {from} bytes on. It is used from {SIMD_FROM} bytes on (`SIMD_FROM`): below \
         that the difference is a fraction of a microsecond, and what is read is mostly what clients wrote, for which the parser with less \
         `unsafe` code will do."
    );
}

fn last(contest: Contest<'_>) -> Ratio {
    contest.run().1[1]
}

/// The smallest of these texts that has so many bytes, unless the very first has more.
fn grown(size: usize, text: fn(usize) -> Vec<u8>) -> Option<Vec<u8>> {
    let (one, two) = (text(1).len(), text(2).len());
    Some(text(1 + size.checked_sub(one)?.div_ceil(two - one)))
}
