//! Register, sign in, password, sessions, the end of an account.

use hyper::Request;
use hyper::body::Incoming;
use protocol::input::{AnyPassword, Email, Line, NewPassword, Password};
use protocol::{ErrorCode, Id, Timestamp, model};
use store::document::User;
use store::index::{USER_EMAIL, USER_USERNAME};
use store::password::PasswordHash;

use super::users::no_user;
use super::{activities, input, membership};
use crate::answer::{Answer, Failure, created, done, ok};
use crate::app::App;
use crate::render::Pen;

/// How many handles are tried before giving up; each after the first has another suffix.
const HANDLE_TRIES: usize = 8;
/// The longest handle without its suffix, in bytes.
const HANDLE_LENGTH: usize = 30;

const WRONG_PASSWORD: &str = "Invalid password";

protocol::input! {
    /// The body of `POST /api/auth/register`.
    pub(crate) struct Register {
        /// The displayed name.
        name / "name": Line<1, 80>,
        /// The e-mail address to sign in with; of one account only.
        email / "email": Email,
        /// The password.
        password / "password": NewPassword,
    }
}

protocol::input! {
    /// The body of `POST /api/auth/login`.
    pub(crate) struct Login {
        /// The e-mail address.
        email / "email": Email,
        /// The password.
        password / "password": AnyPassword,
    }
}

protocol::input! {
    /// The body of `PUT /api/auth/password`.
    pub(crate) struct ChangePassword {
        /// The password as it is.
        current / "currentPassword": AnyPassword,
        /// The password as it is to be.
        new / "newPassword": NewPassword,
    }
}

protocol::input! {
    /// The body of `DELETE /api/users/:id`.
    pub(crate) struct DeleteAccount {
        /// The password, so that a stolen token alone does not end an account.
        password / "password": AnyPassword,
    }
}

/// `POST /api/auth/register`: one command, one more for each handle that is taken.
pub(super) async fn register(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    app.admit_address(&request)?;
    let Register { name: Line(name), email: Email(email), password: Password(password) } =
        input(app, request).await?;
    app.admit_registration(&email)?;
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
    app.admit_address(&request)?;
    let Login { email: Email(email), password: Password(password) } = input(app, request).await?;
    app.admit_account(&email)?;
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
    let user = app.calling_user(request.headers()).await?;
    Ok(ok(&Pen::new(&app.config.links).own(user)))
}

/// `PUT /api/auth/password`: three commands. All sessions end but the one that this begins.
pub(super) async fn change_password(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    app.admit_address(&request)?;
    let user = app.calling_user(request.headers()).await?;
    app.admit_own_account(user.id)?;
    let ChangePassword { current: Password(current), new: Password(new) } = input(app, request).await?;
    let old = verified(app, &user, current).await?;
    let new = app.passwords.hash(new).await?;
    let change = app.store.end_sessions(user.id, Some((&old, &new)), Timestamp::now());
    let changed = change.await?.ok_or_else(|| Failure::conflict("The password was changed meanwhile"))?;
    Ok(ok(&session(app, changed)?))
}

/// `DELETE /api/auth/sessions`: two commands.
pub(super) async fn end_sessions(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    app.store.end_sessions(caller, None, Timestamp::now()).await?;
    Ok(done())
}

/// `DELETE /api/users/:id`: eight commands, and a handful for each group and activity that the user takes part in. The
/// user goes after these: where anything fails before, the account is still there and the request can be made again.
///
/// What they wrote stays, as the messages of a deleted user: it is the others' conversation as well.
pub(super) async fn delete(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    app.admit_address(&request)?;
    let user = app.own_user(request.headers(), id).await?;
    app.admit_own_account(user.id)?;
    let DeleteAccount { password: Password(password) } = input(app, request).await?;
    verified(app, &user, password).await?;
    leave_everything(app, user.id).await?;
    app.store.delete_user(user.id).await?;
    // Once more, for what began meanwhile. What begins from here on finds nobody to take in: see `membership::let_go`.
    leave_everything(app, user.id).await?;
    Ok(done())
}

async fn leave_everything(app: &App, user: Id) -> Result<(), Failure> {
    activities::leave_all(app, user).await?;
    membership::leave_all(app, user).await
}

/// The hash of the user's password, if this is it.
async fn verified(app: &App, user: &User, password: String) -> Result<PasswordHash, Failure> {
    let hash = app.store.password_of(user.id).await?.ok_or_else(no_user)?;
    if app.passwords.verify(password, Some(hash.clone())).await? {
        Ok(hash)
    } else {
        Err(Failure::forbidden(WRONG_PASSWORD))
    }
}

fn session(app: &App, user: User) -> Result<model::Session, Failure> {
    let token =
        app.config.tokens.sign(user.id, user.generation, app.config.jwt_ttl).map_err(Failure::fault)?;
    Ok(model::Session { user: Pen::new(&app.config.links).own(user), token })
}

/// A handle made of the name's plain letters and digits, its words joined by hyphens. Nothing of the e-mail address is
/// in it: everybody sees handles.
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
