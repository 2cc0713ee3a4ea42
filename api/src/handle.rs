//! One function for each route.
//!
//! | module | answers |
//! |---|---|
//! | [`account`] | register, login, me |
//! | [`users`] | the list of users |
//! | [`conversations`] | list and get |
//! | [`membership`] | create and change: who takes part in what |
//! | [`messages`] | send, list, mark as read |
//! | [`internal`] | the gateways' batches of commands |

mod account;
mod conversations;
mod internal;
mod membership;
mod messages;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use protocol::Id;
use protocol::body::Invalid;
use store::conversation::Access;

use crate::answer::{Answer, Failure};
use crate::app::App;
use crate::request::{MAX_BODY, body, check_json};
use crate::route::Route;

/// A path whose identifier is none.
pub(crate) const BAD_ID: Invalid = Invalid::new("id", "is not a valid identifier");

const NO_CONVERSATION: &str = "Conversation not found";
const NO_PARTICIPANT: &str = "You are not a participant of this conversation";

/// Answers a request for `route`.
pub(crate) async fn route(
    app: &Arc<App>,
    route: Route,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    match route {
        Route::Register => account::register(app, request).await,
        Route::Login => account::login(app, request).await,
        Route::Me => account::me(app, &request).await,
        Route::Users => users::list(app, &request).await,
        Route::ListConversations => conversations::list(app, &request).await,
        Route::CreateConversation => membership::create(app, request).await,
        Route::GetConversation(id) => conversations::get(app, &request, id).await,
        Route::ChangeConversation(id) => membership::change(app, request, id).await,
        Route::ListMessages(id) => messages::list(app, &request, id).await,
        Route::SendMessage(id) => messages::send(app, request, id).await,
        Route::MarkRead(id) => messages::mark_read(app, &request, id).await,
        Route::Commands => internal::commands(app, request).await,
    }
}

/// The JSON body of a request.
async fn json_body(app: &App, request: Request<Incoming>) -> Result<Bytes, Failure> {
    check_json(request.headers())?;
    body(request.into_body(), MAX_BODY, app.config.body_timeout).await
}

/// Whether `user` may use the conversation to which `access` belongs, and if so, that access.
pub(crate) fn allowed(access: Option<&Access>, user: Id) -> Result<&Access, Failure> {
    match access {
        Some(access) if !access.is_active => Err(Failure::not_found(NO_CONVERSATION)),
        Some(access) if access.participants.contains(&user) => Ok(access),
        Some(_) => Err(Failure::forbidden(NO_PARTICIPANT)),
        None => Err(Failure::not_found(NO_CONVERSATION)),
    }
}
