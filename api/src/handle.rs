//! One function for each endpoint, beside the declaration of what it reads.
//!
//! | module | answers |
//! |---|---|
//! | [`account`] | register, sign in, password, sessions, the end of an account |
//! | [`users`] | find, get, update |
//! | [`relations`] | friends and blocks |
//! | [`conversations`] | list and get |
//! | [`create`] | new conversations, and who may be in them |
//! | [`membership`] | change and archive: who takes part in what |
//! | [`messages`] | send, list, edit, delete, mark as read |
//! | [`activities`], [`activity_chat`] | activities, and their conversations |
//! | [`uploads`] | files in and out |
//! | [`probe`] | the accounts of probes |
//! | [`internal`] | the gateways' batches of commands |

pub(crate) mod account;
pub(crate) mod activities;
mod activity_chat;
pub(crate) mod conversations;
pub(crate) mod create;
mod internal;
pub(crate) mod membership;
pub(crate) mod messages;
mod probe;
pub(crate) mod relations;
mod uploads;
pub(crate) mod users;

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use protocol::Id;
use protocol::input::{Input, Invalid};
use store::conversation::Access;

use crate::answer::{Answer, Failure};
use crate::app::App;
use crate::endpoint::{Call, Operation};
use crate::openapi;
use crate::request::{body, check_json};

/// A path whose identifier is none.
pub(crate) const BAD_ID: Invalid = Invalid::new("id", "is not a valid identifier");

const NO_CONVERSATION: &str = "Conversation not found";
pub(crate) const NO_MESSAGE: &str = "Message not found";
const NO_ACTIVITY: &str = "Activity not found";
const NO_PARTICIPANT: &str = "You are not a participant of this conversation";
const BLOCKED: &str = "You cannot write to this person";

/// Answers a request that `call` was found for.
pub(crate) async fn call(
    app: &Arc<App>,
    call: &Call,
    mut request: Request<Incoming>,
) -> Result<Answer, Failure> {
    use Operation as O;
    request.extensions_mut().insert(MaxBody(call.endpoint.max_body));
    let id = call.id();
    match call.endpoint.operation {
        O::Register => account::register(app, request).await,
        O::Login => account::login(app, request).await,
        O::Me => account::me(app, &request).await,
        O::ChangePassword => account::change_password(app, request).await,
        O::EndSessions => account::end_sessions(app, &request).await,
        O::ListUsers => users::list(app, &request).await,
        O::GetUser => users::get(app, &request, id).await,
        O::UpdateUser => users::update(app, request, id).await,
        O::DeleteUser => account::delete(app, request, id).await,
        O::ListFriends => relations::list_friends(app, &request, id).await,
        O::AddFriend => relations::add_friend(app, &request, id, call.other()).await,
        O::RemoveFriend => relations::remove_friend(app, &request, id, call.other()).await,
        O::ListBlocks => relations::list_blocks(app, &request, id).await,
        O::Block => relations::block(app, &request, id, call.other()).await,
        O::Unblock => relations::unblock(app, &request, id, call.other()).await,
        O::ListConversations => conversations::list(app, &request).await,
        O::CreateConversation => create::create(app, request).await,
        O::GetConversation => conversations::get(app, &request, id).await,
        O::ChangeConversation => membership::change(app, request, id).await,
        O::ArchiveConversation => membership::archive(app, &request, id).await,
        O::ListMessages => messages::list(app, &request, id).await,
        O::SendMessage => messages::send(app, request, id).await,
        O::EditMessage => messages::edit(app, request, id).await,
        O::DeleteMessage => messages::delete(app, &request, id).await,
        O::MarkRead => messages::mark_read(app, &request, id).await,
        O::ListActivities => activities::list(app, &request).await,
        O::CreateActivity => activities::create(app, request).await,
        O::GetActivity => activities::get(app, &request, id).await,
        O::UpdateActivity => activities::update(app, request, id).await,
        O::DeleteActivity => activities::delete(app, &request, id).await,
        O::JoinActivity => activities::join(app, &request, id).await,
        O::LeaveActivity => activities::leave(app, &request, id).await,
        O::ActivityConversation => activity_chat::get(app, &request, id).await,
        O::Upload => uploads::create(app, request).await,
        O::ServeUpload => uploads::serve(app, &request, id, &call.seal).await,
        O::OpenApi => Ok(openapi::answer()),
        O::ProbeAccounts => probe::accounts(app, request).await,
        O::Commands => internal::commands(app, request).await,
        O::Ready => internal::ready(app, &request),
    }
}

/// How large a request's JSON body may be, as its endpoint says; one of its extensions.
#[derive(Clone, Copy)]
struct MaxBody(usize);

/// The JSON body of a request.
async fn json_body(app: &App, request: Request<Incoming>) -> Result<Bytes, Failure> {
    check_json(request.headers())?;
    let most = request.extensions().get().map_or(0, |MaxBody(most)| *most);
    body(request.into_body(), most, app.config.body_timeout).await
}

/// The declared body of a request.
async fn input<T: Input>(app: &App, request: Request<Incoming>) -> Result<T, Failure> {
    Ok(T::from_json(&json_body(app, request).await?)?)
}

/// The declared query of a request.
fn query<T: Input>(request: &Request<Incoming>) -> Result<T, Failure> {
    Ok(T::from_query(request.uri().query())?)
}

/// Whether `user` takes part in the conversation to which `access` belongs, archived or not, and if so, that access.
pub(crate) fn allowed(access: Option<&Access>, user: Id) -> Result<&Access, Failure> {
    match access {
        Some(access) if access.participants.contains(&user) => Ok(access),
        Some(_) => Err(Failure::forbidden(NO_PARTICIPANT)),
        None => Err(Failure::not_found(NO_CONVERSATION)),
    }
}

/// Whether `user` may write there.
pub(crate) fn may_write(access: Option<&Access>, user: Id) -> Result<&Access, Failure> {
    match allowed(access, user)? {
        access if access.blocked => Err(Failure::forbidden(BLOCKED)),
        access => Ok(access),
    }
}
