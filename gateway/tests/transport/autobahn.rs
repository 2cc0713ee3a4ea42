//! What Autobahn's test suite asks of a server without extensions, group by group, against an echo.

use gateway::transport::Config;

use crate::app::Server;
use crate::client::{BINARY, CLOSE, CONTINUATION, Client, PING, PONG, TEXT, frame};

const LIMIT: usize = 4 << 20;

async fn start() -> Server {
    Server::start(Config { max_payload: LIMIT, outbound_limit: 4 * LIMIT, ..Config::default() }).await
}

type Frames = Vec<(u8, Vec<u8>)>;

/// What is sent, the frames that come back, and the code that the server closes with; without one the client closes
/// and is answered.
struct Case {
    name: String,
    sent: Vec<u8>,
    expected: Frames,
    code: Option<u16>,
}

fn case(name: impl Into<String>, frames: &[Vec<u8>], expected: Frames, code: impl Into<Option<u16>>) -> Case {
    Case { name: name.into(), sent: frames.concat(), expected, code: code.into() }
}

fn fine(name: impl Into<String>, frames: &[Vec<u8>], expected: Frames) -> Case {
    case(name, frames, expected, None)
}

/// The frame, with other bits in its first byte.
fn with_bits(mut frame: Vec<u8>, bits: u8) -> Vec<u8> {
    frame[0] |= bits;
    frame
}

fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(true, TEXT, payload.as_ref())
}

fn ping(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(true, PING, payload.as_ref())
}

/// A message in fragments.
fn fragments<T: AsRef<[u8]>>(opcode: u8, parts: &[T]) -> Vec<u8> {
    let mut bytes = begun(opcode, parts);
    bytes.extend(frame(true, CONTINUATION, b""));
    bytes
}

/// Fragments of a message that does not end.
fn begun<T: AsRef<[u8]>>(opcode: u8, parts: &[T]) -> Vec<u8> {
    let opcodes = std::iter::once(opcode).chain(std::iter::repeat(CONTINUATION));
    parts.iter().zip(opcodes).flat_map(|(part, opcode)| frame(false, opcode, part.as_ref())).collect()
}

