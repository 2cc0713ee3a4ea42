//! Send, list, mark as read.

use hyper::Request;
use hyper::body::Incoming;
use protocol::body::{Invalid, SendMessage};
use protocol::{Id, Timestamp};
use rustc_hash::FxHashSet;
use store::StoreError;
use store::conversation::{Access, SMALL};
use store::document::{Message, ReadKey};
use tokio::time::Instant;

use super::{allowed, json_body};
use crate::answer::{Answer, Failure, created, ok};
use crate::app::App;
use crate::commit::Send;
use crate::render::{Context, fresh};
use crate::request::Query;

/// `POST /api/conversations/:id/messages`: one command, and a share in those of its batch.
pub(super) async fn send(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let since = Instant::now();
    let caller = app.caller(request.headers()).await?;
    let bytes = json_body(app, request).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Invalid::new("body", "must be a JSON object"))?;
    let body = SendMessage::parse(text)?;
    let send = Send {
        id: Id::mint(),
        conversation: id,
        sender: caller.id,
        profile: Some(caller.clone()),
        body,
        since,
    };
    let committed = app.commit.send(send).await?;
    Ok(created(&fresh(&committed.message, &committed.sender)))
}

/// `GET /api/conversations/:id/messages`: five commands.
pub(super) async fn list(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let query = Query::parse(request.uri().query());
    let limit = query.limit()?;
    let page = query.messages(limit)?;
    // Both at once; what was read is shown only if the caller takes part.
    let (ids, users) = ([id], [caller]);
    let (accesses, messages) =
        tokio::try_join!(app.store.accesses(&ids, &users), app.store.messages_page(id, page, limit),)?;
    let access = allowed(accesses.first(), caller)?;
    let (context, readers) = context(app, access, caller, &messages).await?;
    let rendered: Vec<_> = messages.iter().map(|message| context.message(message, &readers)).collect();
    Ok(ok(&rendered))
}

/// `PUT /api/messages/:id/read`: six commands. Marks all before it as read too.
pub(super) async fn mark_read(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let message = app.store.message(id).await?;
    let message = message.ok_or_else(|| Failure::not_found("Message not found"))?;
    let accesses = app.store.accesses(&[message.conversation_id], &[caller]).await?;
    let access = allowed(accesses.first(), caller)?;
    let key = ReadKey { conversation: message.conversation_id, user: caller };
    app.store.advance_cursor(key, message.seq, Timestamp::now()).await?;
    let messages = [message];
    let (context, readers) = context(app, access, caller, &messages).await?;
    Ok(ok(&context.message(&messages[0], &readers)))
}

/// Who wrote and who read these messages of one conversation: two commands, both at once.
async fn context(
    app: &App,
    access: &Access,
    caller: Id,
    messages: &[Message],
) -> Result<(Context, Vec<Id>), StoreError> {
    // Of a large conversation the participants are not even read.
    let readers = if access.size <= SMALL { access.participants.clone() } else { vec![caller] };
    let keys: Vec<ReadKey> = readers.iter().map(|&user| ReadKey { conversation: access.id, user }).collect();
    let senders: FxHashSet<Id> = messages.iter().map(|message| message.sender).collect();
    let senders: Vec<Id> = senders.into_iter().collect();
    let (profiles, cursors) = tokio::try_join!(app.store.profiles(&senders), app.store.read_cursors(&keys))?;
    Ok((Context::new(caller, profiles, cursors), readers))
}
