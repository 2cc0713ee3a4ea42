//! One secret: what it signs and verifies, and the short name by which tokens refer to it.

use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, crypto, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No other algorithm is ever used or accepted.
pub(super) const ALGORITHM: Algorithm = Algorithm::HS256;

/// What a secret signs to get its name. Like every text that is signed besides tokens it has a colon, which no
/// token's signing input (base64url and dots) can have.
const NAMED: &[u8] = b"kid:linkup";
/// How much of that signature is the name: enough to tell a handful of secrets apart.
const NAME_CHARS: usize = 8;

/// A secret.
#[derive(Clone)]
pub(super) struct Key {
    name: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    pub(super) fn new(secret: &[u8]) -> Self {
        let encoding = EncodingKey::from_secret(secret);
        // HS256 does not fail. (A key without a name would still sign, and verify what it signed.)
        let mut name = crypto::sign(NAMED, &encoding, ALGORITHM).unwrap_or_default();
        name.truncate(NAME_CHARS);
        Self { name, encoding, decoding: DecodingKey::from_secret(secret) }
    }

    /// The `kid` of tokens that this key signs. It tells nothing of the secret that a token does not tell.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A token with these claims.
    pub(super) fn encode<T: Serialize>(&self, claims: &T) -> Result<String, Error> {
        let header = Header { kid: Some(self.name.clone()), ..Header::new(ALGORITHM) };
        encode(&header, claims, &self.encoding)
    }

    /// The claims of a token that this key signed.
    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        token: &str,
        validation: &Validation,
    ) -> Result<T, Error> {
        decode(token, &self.decoding, validation).map(|data| data.claims)
    }

    /// The signature of `text`, as base64url.
    pub(super) fn seal(&self, text: &str) -> Result<String, Error> {
        crypto::sign(text.as_bytes(), &self.encoding, ALGORITHM)
    }

    /// Whether `seal` is the signature of `text`; takes as long for every wrong one.
    pub(super) fn sealed(&self, text: &str, seal: &str) -> bool {
        crypto::verify(seal, text.as_bytes(), &self.decoding, ALGORITHM).unwrap_or(false)
    }
}
