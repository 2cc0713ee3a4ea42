//! Everything that a client writes is read as bodies and as queries: see [`linkup_protocol_fuzz::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| linkup_protocol_fuzz::check(data));
