//! WebSocket frames: what the protocol allows, and what it does not.

use gateway::transport::Config;

use crate::app::{Server, Told, text_event};
use crate::client::{BINARY, CLOSE, CONTINUATION, Client, PING, PONG, SOCKET_IO, TEXT, frame};

const LIMIT: usize = 10_000;

async fn start() -> Server {
    Server::start(Config { max_payload: LIMIT, ..Config::default() }).await
}

/// Sends bytes on a fresh connection and gives the code it is closed with.
async fn code_after(server: &mut Server, bytes: &[u8]) -> u16 {
    let mut client = Client::plain(server.address).await;
    let id = server.connected().await;
    client.send_bytes(bytes).await;
    let code = client.closed().await;
    server.assert_disconnected(id).await;
    code
}

#[tokio::test]
async fn violations_are_closed_with_their_code() {
    let mut server = start().await;
    let mut witness = Client::plain(server.address).await;
    server.connected().await;
    let join = |frames: &[Vec<u8>]| frames.concat();
    let mut reserved = frame(true, TEXT, b"[]");
    reserved[0] |= 0x40;
    let cases: [(&str, Vec<u8>, u16); 17] = [
        ("unmasked", b"\x81\x05[\"a\"]".to_vec(), 1002),
        ("unmasked ping", b"\x89\x00".to_vec(), 1002),
        ("reserved bit", reserved, 1002),
        ("reserved opcode", frame(true, 3, b""), 1002),
        ("fragmented ping", frame(false, PING, b""), 1002),
        ("long ping", frame(true, PING, &[b'x'; 126]), 1002),
        ("long pong", frame(true, PONG, &[b'x'; 126]), 1002),
        ("nothing to continue", frame(true, CONTINUATION, b"x"), 1002),
        ("two beginnings", join(&[frame(false, TEXT, b"["), frame(true, TEXT, b"[]")]), 1002),
        ("bad close code", frame(true, CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("half a close code", frame(true, CLOSE, b"x"), 1002),
        ("binary", frame(true, BINARY, b"x"), 1003),
        ("not UTF-8", frame(true, TEXT, b"[\"\xff\"]"), 1007),
        (
            "not UTF-8 over fragments",
            join(&[frame(false, TEXT, b"[\"\xc3"), frame(true, CONTINUATION, b"\x28\"]")]),
            1007,
        ),
        ("too large", frame(true, TEXT, &vec![b' '; LIMIT + 1]), 1009),
        ("claims to be too large", vec![0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
        (
            "too large over fragments",
            join(&[
                frame(false, TEXT, &[b' '; LIMIT / 2]),
                frame(false, CONTINUATION, &[b' '; LIMIT / 2]),
                frame(true, CONTINUATION, b" "),
            ]),
            1009,
        ),
    ];
    for (name, bytes, code) in cases {
        assert_eq!(code_after(&mut server, &bytes).await, code, "{name}");
        witness.assert_well().await;
    }
    server.stopped(witness).await;
}

#[tokio::test]
async fn a_binary_frame_that_no_packet_announced_is_not_accepted_on_socket_io() {
    let server = start().await;
    let mut client = Client::socketio(server.address).await;
    client.send_frame(true, BINARY, b"x").await;
    assert_eq!(client.closed().await, 1002);
    server.stopped(client).await;
}

#[tokio::test]
async fn messages_of_exactly_the_limit_pass() {
    let mut server = start().await;
    let mut client = Client::plain(server.address).await;
    let id = server.connected().await;
    let text = format!("[\"a\",\"{}\",1]", "x".repeat(LIMIT - 10));
    assert_eq!(text.len(), LIMIT);
    client.send(&text).await;
    assert!(client.text().await.ends_with(",1]"));
    assert!(
        matches!(server.told().await, Told::Event(told, _, payload, _) if told == id && payload.len() == LIMIT - 8)
    );
    let (first, second) = text.split_at(LIMIT / 2);
    client.send_frame(false, TEXT, first.as_bytes()).await;
    client.send_frame(true, CONTINUATION, second.as_bytes()).await;
    assert!(client.text().await.ends_with(",1]"));
    server.stopped(client).await;
}

#[tokio::test]
async fn fragments_may_cut_characters_and_surround_pings() {
    let mut server = start().await;
    let mut client = Client::socketio(server.address).await;
    server.connected().await;
    let text = "42[\"ä\",\"→😀\"]".as_bytes();
    for (index, byte) in text.iter().enumerate() {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        client.assert_well().await;
        client.send_frame(index + 1 == text.len(), opcode, &[*byte]).await;
    }
    assert_eq!(client.text().await.as_bytes(), text);
    server.stopped(client).await;
}

#[tokio::test]
async fn closes_are_answered_with_their_code() {
    let mut server = start().await;
    assert_eq!(code_after(&mut server, &frame(true, CLOSE, b"")).await, 1005);
    assert_eq!(code_after(&mut server, &frame(true, CLOSE, b"\x03\xe8bye")).await, 1000);
    assert_eq!(code_after(&mut server, &frame(true, CLOSE, &4321_u16.to_be_bytes())).await, 4321);
    server.stopped(()).await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_reported() {
    let mut server = start().await;
    for half_a_frame in [false, true] {
        let mut client = Client::plain(server.address).await;
        let id = server.connected().await;
        if half_a_frame {
            client.send_bytes(&frame(true, TEXT, b"[\"a\"]")[..4]).await;
            client.assert_still_silent().await;
        }
        drop(client);
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

/// A frame that is not there yet neither blocks what is sent, nor is any byte of it lost.
#[tokio::test]
async fn frames_come_byte_by_byte_while_events_stream_out() {
    let mut server = start().await;
    for socketio in [true, false] {
        let (mut client, prefix) = match socketio {
            true => (Client::socketio(server.address).await, "42"),
            false => (Client::plain(server.address).await, ""),
        };
        let id = server.connected().await;
        let socket = server.app.socket(id);
        let mut streamed = 0;
        for round in 0..8 {
            // Lengths around what takes another length field and another read.
            let filler = "x".repeat([0, 100, 126, 300, 1, 125, 127, 2][round]);
            let text = format!("{prefix}[\"slow\",\"{round}{filler}\"]");
            let bytes = frame(true, TEXT, text.as_bytes());
            for (index, byte) in bytes.iter().enumerate() {
                client.send_bytes(&[*byte]).await;
                if index + 1 < bytes.len() {
                    socket.emit(&text_event("stream", &streamed.to_string()));
                    assert_eq!(client.text().await, format!("{prefix}[\"stream\",{streamed}]"));
                    streamed += 1;
                }
            }
            assert_eq!(client.text().await, text);
            assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "slow"));
        }
        drop(client);
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn a_burst_of_many_frames_is_read_in_order() {
    let mut server = Server::start(Config { outbound_limit: 16 << 20, ..Config::default() }).await;
    let mut client = Client::plain(server.address).await;
    server.connected().await;
    const COUNT: usize = 5_000;
    let bytes: Vec<u8> =
        (0..COUNT).flat_map(|n| frame(true, TEXT, format!("[\"n\",{n},{n}]").as_bytes())).collect();
    client.send_bytes(&bytes).await;
    for n in 0..COUNT {
        assert_eq!(client.text().await, format!("[\"ack\",{n},{n}]"));
    }
    server.stopped(client).await;
}

/// Whatever bytes come, they end their own connection at the most.
#[tokio::test]
async fn noise_harms_nobody_else() {
    let mut server = start().await;
    let mut witness = Client::socketio(server.address).await;
    server.connected().await;
    let mut seed = 7_u64;
    for round in 0..200 {
        let path = if round % 2 == 0 { SOCKET_IO } else { "/ws" };
        let mut client = Client::open_with(server.address, path, "", b"").await;
        let mut noise: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        })
        .take(300)
        .collect();
        if round % 3 == 0 {
            // A masked text frame, so that the noise gets further.
            noise[..2].copy_from_slice(&[0x81, 0xff - 3]);
        }
        client.send_bytes(&noise).await;
        drop(client);
        witness.assert_well().await;
    }
    server.stopped(witness).await;
}
