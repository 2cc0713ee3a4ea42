//! What clients post or send as messages: see [`gateway::transport::fuzz::packets`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::transport::fuzz::packets(data));
