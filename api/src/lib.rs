//! The REST API, and the only writer of the chat's data. Its only side effect is MongoDB: it knows no socket
//! and no bus.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | [`Config`]: the settings |
//! | `server` | accepting, serving and draining HTTP/1.1 connections |
//! | `route` | method and path to a [`Route`](route::Route) |
//! | `request` | bodies, queries and tokens of requests, checked |
//! | `fields` | the fields of a JSON body, checked |
//! | `answer` | responses and errors |
//! | `app` | what every handler works with |
//! | `handle` | one function for each route |
//! | `people` | who is it? Coalesced lookups of users, never cached |
//! | `detail` | conversations with all that a response tells of them |
//! | `render` | stored documents as the frontend sees them |
//! | [`password`] | Argon2id, off the asynchronous threads |
//! | `commit` | group commit: the write path of messages |
//! | `view` | the conversations' view of their last message, written behind |
//! | `metrics` | what operators see |

mod answer;
mod app;
mod commit;
pub mod config;
mod detail;
mod fields;
mod handle;
mod metrics;
pub mod password;
mod people;
mod render;
mod request;
mod route;
mod server;
mod view;

pub use config::Config;
pub use server::run;
