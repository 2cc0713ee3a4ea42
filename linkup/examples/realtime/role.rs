//! What this program does when it has been started again as one of the servers.

use std::io::Read as _;

use linkup::role;
use service::config::Env;
use service::shutdown::Shutdown;
use service::telemetry;

use super::{Failure, peer};

/// The hidden argument before the name of a role.
pub(crate) const ROLE: &str = "--role";
/// The launcher's roles, run by the launcher's own code and with its allocator.
pub(crate) const API: &str = "api";
pub(crate) const STREAMER: &str = "streamer";
pub(crate) const GATEWAY: &str = "gateway";
/// The peers, with the same allocator and the same runtime.
pub(crate) const BARE: &str = "fastwebsockets";
pub(crate) const OXIDE: &str = "socketioxide";

/// Plays a role until the process that started this one ends.
pub(crate) async fn play(role: &str) -> Result<(), Failure> {
    telemetry::init()?;
    match role {
        BARE => return peer::bare::run().await,
        OXIDE => return peer::oxide::run().await,
        _ => {}
    }
    std::thread::spawn(|| {
        // Nothing is ever written to it: it ends when the other end is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (env, shutdown) = (Env::process(), Shutdown::new());
    match role {
        API => role::api(env, shutdown).await?,
        STREAMER => role::streamer(env, shutdown).await?,
        GATEWAY => role::gateway(env, shutdown).await?,
        _ => return Err(format!("{ROLE} {role}: there is no such role").into()),
    }
    Ok(())
}
