//! What proves to the api nodes that this is a gateway.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::token::{TokenError, Tokens};

/// An internal token lives for a minute; it is used for half of that.
const REUSE: Duration = Duration::from_secs(30);

/// Signs internal tokens, each of which is used for a while.
#[derive(Debug)]
pub(super) struct Badge {
    tokens: Tokens,
    made: Mutex<Option<(Instant, String)>>,
}

impl Badge {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, made: Mutex::default() }
    }

    /// A token that is good for a while.
    pub(super) fn token(&self) -> Result<String, TokenError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((at, token)) if at.elapsed() < REUSE => Ok(token.clone()),
            _ => {
                let token = self.tokens.sign_internal()?;
                *made = Some((Instant::now(), token.clone()));
                Ok(token)
            }
        }
    }
}
