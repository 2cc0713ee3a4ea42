//! The accounts of probes.

use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use protocol::Timestamp;
use protocol::code::text;
use protocol::probe::{Account, Accounts, Ask};
use store::document::User;

use super::input;
use crate::answer::{Answer, Failure, ok};
use crate::app::App;
use crate::request::bearer;

/// How long the tokens of a probe are good at the most. It gets new ones with every connection, and nothing but their
/// end makes one worthless that has leaked.
const TOKEN_TTL: Duration = Duration::from_secs(60 * 60);

/// `POST /api/probe`: three commands. The two users of a probe and their conversation, made where they are not there
/// yet, with tokens like anybody's.
pub(super) async fn accounts(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let token = bearer(request.headers()).ok_or_else(|| Failure::unauthorized(text::TOKEN_REQUIRED))?;
    let probe =
        app.config.tokens.verify_probe(token).map_err(|_| Failure::unauthorized(text::INVALID_TOKEN))?;
    let Ask { name } = input(app, request).await?;
    if name != probe {
        return Err(Failure::forbidden("This token is another probe's"));
    }
    let pair = app.store.probe_pair(&name, Timestamp::now()).await?;
    let [one, other] = &pair.users;
    let users = [account(app, one)?, account(app, other)?];
    Ok(ok(&Accounts { users, conversation_id: pair.conversation }))
}

fn account(app: &App, user: &User) -> Result<Account, Failure> {
    let token = app.config.tokens.sign(user.id, user.generation, app.config.jwt_ttl.min(TOKEN_TTL));
    Ok(Account { id: user.id, token: token.map_err(Failure::fault)? })
}
