//! Register, login, me.

use hyper::Request;
use hyper::body::Incoming;
use protocol::code::text;
use protocol::{ErrorCode, Id, Timestamp, model};
use serde::Serialize;
use store::document::User;
use store::index::{USER_EMAIL, USER_USERNAME};

use super::json_body;
use crate::answer::{Answer, Failure, created, ok};
use crate::app::App;
use crate::fields::{Fields, Length, PASSWORD};
use crate::render;

/// At login any password that can exist is tried; only at registration it must be a good one.
const ANY_PASSWORD: Length = Length { min: 1, max: PASSWORD.max, problem: "must have 1 to 128 characters" };
/// How many handles are tried before giving up; each after the first has another suffix.
const HANDLE_TRIES: usize = 8;
/// The longest handle without its suffix, in bytes.
const HANDLE_LENGTH: usize = 30;

#[derive(Serialize)]
struct Session {
    user: model::User,
    token: String,
}

/// `POST /api/auth/register`: one command, one more for each handle that is taken.
pub(super) async fn register(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let body = json_body(app, request).await?;
    let fields = Fields::parse(&body)?;
    let (name, email) = (fields.name("name")?, fields.email("email")?);
    let password = fields.text("password", &PASSWORD)?.to_owned();
    let password = app.passwords.hash(password).await?;
    let mut handle = handle_of(&name);
    for _ in 0..HANDLE_TRIES {
        let now = Timestamp::now();
        let user = User::new(name.clone(), email.clone(), handle, password.clone(), now);
        match app.store.insert_user(&user).await {
            Ok(()) => return Ok(created(&session(app, user)?)),
            Err(error) if error.is_duplicate_in(USER_USERNAME) => handle = with_suffix(&name),
            Err(error) if error.is_duplicate_in(USER_EMAIL) => {
                return Err(Failure::new(ErrorCode::Conflict, "This email address is already registered"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::fault("no free handle was found"))
}

/// `POST /api/auth/login`: one command, and the same work whether the address is known or not.
pub(super) async fn login(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let body = json_body(app, request).await?;
    let fields = Fields::parse(&body)?;
    let email = fields.email("email")?;
    let password = fields.text("password", &ANY_PASSWORD)?.to_owned();
    let user = app.store.user_by_email(&email).await?;
    let hash = user.as_ref().map(|user| user.password.clone());
    let right = app.passwords.verify(password, hash).await?;
    match user {
        Some(user) if right => Ok(ok(&session(app, user)?)),
        _ => Err(Failure::unauthorized("Invalid email or password")),
    }
}

/// `GET /api/auth/me`: one command, which is also the check that the caller exists.
pub(super) async fn me(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let id = app.claimed(request.headers())?;
    let user = app.store.user(id).await?;
    let user = user.ok_or_else(|| Failure::unauthorized(text::USER_NOT_FOUND))?;
    Ok(ok(&render::own(user)))
}

fn session(app: &App, user: User) -> Result<Session, Failure> {
    let token = app.config.tokens.sign(user.id, app.config.jwt_ttl).map_err(Failure::fault)?;
    Ok(Session { user: render::own(user), token })
}

/// A handle made of the name's plain letters and digits, its words joined by hyphens. Nothing of the e-mail address is in
/// it: everybody sees handles.
fn handle_of(name: &str) -> String {
    let plain = |word: &str| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let words: Vec<String> =
        name.split([' ', '.', '_', '-']).map(plain).filter(|word| !word.is_empty()).collect();
    let mut handle = words.join("-").to_ascii_lowercase();
    handle.truncate(HANDLE_LENGTH);
    let handle = handle.trim_end_matches('-');
    if handle.is_empty() { "user".to_owned() } else { handle.to_owned() }
}

/// The same handle with the changing digits of a fresh identifier behind it.
fn with_suffix(name: &str) -> String {
    let fresh = Id::mint().to_string();
    format!("{}-{}", handle_of(name), &fresh[fresh.len() - 6..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_made_of_plain_characters() {
        assert_eq!(handle_of("Ada  Lovelace-King, 2nd"), "ada-lovelace-king-2nd");
        assert_eq!(handle_of("O'Hara ★"), "ohara");
        assert_eq!(handle_of("é 名前"), "user");
        assert_eq!(handle_of(&"a".repeat(60)).len(), HANDLE_LENGTH);
        assert_eq!(handle_of(&format!("{} b", "a".repeat(HANDLE_LENGTH - 1))).len(), HANDLE_LENGTH - 1);
        let (one, other) = (with_suffix("Ada"), with_suffix("Ada"));
        assert!(one.starts_with("ada-") && one != other);
    }
}
