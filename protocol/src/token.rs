//! JSON Web Tokens: HS256 with a shared secret, expiry required, no other algorithm accepted.
//!
//! Two kinds that cannot be taken for each other: a user's token carries `userId` and no audience, the
//! internal token between gateway and api carries its own audience and no user.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::{Id, Timestamp};

/// The fewest bytes a secret may have: HS256 wants as many as its hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

const INTERNAL_AUDIENCE: &str = "linkup-internal";
/// Long enough for clocks that differ a little, short enough to be worthless when it leaks.
const INTERNAL_LIFETIME: Duration = Duration::from_secs(60);

/// What a user's token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Whose token it is.
    pub user_id: Id,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
}

#[derive(Serialize, Deserialize)]
struct InternalClaims {
    aud: String,
    exp: i64,
}

/// A token that is not accepted. Why is of no concern to whoever sent it.
#[derive(Debug, thiserror::Error)]
#[error("the token is not valid")]
pub struct TokenError(#[source] jsonwebtoken::errors::Error);

/// Signs and verifies tokens with one secret.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Signs and verifies with `secret`. Configuration refuses secrets under [`MIN_SECRET_BYTES`].
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret) }
    }

    /// A token for `user`, good for `lifetime` from now.
    ///
    /// # Errors
    ///
    /// When signing fails, which HS256 does not.
    pub fn sign(&self, user: Id, lifetime: Duration) -> Result<String, TokenError> {
        let iat = Timestamp::now().millis() / 1000;
        let exp = iat.saturating_add_unsigned(lifetime.as_secs());
        encode(&Header::new(Algorithm::HS256), &Claims { user_id: user, iat, exp }, &self.encoding)
            .map_err(TokenError)
    }

    /// Checks a user's token.
    ///
    /// # Errors
    ///
    /// A wrong signature or algorithm, an expired token, one without an expiry, one for another audience.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        decode(token, &self.decoding, &validation()).map(|data| data.claims).map_err(TokenError)
    }

    /// A token with which a gateway identifies itself to an api node; good for a minute.
    ///
    /// # Errors
    ///
    /// When signing fails, which HS256 does not.
    pub fn sign_internal(&self) -> Result<String, TokenError> {
        let exp = Timestamp::now().millis() / 1000 + INTERNAL_LIFETIME.as_secs() as i64;
        let claims = InternalClaims { aud: INTERNAL_AUDIENCE.to_owned(), exp };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(TokenError)
    }

    /// Checks a gateway's token.
    ///
    /// # Errors
    ///
    /// Anything but a live token with the internal audience, so that no user's token opens internal routes.
    pub fn verify_internal(&self, token: &str) -> Result<(), TokenError> {
        let mut validation = validation();
        validation.set_audience(&[INTERNAL_AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        decode::<InternalClaims>(token, &self.decoding, &validation).map(|_| ()).map_err(TokenError)
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32])
    }

    #[test]
    fn a_signed_token_verifies_until_it_expires() {
        let user = Id::mint();
        let token = tokens().sign(user, Duration::from_secs(60)).unwrap();
        assert_eq!(tokens().verify(&token).unwrap().user_id, user);
        let past = Claims { user_id: user, iat: 1, exp: 2 };
        let expired = encode(&Header::new(Algorithm::HS256), &past, &tokens().encoding).unwrap();
        assert!(tokens().verify(&expired).is_err());
    }

    #[test]
    fn other_secrets_algorithms_and_tokens_without_expiry_are_refused() {
        let user = Id::mint();
        let token = tokens().sign(user, Duration::from_secs(60)).unwrap();
        assert!(Tokens::new(&[8; 32]).verify(&token).is_err());
        let claims = tokens().verify(&token).unwrap();
        let other = encode(&Header::new(Algorithm::HS512), &claims, &tokens().encoding).unwrap();
        assert!(tokens().verify(&other).is_err());
        let endless = encode(
            &Header::new(Algorithm::HS256),
            &serde_json::json!({"userId": user, "iat": 1}),
            &tokens().encoding,
        );
        assert!(tokens().verify(&endless.unwrap()).is_err());
        // {"alg":"none"} with the same claims and no signature.
        let body = token.split('.').nth(1).unwrap();
        assert!(tokens().verify(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")).is_err());
    }

    #[test]
    fn the_two_kinds_are_not_interchangeable() {
        let user = tokens().sign(Id::mint(), Duration::from_secs(60)).unwrap();
        let internal = tokens().sign_internal().unwrap();
        assert!(tokens().verify_internal(&internal).is_ok());
        assert!(tokens().verify_internal(&user).is_err());
        assert!(tokens().verify(&internal).is_err());
    }
}
