use super::*;

fn event<'a>(name: &'a str, payload: &'a str, args: &'a str, ack: Option<u64>) -> ClientEvent<'a> {
    ClientEvent { name: name.into(), payload, args, attachments: &[], ack }
}

/// What a text frame is, if it is a Socket.IO packet.
fn decode(text: &str) -> Result<Packet<'_>, Malformed> {
    match Engine::decode(text)? {
        Engine::Message(message) => Packet::decode(message, 10),
        _ => Err(Malformed("no message")),
    }
}

fn told<'a>(namespace: &'a str, event: ClientEvent<'a>, attachments: usize) -> Packet<'a> {
    Packet::Event { namespace, event, attachments }
}

fn ack<'a>(namespace: &'a str, id: u64, args: &'a str, attachments: usize) -> Packet<'a> {
    Packet::Ack { namespace, id, args, attachments }
}

#[test]
fn well_formed_packets() {
    let cases = [
        ("40", Packet::Connect { namespace: "/", auth: "{}" }),
        (r#"40{"token":"a"}"#, Packet::Connect { namespace: "/", auth: r#"{"token":"a"}"# }),
        (r#"40/,{"a":1}"#, Packet::Connect { namespace: "/", auth: r#"{"a":1}"# }),
        ("40/custom", Packet::Connect { namespace: "/custom", auth: "{}" }),
        ("40/custom,", Packet::Connect { namespace: "/custom", auth: "{}" }),
        (r#"40/custom,{"a":1}"#, Packet::Connect { namespace: "/custom", auth: r#"{"a":1}"# }),
        ("41", Packet::Disconnect { namespace: "/" }),
        ("41/custom", Packet::Disconnect { namespace: "/custom" }),
        ("41/custom,", Packet::Disconnect { namespace: "/custom" }),
        (r#"42["a"]"#, told("/", event("a", "null", "", None), 0)),
        (
            r#"42["message",1,"2",{"3":[true]}]"#,
            told("/", event("message", "1", r#"1,"2",{"3":[true]}"#, None), 0),
        ),
        ("42456[\"a\" , [1] ,2 ] ", told("/", event("a", "[1]", "[1] ,2", Some(456)), 0)),
        (
            r#"42/x,0["ä","\ud83d\ude00"]"#,
            told("/x", event("ä", r#""\ud83d\ude00""#, r#""\ud83d\ude00""#, Some(0)), 0),
        ),
        (r#"42["\u0061b",1]"#, told("/", event("ab", "1", "1", None), 0)),
        (
            r#"42["a",{"_placeholder":true,"num":0}]"#,
            told("/", event("a", PLACEHOLDER, PLACEHOLDER, None), 0),
        ),
        ("4312[]", ack("/", 12, "", 0)),
        (r#"430[1 , "b"] "#, ack("/", 0, r#"1 , "b""#, 0)),
        ("43/x,1[null]", ack("/x", 1, "null", 0)),
        (
            r#"451-["a",{"_placeholder":true,"num":0}]"#,
            told("/", event("a", PLACEHOLDER, PLACEHOLDER, None), 1),
        ),
        (
            r#"451-/x,7["a",{"_placeholder":true,"num":0}]"#,
            told("/x", event("a", PLACEHOLDER, PLACEHOLDER, Some(7)), 1),
        ),
        (r#"450-["a",1]"#, told("/", event("a", "1", "1", None), 0)),
        (r#"461-/x,7[{"_placeholder":true,"num":0}]"#, ack("/x", 7, PLACEHOLDER, 1)),
        ("460-7[]", ack("/", 7, "", 0)),
    ];
    for (text, packet) in cases {
        assert_eq!(decode(text), Ok(packet), "{text}");
    }
    assert_eq!(Engine::decode("1"), Ok(Engine::Close));
    assert_eq!(Engine::decode("3"), Ok(Engine::Pong));
    assert_eq!(Engine::decode("6"), Ok(Engine::Noop));
}

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn without_attachments_any_packet_with_some_is_refused_as_such() {
    for text in [r#"451-["a",{"_placeholder":true,"num":0}]"#, "461-1[]", "45", "46x"] {
        assert_eq!(Packet::decode(&text[1..], 0), Ok(Packet::Binary), "{text}");
    }
}

const MALFORMED: [&str; 82] = [
    "",
    "0",
    "2",
    "2probe",
    "5",
    "7",
    "abc",
    "ä",
    "4",
    "4abc",
    "49",
    "4ä",
    "40abc",
    "40[]",
    "40null",
    "40{",
    "4012{}",
    "41{}",
    "41abc",
    "42",
    "42{}",
    "42[]",
    "42[",
    "42[]]",
    "42[1]",
    "42[null]",
    "42{\"a\":1}",
    "42\"a\"",
    "42abc[\"a\"]",
    "42-1[\"a\"]",
    "42[\"a\"]x",
    "42[\"a\",]",
    "42[\"a\",1,]",
    "42[\"a\",1,2",
    "4218446744073709551616[\"a\"]",
    "42[\"connect\"]",
    "42[\"connect_error\"]",
    "42[\"disconnect\"]",
    "42[\"disconnecting\"]",
    "42[\"newListener\"]",
    "42[\"removeListener\",1]",
    "42[\"\\u0063onnect\"]",
    "43",
    "43[]",
    "431{}",
    "431",
    "43abc[]",
    "43[",
    "431[",
    "431[]]",
    "4399999999999999999999[]",
    "44{\"message\":\"x\"}",
    "45",
    "45[\"a\"]",
    "45-[\"a\"]",
    "45x-[\"a\"]",
    "45+1-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "451[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "451-",
    "451-{}",
    "451-[]",
    "451-[{\"_placeholder\":true,\"num\":0}]",
    "451-[\"a\"]",
    "450-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":1}]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]",
    "451-[\"a\",{\"_placeholder\":true}]",
    "452-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"a\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":0}]",
    "4511-[\"a\"]",
    "4599999999999999999999-[\"a\"]",
    "451-[\"connect\",{\"_placeholder\":true,\"num\":0}]",
    "451-x[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "46",
    "461-[{\"_placeholder\":true,\"num\":0}]",
    "461-1[]",
    "461-1{}",
    "47",
    "48",
    "b",
    "\u{0}",
];

#[test]
fn malformed_packets() {
    for text in MALFORMED {
        assert!(decode(text).is_err(), "{text}");
    }
    let long = format!("40/{}", "x".repeat(MAX_NAMESPACE));
    assert!(decode(&long).is_err());
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!("42[\"a\",{}{}]", "[".repeat(200_000), "]".repeat(200_000));
    assert!(decode(&deep).is_ok());
    assert!(decode(&deep[..deep.len() - 2]).is_err());
}

#[test]
fn every_cut_of_a_packet_is_survived() {
    let text = r#"42/näm,12["na\u0041me",{"ä":"\"]"},[1,2]]"#;
    for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
        let (start, end) = text.split_at(cut);
        let _ = decode(start);
        let _ = decode(end);
        let _ = decode_plain(end);
    }
}

#[test]
fn damaged_packets_are_survived() {
    let packets = [
        r#"42/n,12["na\u0041me",{"ä":"\"]"},[1,2]]"#,
        r#"40/x,{"a":[1]}"#,
        r#"["a",{"b":1},7]"#,
        r#"452-/x,1["a",{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]"#,
    ];
    let mut seed = 7_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..50_000 {
        let mut text: Vec<char> = packets[draw(packets.len())].chars().collect();
        for _ in 0..=draw(3) {
            let position = draw(text.len());
            text[position] = ['"', '\\', '[', ']', '{', '}', ',', '0', '/', 'ä', '\0'][draw(11)];
        }
        let text: String = text.into_iter().collect();
        let _ = decode(&text);
        let _ = decode_plain(&text);
    }
}

#[test]
fn plain_messages() {
    assert_eq!(decode_plain(r#"["a"]"#), Ok(event("a", "null", "", None)));
    assert_eq!(decode_plain(r#"["a",{"b":1}]"#), Ok(event("a", r#"{"b":1}"#, r#"{"b":1}"#, None)));
    assert_eq!(decode_plain(r#" ["a", {"b":1} , 7]"#), Ok(event("a", r#"{"b":1}"#, r#"{"b":1}"#, Some(7))));
    assert_eq!(decode_plain(r#"["a",1,7,"more"]"#), Ok(event("a", "1", "1", Some(7))));
    for text in [
        "",
        "[]",
        "{}",
        "[1]",
        "null",
        "x",
        r#"["a",1,"7"]"#,
        r#"["a",1,-7]"#,
        r#"["a",1,7.5]"#,
        r#"["a",1,null]"#,
    ] {
        assert!(decode_plain(text).is_err(), "{text}");
    }
}
