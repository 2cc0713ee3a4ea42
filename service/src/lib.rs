//! What every server process needs, and nothing about chat.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | [`config::Env`]: settings from the environment, all mistakes reported together |
//! | [`telemetry`] | logging |
//! | [`admin`] | the operators' endpoint: `/metrics`, `/livez`, `/readyz` |
//! | [`shutdown`] | signals, and the token that tells every task to stop |
//! | [`batcher`] | [`batcher::Batcher`]: while one batch is in flight, the next one fills |

pub mod admin;
pub mod batcher;
pub mod config;
pub mod shutdown;
pub mod telemetry;
