//! What operators rely on: metrics as documented and bounded, and health that is right whatever fails.
//!
//! | module | shows |
//! |---|---|
//! | [`metrics`] | every metric is documented, every documented one is there, and their number does not grow with users |
//! | [`health`] | which fault turns which check, as documented; that it shows soon, and closes no open socket |
//! | [`starting`] | a role that starts during an outage waits, and says for what |

mod health;
mod metrics;
mod starting;
