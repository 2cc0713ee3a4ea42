#!/bin/sh
# Which of two equal keys counts depends on how many keys the object has, and on the call.
#
# Packages:  simd-json 0.19.0, halfbrown 0.4.0, value-trait 0.12.3, serde_json 1.0.154 (crates)
#
# Behaviour: `{"k":"first", …, "k":"last"}` parsed by simd-json:
#            - `to_owned_value` and `to_borrowed_value` give "first" up to 32 members, and "last" from 33 on;
#              up to 32 both members are kept: `len()` counts both, and writing the value writes both.
#            - `to_tape` gives "first" always.
#            - `serde::from_slice` into a map or into `serde_json::Value` gives "last" always, as serde_json does.
#            The object is an array of pairs, filled without a look-up, until it grows into a hash map at 33.
#
# Expected:  one rule for one library: the last one counts, as in serde_json, JavaScript and Python, or an error. A
#            test of a few keys would prove "the first counts", and a real object of 40 would disprove it.
#
# Seen:      members  owned  borrowed  tape   into a map  serde_json  members of the owned value, written again
#                  2  first  first     first  last        last         2  {"k":"first","k":"last"}
#                 32  first  first     first  last        last        32
#                 33  last   last      first  last        last        32
#
# Needs cargo (or the command in $CARGO). Exits 1 when the behaviour has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "simd_json_repeated_keys"
version = "0.0.0"
edition = "2021"

[dependencies]
simd-json = "=0.19.0"
halfbrown = "=0.4.0"
value-trait = "=0.12.3"
serde_json = "=1.0.154"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use simd_json::prelude::*;
use std::collections::HashMap;

fn main() {
    println!("members  owned  borrowed  tape   into a map  serde_json  members of the owned value, written again");
    for (members, by_value, kept) in [(2, "first", 2), (32, "first", 32), (33, "last", 32)] {
        let mut text = String::from(r#"{"k":"first""#);
        for i in 2..members {
            text += &format!(r#","other{i}":"""#);
        }
        text += r#","k":"last"}"#;
        let bytes = || text.clone().into_bytes();

        let owned = simd_json::to_owned_value(&mut bytes()).expect("valid");
        let mut input = bytes();
        let borrowed = simd_json::to_borrowed_value(&mut input).expect("valid");
        let mut input = bytes();
        let tape = simd_json::to_tape(&mut input).expect("valid");
        let tape = tape.as_value();
        let map: HashMap<String, String> = simd_json::serde::from_slice(&mut bytes()).expect("valid");
        let value: serde_json::Value = simd_json::serde::from_slice(&mut bytes()).expect("valid");
        let reference: serde_json::Value = serde_json::from_str(&text).expect("valid");

        let seen = [
            owned.get_str("k").expect("there"),
            borrowed.get_str("k").expect("there"),
            tape.get_str("k").expect("there"),
            &map["k"],
            value["k"].as_str().expect("there"),
            reference["k"].as_str().expect("there"),
        ];
        let length = owned.as_object().expect("an object").len();
        let written = if members == 2 { owned.encode() } else { String::new() };
        let [a, b, c, d, _, e] = seen;
        println!("{members:>7}  {a:<5}  {b:<8}  {c:<5}  {d:<10}  {e:<10}  {length:>2}  {written}");
        assert_eq!(seen, [by_value, by_value, "first", "last", "last", "last"]);
        assert_eq!(length, kept);
    }
}
RUST
${CARGO:-cargo} run --quiet
