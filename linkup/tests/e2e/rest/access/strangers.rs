//! Tokens that are no good.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use protocol::code::text;
use protocol::probe::Name;
use protocol::token::{Claims, Tokens};
use protocol::{Id, Timestamp};
use serde_json::json;

use super::world::World;
use crate::rest::fixture::tokens;
use crate::support::SECRET;

const MINUTE: Duration = Duration::from_secs(60);

/// The tokens that are good in one place each, and only there.
pub(super) const GATEWAY: &str = "a gateway";
pub(super) const PROBE: &str = "a probe";

/// What stands in the `Authorization` header, and what the answer says to it.
pub(super) struct Bad {
    pub(super) what: &'static str,
    pub(super) authorization: Option<String>,
    pub(super) message: &'static str,
}

/// All of them are somebody's who would be let in with a good one: Ada's, as far as they are anybody's.
pub(super) fn bad_tokens(world: &World) -> Vec<Bad> {
    let now = Timestamp::now().millis() / 1000;
    let ada = Claims { user_id: world.ada.id, generation: 1, iat: now, exp: now + 60 };
    // The same claims are good when nothing else is wrong.
    assert!(tokens().verify(&signed(Algorithm::HS256, &ada)).is_ok());
    let expired = Claims { iat: now - 60, exp: now - 1, ..ada.clone() };
    let without_end = json!({"userId": world.ada.id, "generation": 1, "iat": now});
    let with_audience =
        json!({"userId": world.ada.id, "generation": 1, "iat": now, "exp": now + 60, "aud": "x"});
    let foreign = Tokens::new(&[7; 32]);
    let nobody = tokens().sign(Id::mint(), 0, MINUTE).unwrap();
    let mut all = vec![
        Bad { what: "nobody", authorization: None, message: text::TOKEN_REQUIRED },
        scheme("another scheme", "Basic YWRhOmNvcnJlY3QgaG9yc2U="),
        scheme("a scheme without a token", "Bearer "),
        scheme("a token without a scheme", &world.ada.token),
    ];
    all.extend([
        invalid("junk", "junk"),
        invalid("dots", ".."),
        invalid("an expired token", &signed(Algorithm::HS256, &expired)),
        invalid("a token without an end", &signed(Algorithm::HS256, &without_end)),
        invalid("a token for others", &signed(Algorithm::HS256, &with_audience)),
        invalid("a token of HS512", &signed(Algorithm::HS512, &ada)),
        invalid("a token of no algorithm", &unsigned(&world.ada.token)),
        invalid("a token with another's signature", &exchanged(&world.ada.token, &world.eve.token)),
        invalid("a token of a foreign secret", &foreign.sign(world.ada.id, 1, MINUTE).unwrap()),
        invalid(GATEWAY, &tokens().sign_internal().unwrap()),
        invalid(PROBE, &tokens().sign_probe(&Name::default()).unwrap()),
        invalid("a probe's token of a foreign secret", &foreign.sign_probe(&Name::default()).unwrap()),
        invalid("a gateway's token of a foreign secret", &foreign.sign_internal().unwrap()),
        invalid("a token of an ended session", &tokens().sign(world.ada.id, 0, MINUTE).unwrap()),
        invalid("a token of a session to come", &tokens().sign(world.ada.id, 2, MINUTE).unwrap()),
    ]);
    // Whoever is deleted, or was never there.
    for (what, token) in [("a deleted user", &world.gone.token), ("a user who never was", &nobody)] {
        all.push(Bad { message: text::USER_NOT_FOUND, ..invalid(what, token) });
    }
    all
}

fn scheme(what: &'static str, header: &str) -> Bad {
    Bad { what, authorization: Some(header.to_owned()), message: text::TOKEN_REQUIRED }
}

fn invalid(what: &'static str, token: &str) -> Bad {
    Bad { what, authorization: Some(format!("Bearer {token}")), message: text::INVALID_TOKEN }
}

/// A token of any claims, signed with the right secret.
fn signed(algorithm: Algorithm, claims: &impl serde::Serialize) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

/// The token's claims under a header that says that they need no signature.
fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"JWT"}
    format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.")
}

/// The claims of one token with the signature of another.
fn exchanged(claims: &str, signature: &str) -> String {
    let (claims, signature) = (claims.rsplit_once('.').unwrap().0, signature.rsplit_once('.').unwrap().1);
    format!("{claims}.{signature}")
}
