//! JSON Web Tokens: HS256 with a shared secret, expiry required, no other algorithm accepted.
//!
//! Kinds that cannot be taken for each other: a user's token carries `userId` and no audience, the
//! internal token between gateway and api carries its own audience and no user, and that of a probe is signed with
//! another key.
//!
//! Secrets can be replaced while everything runs: the newest one signs, older ones still verify, and each token
//! names its secret in the `kid` header (see [`Tokens::with_previous`]).
//!
//! | module | holds |
//! |---|---|
//! | `key` | one secret: what it signs and verifies, and its short name |
//! | `probe` | the token of a probe |

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Validation, decode_header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Id, Timestamp};

mod key;
mod probe;

use key::{ALGORITHM, Key};

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
    /// How many times all sessions of the user had been ended when it was issued. The token is good as long as that
    /// is still so, which only the api can tell. Zero where a token does not say.
    #[serde(default)]
    pub generation: i64,
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
pub struct TokenError(#[source] Error);

/// Signs tokens with one secret, and verifies those of that one and of earlier ones.
#[derive(Clone)]
pub struct Tokens {
    current: Key,
    previous: Vec<Key>,
    current_of_probes: Key,
    previous_of_probes: Vec<Key>,
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
        Self {
            current: Key::new(secret),
            previous: Vec::new(),
            current_of_probes: Key::of_probes(secret),
            previous_of_probes: Vec::new(),
        }
    }

    /// Verifies with these secrets too, and signs nothing with them.
    ///
    /// That is how a secret is replaced without anybody noticing: it becomes one of these everywhere, then the one that
    /// signs everywhere with the old one among these, and the old one goes when its last token has expired.
    #[must_use]
    pub fn with_previous(mut self, secrets: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        for secret in secrets {
            self.previous.push(Key::new(secret.as_ref()));
            self.previous_of_probes.push(Key::of_probes(secret.as_ref()));
        }
        self
    }

    /// A token for `user`, good for `lifetime` from now, and until the user's sessions have been ended more than
    /// `generation` times.
    ///
    /// # Errors
    ///
    /// When signing fails, which HS256 does not.
    pub fn sign(&self, user: Id, generation: i64, lifetime: Duration) -> Result<String, TokenError> {
        let iat = Timestamp::now().millis() / 1000;
        let exp = iat.saturating_add_unsigned(lifetime.as_secs());
        self.current.encode(&Claims { user_id: user, generation, iat, exp }).map_err(TokenError)
    }

    /// Checks a user's token. Its generation is for the caller to compare.
    ///
    /// # Errors
    ///
    /// A wrong signature or algorithm, an expired token, one without an expiry, one for another audience.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let claims: Claims = self.decode(token, &validation())?;
        // From the second on that `exp` names (RFC 7519, section 4.1.4), where the library goes on to its end.
        if claims.exp.saturating_mul(1000) <= Timestamp::now().millis() {
            return Err(TokenError(ErrorKind::ExpiredSignature.into()));
        }
        Ok(claims)
    }

    /// A token with which a gateway identifies itself to an api node; good for a minute.
    ///
    /// # Errors
    ///
    /// When signing fails, which HS256 does not.
    pub fn sign_internal(&self) -> Result<String, TokenError> {
        let exp = Timestamp::now().millis() / 1000 + INTERNAL_LIFETIME.as_secs() as i64;
        let claims = InternalClaims { aud: INTERNAL_AUDIENCE.to_owned(), exp };
        self.current.encode(&claims).map_err(TokenError)
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
        self.decode::<InternalClaims>(token, &validation).map(|_| ())
    }

    /// The signature of a text that is no token. `None` when signing fails, which HS256 does not.
    ///
    /// The text must have a colon, so that it can never be what a token's signature is made over.
    pub(crate) fn seal(&self, text: &str) -> Option<String> {
        debug_assert!(text.contains(':'), "{text} could be taken for a token");
        self.current.seal(text).ok()
    }

    /// Whether `seal` is the signature of `text` with any of the secrets.
    pub(crate) fn sealed(&self, text: &str, seal: &str) -> bool {
        self.keys().any(|key| key.sealed(text, seal))
    }

    /// The signatures of `text` with each of the secrets, the current one first.
    pub(crate) fn seals<'a>(&'a self, text: &'a str) -> impl Iterator<Item = String> + 'a {
        debug_assert!(text.contains(':'), "{text} could be taken for a token");
        self.keys().filter_map(|key| key.seal(text).ok())
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    fn decode<T: DeserializeOwned>(&self, token: &str, validation: &Validation) -> Result<T, TokenError> {
        decode_with(self.keys(), token, validation)
    }
}

/// The claims of a token, whichever of these keys signed it: the one that it names, or any if it was issued when tokens
/// named none.
fn decode_with<'a, T: DeserializeOwned>(
    keys: impl Iterator<Item = &'a Key>,
    token: &str,
    validation: &Validation,
) -> Result<T, TokenError> {
    let named = decode_header(token).map_err(TokenError)?.kid;
    let mut refusal = Error::from(ErrorKind::InvalidSignature);
    for key in keys.filter(|key| named.as_deref().is_none_or(|name| name == key.name())) {
        match key.decode(token, validation) {
            Ok(claims) => return Ok(claims),
            Err(error) => refusal = error,
        }
    }
    Err(TokenError(refusal))
}

