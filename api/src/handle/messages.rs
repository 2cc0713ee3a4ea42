//! Send, list, edit, delete, mark as read.

use hyper::Request;
use hyper::body::Incoming;
use protocol::body::{MAX_CONTENT_CHARS, NewMessage};
use protocol::input::{Invalid, Text, Whole};
use protocol::upload::Links;
use protocol::{Id, Timestamp, UnixMicros};
use rustc_hash::FxHashSet;
use store::StoreError;
use store::conversation::{Access, SMALL};
use store::document::{Message, MessageChange, ReadKey};
use store::message::Page;
use tokio::time::Instant;

use super::{NO_MESSAGE, allowed, input, json_body, may_write, query};
use crate::answer::{Answer, Failure, created, done, ok};
use crate::app::App;
use crate::commit::Send;
use crate::detail::reading;
use crate::marks::{Mark, readers};
use crate::render::{Context, Pen};
use crate::request::{Limit, PageNumber, Place, Window, stored_link};

/// How often an edit is tried anew when the same message is changed at the same time.
const CHANGE_TRIES: usize = 20;

protocol::input! {
    /// The query of `GET /api/conversations/:id/messages`. At most one of `before`, `after` and `updatedAfter`.
    pub(crate) struct ListMessages {
        /// Which page, from 1, the newest.
        page / "page": Option<PageNumber>,
        /// How many messages a page has; 20 where nothing is said.
        limit / "limit": Option<Limit>,
        /// The newest before a time (ISO 8601, or milliseconds) or a `seq`.
        before / "before": Option<Place>,
        /// The oldest after a `seq`, deleted ones too: what a client that was away has missed.
        after / "after": Option<Whole<0, { i64::MAX }>>,
        /// Those that were edited or deleted at this time or later, in the order of their last change. Clocks of
        /// servers differ: ask from some seconds before the last answer.
        updated_after / "updatedAfter": Option<Timestamp>,
    }
}

protocol::input! {
    /// The body of `PUT /api/messages/:id`.
    pub(crate) struct EditMessage {
        /// The new text.
        content / "content": Text<1, MAX_CONTENT_CHARS>,
    }
}

impl ListMessages {
    /// Which messages are asked for, and how many.
    fn page(&self) -> Result<(Page, u32), Invalid> {
        let Window { skip, limit } = Window::new(self.page, self.limit);
        let page = match (self.before, self.after, self.updated_after) {
            (None, None, None) => Page::Newest { skip },
            (Some(Place::Seq(seq)), None, None) => Page::BeforeSeq(seq),
            (Some(Place::Time(time)), None, None) => Page::BeforeTime(time),
            (None, Some(Whole(seq)), None) => Page::AfterSeq(seq),
            (None, None, Some(time)) => Page::ChangedSince(time),
            (Some(_), _, _) => {
                return Err(Invalid::new("before", "cannot be combined with after or updatedAfter"));
            }
            _ => return Err(Invalid::new("after", "cannot be combined with updatedAfter")),
        };
        Ok((page, limit))
    }
}

/// A new message, its attachment as it is stored.
pub(super) fn to_store(links: &Links, mut message: NewMessage) -> Result<NewMessage, Invalid> {
    if let Some(link) = message.attachment_url.take() {
        message.attachment_url = Some(stored_link(links, link, "attachmentUrl")?);
    }
    Ok(message)
}

/// `POST /api/conversations/:id/messages`: one command, and a share in those of its batch.
pub(super) async fn send(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let (since, received) = (Instant::now(), Some(UnixMicros::now()));
    let caller = app.caller(request.headers()).await?;
    let body = to_store(&app.config.links, NewMessage::parse(&json_body(app, request).await?)?)?;
    let send = Send {
        id: Id::mint(),
        conversation: id,
        sender: caller.id,
        profile: Some(caller.clone()),
        body,
        received,
        since,
    };
    let committed = app.commit.send(send).await?;
    Ok(created(&Pen::new(&app.config.links).fresh(&committed.message, &committed.sender)))
}

/// `GET /api/conversations/:id/messages`: five commands, six of a large group.
pub(super) async fn list(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let (page, limit) = query::<ListMessages>(request)?.page()?;
    // Both at once; what was read is shown only if the caller takes part.
    let (ids, users) = ([id], [caller]);
    let (accesses, messages) =
        tokio::try_join!(app.store.accesses(&ids, &users), app.store.messages_page(id, page, limit),)?;
    let access = allowed(accesses.first(), caller)?;
    let (context, readers) = context(app, access, caller, &messages).await?;
    let rendered: Vec<_> = messages.iter().map(|message| context.message(message, &readers)).collect();
    Ok(ok(&rendered))
}

/// `PUT /api/messages/:id`: six commands, seven of a large group, and two for each time that the same message was
/// changed first.
pub(super) async fn edit(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let EditMessage { content: Text(content) } = input(app, request).await?;
    let (message, access) = change(app, caller, id, Some(&content)).await?;
    let messages = [message];
    let (context, readers) = context(app, &access, caller, &messages).await?;
    Ok(ok(&context.message(&messages[0], &readers)))
}