/// Each case on a connection of its own: once in one write, and once cut into small ones.
async fn run(cases: &[Case]) {
    let mut server = start().await;
    for Case { name, sent, expected, code } in cases {
        for size in [sent.len(), if sent.len() < 1_000 { 1 } else { 997 }] {
            let mut client = Client::open_with(server.address, "/echo", "", b"").await;
            let id = server.connected().await;
            for chunk in sent.chunks(size.max(1)) {
                client.send_bytes(chunk).await;
            }
            for (number, expected) in expected.iter().enumerate() {
                assert!(client.next().await == *expected, "{name}, answer {number}");
            }
            if code.is_none() {
                client.send_frame(true, CLOSE, &1000_u16.to_be_bytes()).await;
            }
            let (opcode, payload) = client.next().await;
            let got = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            assert_eq!((opcode, got), (CLOSE, code.unwrap_or(1000)), "{name}");
            drop(client);
            server.assert_disconnected(id).await;
        }
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn group_1_messages_of_all_lengths() {
    let lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536];
    let cases: Vec<Case> = lengths
        .into_iter()
        .flat_map(|length| [(TEXT, vec![b'*'; length]), (BINARY, vec![0xfe; length])])
        .map(|(opcode, payload)| {
            fine(
                format!("{opcode} of {}", payload.len()),
                &[frame(true, opcode, &payload)],
                vec![(opcode, payload)],
            )
        })
        .collect();
    run(&cases).await;
}

#[tokio::test]
async fn group_2_pings_and_pongs() {
    let pongs =
        |payloads: &[&[u8]]| payloads.iter().map(|payload| (PONG, payload.to_vec())).collect::<Frames>();
    let ten: Vec<String> = (0..10).map(|n| format!("payload-{n}")).collect();
    run(&[
        fine("2.1", &[ping("")], pongs(&[b""])),
        fine("2.2", &[ping("Hello")], pongs(&[b"Hello"])),
        fine(
            "2.3",
            &[ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
            pongs(&[b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"]),
        ),
        fine("2.4", &[ping([0xfe; 125])], pongs(&[&[0xfe; 125]])),
        case("2.5", &[ping([0xfe; 126])], vec![], 1002),
        fine("2.7", &[frame(true, PONG, b"")], vec![]),
        fine("2.8", &[frame(true, PONG, b"unsolicited")], vec![]),
        fine("2.9", &[frame(true, PONG, b"unsolicited"), ping("ping")], pongs(&[b"ping"])),
        fine(
            "2.10",
            &ten.iter().map(ping).collect::<Vec<_>>(),
            pongs(&ten.iter().map(String::as_bytes).collect::<Vec<_>>()),
        ),
    ])
    .await;
}

#[tokio::test]
async fn group_3_reserved_bits() {
    let mut cases = Vec::new();
    for rsv in 1..8_u8 {
        let bits = rsv << 4;
        for (name, frame) in [
            ("text", text("Hello")),
            ("binary", frame(true, BINARY, b"x")),
            ("ping", ping("")),
            ("close", frame(true, CLOSE, b"")),
        ] {
            let frames = [text("before"), with_bits(frame, bits), ping("after")];
            cases.push(case(format!("{rsv} on {name}"), &frames, vec![(TEXT, b"before".to_vec())], 1002));
        }
    }
    run(&cases).await;
}

#[tokio::test]
async fn group_4_reserved_opcodes() {
    let cases: Vec<Case> = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
        .into_iter()
        .flat_map(|opcode| {
            let before = || vec![(TEXT, b"before".to_vec())];
            [
                case(format!("{opcode}"), &[frame(true, opcode, b"")], vec![], 1002),
                case(
                    format!("{opcode} in between"),
                    &[text("before"), frame(true, opcode, b"reserved"), ping("after")],
                    before(),
                    1002,
                ),
            ]
        })
        .collect();
    run(&cases).await;
}

#[tokio::test]
async fn group_5_fragmentation() {
    let whole = || (TEXT, b"fragment1fragment2".to_vec());
    let pong = |payload: &[u8]| (PONG, payload.to_vec());
    let first = || frame(false, TEXT, b"fragment1");
    let last = || frame(true, CONTINUATION, b"fragment2");
    let more = |fin, payload: &[u8]| frame(fin, CONTINUATION, payload);
    let cut: Vec<[u8; 1]> = b"fragment1fragment2".map(|byte| [byte]).to_vec();
    run(&[
        case("5.1", &[frame(false, PING, b"fragment1"), last()], vec![], 1002),
        case("5.2", &[frame(false, PONG, b"fragment1"), last()], vec![], 1002),
        fine("5.3", &[first(), last()], vec![whole()]),
        fine("5.5", &[fragments(TEXT, &cut)], vec![whole()]),
        fine("5.6", &[first(), ping("ping"), last()], vec![pong(b"ping"), whole()]),
        fine(
            "empty fragments",
            &[frame(false, TEXT, b""), more(false, b""), more(true, b"")],
            vec![(TEXT, vec![])],
        ),
        fine(
            "binary",
            &[frame(false, BINARY, b"\xff"), more(true, b"\xfe")],
            vec![(BINARY, vec![0xff, 0xfe])],
        ),
        case("5.9", &[more(true, b"nothing"), text("after")], vec![], 1002),
        case("5.12", &[more(false, b"nothing"), text("after")], vec![], 1002),
        case("5.15", &[first(), last(), more(false, b"again"), text("after")], vec![whole()], 1002),
        case("5.18", &[first(), text("fragment2")], vec![], 1002),
        case("binary in a text", &[first(), frame(true, BINARY, b"fragment2")], vec![], 1002),
        fine(
            "5.19",
            &[
                first(),
                more(false, b"fragment2"),
                ping("1"),
                more(false, b"3"),
                more(false, b"4"),
                ping("2"),
                more(true, b"5"),
            ],
            vec![pong(b"1"), pong(b"2"), (TEXT, b"fragment1fragment2345".to_vec())],
        ),
    ])
    .await;
}

/// Texts that are not UTF-8, and which of their bytes shows it.
const NOT_UTF8: [(&[u8], usize); 17] = [
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", 12),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", 12),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\x80\xbf\x80", 0),
    (b"\xc0 \xc1 ", 0),
    (b"a\xc3\x28", 2),
    (b"\xe2\x28\xa1", 1),
    (b"\xe2\x82\x28", 2),
    (b"\xe0\x80\xaf", 1),
    (b"\xf0\x80\x80\xaf", 1),
    (b"\xf0\x90\x28\xbc", 2),
    (b"\xed\xad\xbf", 1),
    (b"\xfe", 0),
    (b"\xff\xff", 0),
];

#[tokio::test]
async fn group_6_utf_8() {
    let sound = [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\u{0}",
        "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
        "\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{feff}",
    ];
    let mut cases = Vec::new();
    for sound in sound {
        let expected = vec![(TEXT, sound.as_bytes().to_vec())];
        let bytes: Vec<[u8; 1]> = sound.bytes().map(|byte| [byte]).collect();
        cases.push(fine(sound, &[text(sound)], expected.clone()));
        cases.push(fine(format!("{sound} byte by byte"), &[fragments(TEXT, &bytes)], expected));
    }
    for (bad, shows) in NOT_UTF8 {
        let bytes: Vec<[u8; 1]> = bad[..=shows].iter().map(|&byte| [byte]).collect();
        cases.push(case(format!("{bad:x?}"), &[text(bad)], vec![], 1007));
        // Nothing comes after the byte that shows it, so it is refused by then.
        cases.push(case(format!("{bad:x?} byte by byte"), &[begun(TEXT, &bytes)], vec![], 1007));
        cases.push(case(format!("{bad:x?} in two"), &[begun(TEXT, &[&b"sound"[..], bad])], vec![], 1007));
        cases.push(fine(
            format!("{bad:x?} in binary"),
            &[frame(true, BINARY, bad)],
            vec![(BINARY, bad.to_vec())],
        ));
    }
    for cut in [&b"\xce"[..], b"\xe1\xbd", b"\xf0\x90\x80"] {
        cases.push(case(format!("{cut:x?} ends"), &[fragments(TEXT, &[cut])], vec![], 1007));
        cases.push(case(format!("{cut:x?} is whole"), &[text(cut)], vec![], 1007));
    }
    run(&cases).await;
}

#[tokio::test]
async fn group_7_closing() {
    let close = |code: u16, reason: &[u8]| frame(true, CLOSE, &[&code.to_be_bytes(), reason].concat());
    let hello = || vec![(TEXT, b"Hello".to_vec())];
    let mut cases = vec![
        case("7.1.1", &[text("Hello"), close(1000, b""), text("late")], hello(), 1000),
        case("7.1.2", &[close(1000, b""), close(1000, b"")], vec![], 1000),
        case("7.1.3", &[close(1000, b""), ping("late")], vec![], 1000),
        case(
            "7.1.5",
            &[frame(false, TEXT, b"a"), close(1000, b""), frame(true, CONTINUATION, b"b")],
            vec![],
            1000,
        ),
        case(
            "7.1.6",
            &[text(vec![b'*'; 256 * 1024]), close(1000, b"")],
            vec![(TEXT, vec![b'*'; 256 * 1024])],
            1000,
        ),
        case("7.3.1", &[frame(true, CLOSE, b"")], vec![], 1005),
        case("7.3.2", &[frame(true, CLOSE, b"a")], vec![], 1002),
        case("7.3.5", &[close(1000, &[b'*'; 123])], vec![], 1000),
        case("7.3.6", &[close(1000, &[b'*'; 124])], vec![], 1002),
        case("7.5.1", &[close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80")], vec![], 1007),
        case("fragmented", &[frame(false, CLOSE, b"")], vec![], 1002),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("7.7 {code}"), &[close(code, b"bye")], vec![], code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(format!("7.9 {code}"), &[close(code, b"")], vec![], 1002));
    }
    run(&cases).await;
}

#[tokio::test]
async fn groups_9_and_10_large_messages() {
    let mut cases = Vec::new();
    for (opcode, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
        let whole = vec![byte; LIMIT];
        let answer = || vec![(opcode, whole.clone())];
        cases.push(fine("one frame", &[frame(true, opcode, &whole)], answer()));
        for size in [1_300, 65_536] {
            let parts: Vec<&[u8]> = whole.chunks(size).collect();
            cases.push(fine(format!("frames of {size}"), &[fragments(opcode, &parts)], answer()));
        }
        let small = vec![byte; 65_536];
        let parts: Vec<&[u8]> = small.chunks(64).collect();
        cases.push(fine("many frames", &[fragments(opcode, &parts)], vec![(opcode, small.clone())]));
        // Only claimed: the head of the frame is enough.
        let head = [&[0x80 | opcode, 0xff][..], &(LIMIT as u64 + 1).to_be_bytes(), &[0; 4]].concat();
        cases.push(case("too large", &[head], vec![], 1009));
        let parts = [&whole[..LIMIT - 1], &[byte; 2]];
        cases.push(case("too large in the end", &[begun(opcode, &parts)], vec![], 1009));
    }
    run(&cases).await;
}

#[tokio::test]
async fn every_frame_is_masked() {
    run(&[
        case("text", &[b"\x81\x05Hello".to_vec()], vec![], 1002),
        case("empty text", &[b"\x81\x00".to_vec()], vec![], 1002),
        case("ping", &[text("Hello"), b"\x89\x00".to_vec()], vec![(TEXT, b"Hello".to_vec())], 1002),
        case("close", &[b"\x88\x00".to_vec()], vec![], 1002),
    ])
    .await;
}
