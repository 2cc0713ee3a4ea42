//! What arrives on a WebSocket: see [`gateway::transport::fuzz::frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::transport::fuzz::frames(data));