fn validation() -> Validation {
    let mut validation = Validation::new(ALGORITHM);
    validation.leeway = 0;
    validation
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const NAME_LENGTH: usize = 8;

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32])
    }

    /// A token with any header and claims, signed with a secret.
    fn token(header: &Header, claims: &impl Serialize, secret: u8) -> String {
        encode(header, claims, &EncodingKey::from_secret(&[secret; 32])).unwrap()
    }

    fn plain() -> Header {
        Header::new(Algorithm::HS256)
    }

    fn claims() -> Claims {
        let iat = Timestamp::now().millis() / 1000;
        Claims { user_id: Id::mint(), generation: 0, iat, exp: iat + 60 }
    }

    #[test]
    fn a_signed_token_verifies_until_it_expires() {
        let user = Id::mint();
        let claims = tokens().verify(&tokens().sign(user, 3, MINUTE).unwrap()).unwrap();
        assert_eq!((claims.user_id, claims.generation, claims.exp - claims.iat), (user, 3, 60));
        let past = Claims { iat: 1, exp: 2, ..claims };
        assert!(tokens().verify(&token(&plain(), &past, 7)).is_err());
        let now = Claims { exp: Timestamp::now().millis() / 1000, ..past };
        assert!(tokens().verify(&token(&plain(), &now, 7)).is_err(), "not in the second in which it expires");
    }

    #[test]
    fn other_secrets_algorithms_and_tokens_without_expiry_are_refused() {
        let (user, good) = (Id::mint(), tokens().sign(Id::mint(), 0, MINUTE).unwrap());
        assert!(Tokens::new(&[8; 32]).verify(&good).is_err());
        assert!(tokens().verify(&token(&plain(), &claims(), 7)).is_ok());
        assert!(tokens().verify(&token(&Header::new(Algorithm::HS512), &claims(), 7)).is_err());
        assert!(tokens().verify(&token(&plain(), &json!({"userId": user, "iat": 1}), 7)).is_err());
        // {"alg":"none"} with the same claims and no signature.
        let body = good.split('.').nth(1).unwrap();
        assert!(tokens().verify(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")).is_err());
    }

    #[test]
    fn the_two_kinds_are_not_interchangeable() {
        let user = tokens().sign(Id::mint(), 0, MINUTE).unwrap();
        let internal = tokens().sign_internal().unwrap();
        assert!(tokens().verify_internal(&internal).is_ok());
        assert!(tokens().verify_internal(&user).is_err());
        assert!(tokens().verify(&internal).is_err());
    }

    #[test]
    fn a_secret_is_replaced_without_a_token_becoming_void() {
        let old = tokens();
        let both = Tokens::new(&[8; 32]).with_previous([[6; 32], [7; 32]]);
        let new = Tokens::new(&[8; 32]);
        for (user, internal) in [
            (old.sign(Id::mint(), 0, MINUTE).unwrap(), old.sign_internal().unwrap()),
            (both.sign(Id::mint(), 0, MINUTE).unwrap(), both.sign_internal().unwrap()),
        ] {
            assert!(both.verify(&user).is_ok() && both.verify_internal(&internal).is_ok());
            assert!(both.verify(&internal).is_err() && both.verify_internal(&user).is_err());
        }
        // Only the current secret signs, and a previous one that is dropped is good for nothing.
        let fresh = both.sign(Id::mint(), 0, MINUTE).unwrap();
        assert!(new.verify(&fresh).is_ok() && old.verify(&fresh).is_err());
        assert!(new.verify(&old.sign(Id::mint(), 0, MINUTE).unwrap()).is_err());
    }

    #[test]
    fn the_named_secret_is_used_and_without_a_name_every_one() {
        let both = Tokens::new(&[8; 32]).with_previous([[7; 32]]);
        let named = |name: &str| Header { kid: Some(name.to_owned()), ..plain() };
        let (new, old) = (both.current.name(), both.previous[0].name());
        assert!(new.len() == NAME_LENGTH && old.len() == NAME_LENGTH && new != old, "{new} {old}");
        for (header, secret, good) in [
            (plain(), 8, true),
            (plain(), 7, true),
            (plain(), 6, false),
            (named(new), 8, true),
            (named(old), 7, true),
            (named(new), 7, false),
            (named(old), 8, false),
            (named("unknown"), 8, false),
            (named(""), 8, false),
        ] {
            let verified = both.verify(&token(&header, &claims(), secret));
            assert_eq!(verified.is_ok(), good, "{:?} with {secret}", header.kid);
        }
    }

    #[test]
    fn a_token_of_before_generations_is_of_the_first() {
        let exp = claims().exp;
        let issued_before = token(&plain(), &json!({"userId": Id::mint(), "iat": 1, "exp": exp}), 7);
        assert_eq!(tokens().verify(&issued_before).unwrap().generation, 0);
        let json = serde_json::to_value(Claims { generation: 2, ..claims() }).unwrap();
        assert_eq!(json["generation"], 2);
    }
}
