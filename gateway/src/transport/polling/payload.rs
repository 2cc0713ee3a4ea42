//! What polls and posts carry: packets with a separator between them, binary data in base64.

use super::super::frame::{Item, Polled};

/// What stands between two packets.
const SEPARATOR: u8 = 0x1e;

/// How many bytes an answer has at least to hold for the separator and the mark of binary data.
const MARKS: usize = 2;

/// Appends a frame as a packet; nothing for what only WebSockets have, and for the end, which [`append_text`] writes.
pub(super) fn append(out: &mut Vec<u8>, item: &Item) {
    match item.packet() {
        Some(Polled::Text(parts)) => {
            separate(out);
            parts.iter().for_each(|part| out.extend_from_slice(part));
        }
        Some(Polled::Binary(data)) => {
            separate(out);
            out.push(b'b');
            encode(out, data);
        }
        Some(Polled::Close) | None => {}
    }
}

/// Appends a packet of the transport's own.
pub(super) fn append_text(out: &mut Vec<u8>, packet: &str) {
    separate(out);
    out.extend_from_slice(packet.as_bytes());
}

/// How many bytes a frame takes in an answer, or a few more.
pub(super) fn length(item: &Item) -> usize {
    MARKS
        + match item.packet() {
            Some(Polled::Text(parts)) => parts.iter().map(|part| part.len()).sum(),
            Some(Polled::Binary(data)) => data.len().div_ceil(3) * 4,
            Some(Polled::Close) | None => 0,
        }
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(SEPARATOR);
    }
}

/// A packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Received<'a> {
    Text(&'a str),
    Binary(Vec<u8>),
}

/// The first packet of a payload, and where the next one begins; `None` for a malformed one. A payload that ends in a
/// separator has an empty packet behind it, so where the next one begins may be the end, but not past it.
pub(in super::super) fn next(payload: &str) -> Option<(Received<'_>, Option<usize>)> {
    let end = payload.bytes().position(|byte| byte == SEPARATOR);
    let packet = &payload[..end.unwrap_or(payload.len())];
    let received = match packet.strip_prefix('b') {
        Some(base64) => Received::Binary(decode(base64)?),
        None if packet.is_empty() => return None,
        None => Received::Text(packet),
    };
    Some((received, end.map(|end| end + 1)))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(out: &mut Vec<u8>, data: &[u8]) {
    for chunk in data.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { digit } else { b'=' });
        }
    }
}

/// Padding may be missing. What is left over of the last digit is not looked at, as most decoders do.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let padding = text.len() - digits.len();
    if digits.len() % 4 == 1 || padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut data = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for &digit in chunk {
            bits = bits << 6 | value(digit)?;
        }
        bits <<= 6 * (4 - chunk.len());
        data.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(data)
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_both_ways() {
        for (data, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (&[1, 2, 3, 4], "AQIDBA=="),
            (&[0xff, 0xfe, 0xfb], "//77"),
        ] {
            let mut out = Vec::new();
            encode(&mut out, data);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decode(text).as_deref(), Some(data), "{text}");
            assert_eq!(decode(text.trim_end_matches('=')).as_deref(), Some(data), "{text}");
        }
        for text in ["A", "=", "Zg=", "Zg===", "Zm9v=", "Z g=", "Zg==Zg==", "Zm-v", "Zmäv", "Zm9vY"] {
            assert_eq!(decode(text), None, "{text}");
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        encode(&mut out, &all);
        assert_eq!(decode(std::str::from_utf8(&out).unwrap()), Some(all));
    }

    #[test]
    fn packets_are_split_at_separators() {
        let mut packets = Vec::new();
        let payload = "4a\u{1e}bAQ==\u{1e}3";
        let mut position = Some(0);
        while let Some(start) = position {
            let (packet, next) = next(&payload[start..]).unwrap();
            packets.push(packet);
            position = next.map(|next| start + next);
        }
        assert_eq!(packets, [Received::Text("4a"), Received::Binary(vec![1]), Received::Text("3")]);
        for malformed in ["", "\u{1e}3", "b*", "bA"] {
            assert_eq!(next(malformed), None, "{malformed:?}");
        }
        assert_eq!(next("3\u{1e}"), Some((Received::Text("3"), Some(2))), "and then an empty one");
    }

    #[test]
    fn frames_become_packets_of_the_length_that_was_told() {
        let items = [
            Item::ping(super::super::super::Wire::Engine),
            Item::binary(vec![1, 2, 3, 4]),
            Item::close(1001, ""),
        ];
        let mut out = Vec::new();
        items.iter().for_each(|item| append(&mut out, item));
        append_text(&mut out, "1");
        assert_eq!(out, b"2\x1ebAQIDBA==\x1e1");
        assert!(items.iter().map(length).sum::<usize>() + MARKS >= out.len() - 1);
    }
}
