//! What every server process needs, and nothing about chat.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | [`config::Env`]: settings from the environment, all mistakes reported together |
//! | [`shared`] | the settings that several parts must read alike: secrets, the public address |
//! | [`telemetry`] | logging |
//! | [`metrics`] | [`metrics::Registry`]: the metrics of one instance |
//! | [`health`] | [`health::Health`]: whether a process can do its job, and whether a restart would help |
//! | [`monitoring`] | both, as a part is given them |
//! | [`admin`] | the operators' endpoint: `/metrics`, `/livez`, `/readyz` |
//! | [`shutdown`] | signals, and the token that tells every task to stop |
//! | [`client_address`] | who a client is by its address, behind proxies too |
//! | [`request_id`] | by what a request is found again in everybody's logs |
//! | [`throttle`] | [`throttle::Throttle`]: how often each may do something |
//! | [`guard`](mod@guard) | what every answer with data says to browsers |
//! | [`leftover`] | what a client still sends when its request has been answered |
//! | [`batcher`] | [`batcher::Batcher`]: while one batch is in flight, the next one fills |

pub mod admin;
pub mod batcher;
pub mod client_address;
pub mod config;
pub mod guard;
pub mod health;
pub mod leftover;
pub mod metrics;
pub mod monitoring;
pub mod request_id;
pub mod shared;
pub mod shutdown;
pub mod telemetry;
pub mod throttle;
