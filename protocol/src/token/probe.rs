//! The token with which a probe asks the api for its two accounts.
//!
//! It is signed with a key of its own that is derived from the secret, so that neither a user's nor a gateway's token
//! can be taken for it, or it for one of those, whatever they say.

use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::{TokenError, Tokens, decode_with, validation};
use crate::Timestamp;
use crate::probe::Name;

const AUDIENCE: &str = "linkup-probe";
/// Long enough for clocks that differ a little, short enough to be worthless when it leaks.
const LIFETIME: Duration = Duration::from_secs(60);
const SALT: &[u8] = b"linkup";
/// What tells the key that is derived for this purpose from those for any other.
const CONTEXT: &[u8] = b"probe token v1";

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    /// The name of the probe whose accounts it opens.
    sub: String,
    exp: i64,
}

impl Key {
    /// The key for tokens of probes that belongs to a secret: HKDF (RFC 5869) with SHA-256. A key of as many bytes as
    /// the hash takes one step of its expansion.
    pub(super) fn of_probes(secret: &[u8]) -> Self {
        Self::new(derived(secret).as_ref())
    }
}

fn derived(secret: &[u8]) -> hmac::Tag {
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let extracted = sign(SALT, secret);
    sign(extracted.as_ref(), &[CONTEXT, &[1]].concat())
}

impl Tokens {
    /// A token with which the probe of this name asks for its accounts; good for a minute.
    ///
    /// # Errors
    ///
    /// When signing fails, which HS256 does not.
    pub fn sign_probe(&self, name: &Name) -> Result<String, TokenError> {
        let exp = Timestamp::now().millis() / 1000 + LIFETIME.as_secs() as i64;
        let claims = Claims { aud: AUDIENCE.to_owned(), sub: name.as_str().to_owned(), exp };
        self.current_of_probes.encode(&claims).map_err(TokenError)
    }

    /// Checks a probe's token; the name of the probe.
    ///
    /// # Errors
    ///
    /// Anything but a live token of a probe.
    pub fn verify_probe(&self, token: &str) -> Result<Name, TokenError> {
        let mut validation = validation();
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        let keys = std::iter::once(&self.current_of_probes).chain(&self.previous_of_probes);
        let claims: Claims = decode_with(keys, token, &validation)?;
        claims.sub.parse().map_err(|_| TokenError(Error::from(ErrorKind::InvalidSubject)))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use ring::hkdf;
    use serde_json::json;

    use super::*;
    use crate::Id;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECRET: [u8; 32] = [7; 32];

    fn tokens() -> Tokens {
        Tokens::new(&SECRET)
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn the_key_is_what_a_library_derives() {
        let mut expected = [0; 32];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&SECRET);
        extracted.expand(&[CONTEXT], hkdf::HKDF_SHA256).unwrap().fill(&mut expected).unwrap();
        assert_eq!(derived(&SECRET).as_ref(), expected);
    }

    #[test]
    fn a_token_names_its_probe_and_is_good_with_the_secret_that_signed_it() {
        let token = tokens().sign_probe(&name("EU-1")).unwrap();
        assert_eq!(tokens().verify_probe(&token).unwrap(), name("EU-1"));
        assert!(Tokens::new(&[8; 32]).verify_probe(&token).is_err());
        assert!(Tokens::new(&[8; 32]).with_previous([SECRET]).verify_probe(&token).is_ok());
    }

    #[test]
    fn no_other_kind_of_token_is_taken_for_one_and_it_for_no_other() {
        let probe = tokens().sign_probe(&name("a")).unwrap();
        assert!(tokens().verify(&probe).is_err() && tokens().verify_internal(&probe).is_err());
        let user = tokens().sign(Id::mint(), 0, MINUTE).unwrap();
        for other in [user, tokens().sign_internal().unwrap()] {
            assert!(tokens().verify_probe(&other).is_err());
        }
        // The right claims, and each of the keys.
        let exp = Timestamp::now().millis() / 1000 + 60;
        let signed = |claims: serde_json::Value, key: &[u8]| {
            encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(key)).unwrap()
        };
        let right = json!({"aud": AUDIENCE, "sub": "a", "exp": exp});
        let key = derived(&SECRET);
        assert!(tokens().verify_probe(&signed(right.clone(), key.as_ref())).is_ok());
        assert!(tokens().verify_probe(&signed(right, &SECRET)).is_err());
        for wrong in [
            json!({"aud": AUDIENCE, "sub": "a", "exp": exp - 120}),
            json!({"aud": AUDIENCE, "sub": "a"}),
            json!({"aud": AUDIENCE, "exp": exp}),
            json!({"sub": "a", "exp": exp}),
            json!({"aud": AUDIENCE, "sub": "a b", "exp": exp}),
            json!({"aud": "linkup-internal", "sub": "a", "exp": exp}),
        ] {
            let token = signed(wrong.clone(), key.as_ref());
            assert!(tokens().verify_probe(&token).is_err(), "{wrong}");
        }
    }
}
