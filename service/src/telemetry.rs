//! Logging: readable lines on standard error, or JSON for machines.

use tracing_subscriber::EnvFilter;

/// Which lines are logged, in the syntax of `tracing`'s `EnvFilter` (default [`DEFAULT_FILTER`]).
pub const LOG: &str = "LOG";
/// `text` (the default) or `json`.
pub const LOG_FORMAT: &str = "LOG_FORMAT";
/// LinkUp's own news; of its libraries only what is wrong.
pub const DEFAULT_FILTER: &str = "info,mongodb=warn,async_nats=warn,hyper=warn";

/// Starts logging for this process. A second call does nothing, so that tests may call it too.
///
/// # Errors
///
/// A filter that cannot be read, or an unknown format; the text says which variable and why.
pub fn init() -> Result<(), String> {
    let filter = std::env::var(LOG).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(DEFAULT_FILTER))
        .map_err(|problem| format!("{LOG}: {problem}"))?;
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // An error means that a subscriber is installed already.
    match std::env::var(LOG_FORMAT).as_deref() {
        Ok("json") => drop(lines.json().try_init()),
        Ok("text" | "") | Err(_) => drop(lines.with_ansi(ansi).try_init()),
        Ok(other) => return Err(format!("{LOG_FORMAT}: must be text or json, not {other}")),
    }
    Ok(())
}
