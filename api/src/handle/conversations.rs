//! List and get conversations.

use hyper::Request;
use hyper::body::Incoming;
use protocol::Id;
use store::conversation::{Listed, MAX_LISTED};
use store::message::Page;

use super::{NO_CONVERSATION, NO_PARTICIPANT, query};
use crate::answer::{Answer, Failure, ok};
use crate::app::App;
use crate::detail::Detail;
use crate::request::{Limit, PageNumber, Window};

protocol::input! {
    /// The query of `GET /api/conversations`.
    pub(crate) struct ListConversations {
        /// Which page, from 1.
        page / "page": Option<PageNumber>,
        /// How many a page has; 20 where only a page is asked for, and 500 where nothing is said.
        limit / "limit": Option<Limit>,
    }
}

protocol::input! {
    /// The query of `GET /api/conversations/:id`.
    pub(crate) struct GetConversation {
        /// Which page of messages, from 1, the newest.
        page / "page": Option<PageNumber>,
        /// How many messages a page has; 20 where nothing is said.
        limit / "limit": Option<Limit>,
    }
}

/// `GET /api/conversations`: at most six commands, however many conversations there are. At most
/// [`store::conversation::MAX_LISTED`] of them, each with at most [`store::conversation::LISTED_PARTICIPANTS`] people.
pub(super) async fn list(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let ListConversations { page, limit } = query(request)?;
    let window = match (page, limit) {
        (None, None) => Window { skip: 0, limit: MAX_LISTED },
        asked => Window::new(asked.0, asked.1),
    };
    let mut listed = app.store.conversations_of(caller, window.skip, window.limit).await?;
    listed.sort_by_key(|listed| std::cmp::Reverse((activity(listed), listed.conversation.id)));
    let detail = Detail::load(app, caller, listed, Vec::new()).await?;
    Ok(ok(&detail.conversations()))
}

/// `GET /api/conversations/:id`: at most six commands.
pub(super) async fn get(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    with_messages(app, request, caller, id).await
}

/// A conversation with the page of its messages that the query asks for.
pub(super) async fn with_messages(
    app: &App,
    request: &Request<Incoming>,
    caller: Id,
    id: Id,
) -> Result<Answer, Failure> {
    let GetConversation { page, limit } = query(request)?;
    let Window { skip, limit } = Window::new(page, limit);
    let page = Page::Newest { skip };
    // Both at once; what was read is shown only if the caller takes part.
    let (listed, messages) = tokio::try_join!(
        app.store.listed_conversation(id, caller),
        app.store.messages_page(id, page, limit),
    )?;
    let listed = participants_own(listed, caller)?;
    let detail = Detail::load(app, caller, vec![listed], messages).await?;
    Ok(ok(&detail.conversation_with_messages()))
}

fn participants_own(listed: Option<Listed>, caller: Id) -> Result<Listed, Failure> {
    match listed {
        Some(listed) if listed.conversation.has(caller) => Ok(listed),
        Some(_) => Err(Failure::forbidden(NO_PARTICIPANT)),
        None => Err(Failure::not_found(NO_CONVERSATION)),
    }
}

/// When something last happened: the last message, or the beginning.
fn activity(listed: &Listed) -> protocol::Timestamp {
    listed.last.as_ref().map_or(listed.conversation.created_at, |last| last.created_at)
}
