//! The REST API, and the only writer of the chat's data. Its only side effect is MongoDB: it knows no socket
//! and no bus.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | [`Config`]: the settings |
//! | `server` | accepting, serving and draining HTTP/1.1 connections |
//! | [`endpoint`] | every way to call the api, in one table |
//! | `request` | bodies, queries and tokens of requests, checked |
//! | `answer` | responses and errors |
//! | `app` | what every handler works with |
//! | `handle` | one function for each endpoint |
//! | [`openapi`] | the OpenAPI document, made of the table |
//! | `people` | who is it? Coalesced lookups of users, never cached |
//! | `detail` | conversations with all that a response tells of them |
//! | `render` | stored documents as the frontend sees them |
//! | `password` | hashing, off the asynchronous threads |
//! | `commit` | group commit: the write path of messages |
//! | `marks` | marks of messages as read, coalesced |
//! | `presence` | who is connected, and gateways that fall silent |
//! | `probe` | old messages of probes are removed |
//! | `view` | the conversations' view of their last message, written behind |
//! | `metrics` | what operators see |

mod answer;
mod app;
mod commit;
pub mod config;
mod detail;
pub mod endpoint;
mod handle;
mod marks;
mod metrics;
pub mod openapi;
mod password;
mod people;
mod presence;
mod probe;
mod render;
mod request;
mod server;
mod view;

pub use config::Config;
pub use server::run;
