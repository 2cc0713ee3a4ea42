//! List and get conversations.

use hyper::Request;
use hyper::body::Incoming;
use protocol::Id;
use store::conversation::Listed;
use store::message::Page;

use super::{NO_CONVERSATION, NO_PARTICIPANT};
use crate::answer::{Answer, Failure, ok};
use crate::app::App;
use crate::detail::Detail;
use crate::request::Query;

/// `GET /api/conversations`: five commands, however many conversations there are. At most
/// [`store::conversation::MAX_LISTED`] of them, each with at most [`store::conversation::LISTED_PARTICIPANTS`] people.
pub(super) async fn list(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let mut listed = app.store.conversations_of(caller).await?;
    listed.sort_by_key(|listed| std::cmp::Reverse((activity(listed), listed.conversation.id)));
    let detail = Detail::load(&app.store, caller, listed, Vec::new()).await?;
    Ok(ok(&detail.conversations()))
}

/// `GET /api/conversations/:id`: six commands.
pub(super) async fn get(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let query = Query::parse(request.uri().query());
    let limit = query.limit()?;
    let page = Page::Newest { skip: query.skip(limit)? };
    // Both at once; what was read is shown only if the caller takes part.
    let (listed, messages) = tokio::try_join!(
        app.store.listed_conversation(id, caller),
        app.store.messages_page(id, page, limit),
    )?;
    let listed = participants_own(listed, caller)?;
    let detail = Detail::load(&app.store, caller, vec![listed], messages).await?;
    Ok(ok(&detail.conversation_with_messages()))
}

fn participants_own(listed: Option<Listed>, caller: Id) -> Result<Listed, Failure> {
    match listed {
        Some(listed) if !listed.conversation.is_active => Err(Failure::not_found(NO_CONVERSATION)),
        Some(listed) if listed.conversation.has(caller) => Ok(listed),
        Some(_) => Err(Failure::forbidden(NO_PARTICIPANT)),
        None => Err(Failure::not_found(NO_CONVERSATION)),
    }
}

/// When something last happened: the last message, or the beginning.
fn activity(listed: &Listed) -> protocol::Timestamp {
    listed.last.as_ref().map_or(listed.conversation.created_at, |last| last.created_at)
}