/// `DELETE /api/messages/:id`: four commands. Its place in the order stays, and nothing else of it.
pub(super) async fn delete(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    change(app, caller, id, None).await?;
    Ok(done())
}

/// Edits one of the caller's own messages, or deletes it where there is no `content`. Each change is made to the
/// message as the one before left it, so that none is lost, and what was deleted stays deleted.
async fn change(app: &App, caller: Id, id: Id, content: Option<&str>) -> Result<(Message, Access), Failure> {
    let gone = || Failure::not_found(NO_MESSAGE);
    for _ in 0..CHANGE_TRIES {
        let message = app.store.message(id).await?.ok_or_else(gone)?;
        let accesses = app.store.accesses(&[message.conversation_id], &[caller]).await?;
        let access = allowed(accesses.first(), caller)?;
        if message.sender != caller {
            return Err(Failure::forbidden("Only its author may change a message"));
        }
        // To change what one wrote is to write; to take it back is not.
        if content.is_some() {
            may_write(accesses.first(), caller)?;
        }
        match (message.is_deleted, content) {
            (false, _) => {}
            // Deleting again is no mistake.
            (true, None) => return Ok((message, access.clone())),
            (true, Some(_)) => return Err(gone()),
        }
        let before = message.change.as_ref().map_or(0, |change| change.rev);
        let change = MessageChange {
            kind: if content.is_some() { "edit" } else { "delete" }.to_owned(),
            conversation_id: message.conversation_id,
            seq: message.seq,
            sender: caller,
            created_at: message.created_at,
            // Times of changes of one message do not go back, whatever the clocks of two nodes say.
            at: Timestamp::now().max(message.updated_at),
            rev: before + 1,
        };
        if let Some(changed) = app.store.change_message(id, &change, content).await? {
            app.views.touch(std::iter::once(&changed));
            return Ok((changed, access.clone()));
        }
    }
    Err(Failure::conflict("The message keeps changing, please try again"))
}

/// `PUT /api/messages/:id/read`: one command, and a share in those of its batch. Marks all before it as read too.
pub(super) async fn mark_read(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let marked = app.marks.mark(Mark { user: caller, message: id }).await?;
    let sender = marked.sender().into_iter().collect();
    let context = Context::new(Pen::new(&app.config.links), caller, sender, marked.cursors());
    Ok(ok(&context.message(&marked.message, &marked.readers)))
}

/// Who wrote and who read these messages of one conversation: two commands, three of a large group, all at once.
async fn context<'a>(
    app: &'a App,
    access: &Access,
    caller: Id,
    messages: &[Message],
) -> Result<(Context<'a>, Vec<Id>), StoreError> {
    let readers = readers(access, caller);
    let keys: Vec<ReadKey> = readers.iter().map(|&user| ReadKey { conversation: access.id, user }).collect();
    let senders: FxHashSet<Id> = messages.iter().map(|message| message.sender).collect();
    let senders: Vec<Id> = senders.into_iter().collect();
    let counted = (access.size > SMALL && !messages.is_empty()).then_some(access.id);
    let (profiles, cursors, reading) = tokio::try_join!(
        app.store.profiles(&senders),
        app.store.read_cursors(&keys),
        reading(&app.store, counted),
    )?;
    Ok((Context::new(Pen::new(&app.config.links), caller, profiles, cursors).counting(reading), readers))
}

#[cfg(test)]
mod tests {
    use protocol::input::Input;

    use super::*;

    #[test]
    fn pages_are_asked_for_one_way_at_a_time() {
        let page = |text: &str| ListMessages::from_query(Some(text)).and_then(|query| query.page());
        assert_eq!(page(""), Ok((Page::Newest { skip: 0 }, 20)));
        assert_eq!(page("page=3&limit=10"), Ok((Page::Newest { skip: 20 }, 10)));
        assert_eq!(page("before=7"), Ok((Page::BeforeSeq(7), 20)));
        assert_eq!(page("after=0"), Ok((Page::AfterSeq(0), 20)));
        let time = Timestamp::from_millis(1_795_407_990_123);
        assert_eq!(page("before=2026-11-23T04:26:30.123Z"), Ok((Page::BeforeTime(time), 20)));
        assert_eq!(page("updatedAfter=2026-11-23T04:26:30.123Z"), Ok((Page::ChangedSince(time), 20)));
        for (text, field) in [
            ("before=x", "before"),
            ("before=-1", "before"),
            ("after=-1", "after"),
            ("after=", "after"),
            ("before=1&after=1", "before"),
            ("after=1&updatedAfter=2026-11-23T04:26:30Z", "after"),
            ("updatedAfter=yesterday", "updatedAfter"),
            ("limit=101", "limit"),
            ("limit[$gt]=1&limit=-1", "limit"),
            ("page=0", "page"),
            ("page=101", "page"),
        ] {
            assert_eq!(page(text).unwrap_err().field, field, "{text}");
        }
    }
}
