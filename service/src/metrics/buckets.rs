//! The bounds of histograms. By the end of a metric's name: `_seconds`, `_bytes`, and everything else counts things.
//!
//! Bounds are fractions, so that they are written alike in Prometheus 2 (`le="1"`) and 3 (`le="1.0"`). 0.25 s is the
//! bound of the objective for deliveries: it must stay one of them.

/// Times, in seconds.
pub const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.25, 2.5, 7.5, 30.5];

/// Times, in seconds, where there are many series.
pub const COARSE_SECONDS: [f64; 9] = [0.0025, 0.01, 0.025, 0.1, 0.25, 0.5, 1.25, 2.5, 7.5];

/// How many of something: powers of two, and a half.
pub const COUNTS: [f64; 11] = [1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 64.5, 128.5, 256.5, 512.5, 1024.5];

/// Sizes, in bytes: powers of four, and a half.
pub const BYTES: [f64; 8] = [256.5, 1024.5, 4096.5, 16384.5, 65536.5, 262_144.5, 1_048_576.5, 4_194_304.5];
