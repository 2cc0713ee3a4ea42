//! Friends and blocks. All of it is the caller's own: the path's first user must be the caller.

use hyper::Request;
use hyper::body::Incoming;
use protocol::body::Privacy;
use protocol::input::Invalid;
use protocol::model::User;
use protocol::{Id, Timestamp};
use store::document::User as Stored;
use store::user::Relation;

use super::query;
use super::users::no_user;
use crate::answer::{Answer, Failure, ok};
use crate::app::App;
use crate::render::{Pen, Sight};
use crate::request::{Limit, PageNumber, Window};

const ONESELF: Invalid = Invalid::new("other", "must be somebody else");
const TOO_MANY_FRIENDS: &str = "You cannot add more friends";
const TOO_MANY_BLOCKED: &str = "You cannot block more people";

protocol::choice! {
    /// Which friends.
    pub(crate) enum Status {
        /// Those who have added the caller, too.
        Friends = "friends",
        /// Those whom the caller has added and who have not answered.
        Requested = "requested",
        /// Those who have added the caller and were not answered.
        Received = "received",
    }
}

protocol::input! {
    /// The query of `GET /api/users/:id/friends`.
    pub(crate) struct ListFriends {
        /// Friends, where nothing is said, or requests.
        status / "status": Option<Status>,
        /// Which page, from 1.
        page / "page": Option<PageNumber>,
        /// How many a page has; 20 where nothing is said.
        limit / "limit": Option<Limit>,
    }
}

protocol::input! {
    /// The query of `GET /api/users/:id/blocks`.
    pub(crate) struct ListBlocks {
        /// Which page, from 1.
        page / "page": Option<PageNumber>,
        /// How many a page has; 20 where nothing is said.
        limit / "limit": Option<Limit>,
    }
}

/// `GET /api/users/:id/friends`: two commands.
pub(super) async fn list_friends(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.own_user(request.headers(), id).await?;
    let ListFriends { status, page, limit } = query(request)?;
    let relation = match status {
        None | Some(Status::Friends) => Relation::Friends,
        Some(Status::Requested) => Relation::Requested,
        Some(Status::Received) => Relation::Received,
    };
    list(app, &caller, relation, Window::new(page, limit)).await
}

/// `GET /api/users/:id/blocks`: two commands.
pub(super) async fn list_blocks(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.own_user(request.headers(), id).await?;
    let ListBlocks { page, limit } = query(request)?;
    list(app, &caller, Relation::Blocked, Window::new(page, limit)).await
}

async fn list(app: &App, caller: &Stored, relation: Relation, window: Window) -> Result<Answer, Failure> {
    let found = app.store.related_users(caller, relation, window.skip, window.limit).await?;
    let pen = Pen::new(&app.config.links);
    // People who hide are shown here with name and picture, so that a request can be answered and a block taken back:
    // they have added the caller, or the caller knows them.
    let shown = |seen| match relation {
        // Whom one has asked and who has hidden since has not answered: they are as hidden as to anybody.
        Relation::Requested => pen.seen(caller, seen),
        _ => Some(pen.related(caller, seen)),
    };
    let users: Vec<User> = found.into_iter().filter_map(shown).collect();
    Ok(ok(&users))
}

/// `POST /api/users/:id/friends/:other`: four commands, five with a public user. An addition is mutual at once with a
/// public user; of others it is a request, which grants nothing until they add back.
pub(super) async fn add_friend(
    app: &App,
    request: &Request<Incoming>,
    id: Id,
    other: Id,
) -> Result<Answer, Failure> {
    let caller = app.own_user(request.headers(), id).await?;
    if id == other {
        return Err(ONESELF.into());
    }
    let seen = app.store.seen_user(id, other).await?.ok_or_else(no_user)?;
    // Whoever has added the caller may be added back, however hidden they are.
    let hidden = Sight::of(&caller, &seen) == Sight::Nothing && !seen.adds_viewer;
    if seen.blocks_viewer || hidden {
        return Err(no_user());
    }
    if caller.blocked.contains(&other) {
        return Err(Failure::conflict("You have blocked this person"));
    }
    let now = Timestamp::now();
    if !app.store.add_friend(id, other, now).await? {
        return Err(Failure::conflict(TOO_MANY_FRIENDS));
    }
    if Privacy::parse(&seen.privacy) == Some(Privacy::Public) {
        app.store.befriend(id, other, now).await?;
    }
    own(app, id).await
}

/// `DELETE /api/users/:id/friends/:other`: four commands.
pub(super) async fn remove_friend(
    app: &App,
    request: &Request<Incoming>,
    id: Id,
    other: Id,
) -> Result<Answer, Failure> {
    app.own_user(request.headers(), id).await?;
    app.store.remove_friend(id, other, Timestamp::now()).await?;
    own(app, id).await
}

/// `POST /api/users/:id/blocks/:other`: eight commands, nine where they have a conversation.
pub(super) async fn block(
    app: &App,
    request: &Request<Incoming>,
    id: Id,
    other: Id,
) -> Result<Answer, Failure> {
    let caller = app.own_user(request.headers(), id).await?;
    if id == other {
        return Err(ONESELF.into());
    }
    let seen = app.store.seen_user(id, other).await?.ok_or_else(no_user)?;
    // Whoever hides is as if they were not there, unless the two have met.
    let hidden = Sight::of(&caller, &seen) == Sight::Nothing && !seen.adds_viewer;
    if hidden && !app.store.have_met(id, other).await? {
        return Err(no_user());
    }
    if !app.store.block(id, other, true, Timestamp::now()).await? {
        return Err(Failure::conflict(TOO_MANY_BLOCKED));
    }
    own(app, id).await
}

/// `DELETE /api/users/:id/blocks/:other`: five commands, six where they have a conversation.
pub(super) async fn unblock(
    app: &App,
    request: &Request<Incoming>,
    id: Id,
    other: Id,
) -> Result<Answer, Failure> {
    app.own_user(request.headers(), id).await?;
    app.store.block(id, other, false, Timestamp::now()).await?;
    own(app, id).await
}

/// The caller as they are now.
async fn own(app: &App, id: Id) -> Result<Answer, Failure> {
    let user = app.store.user(id).await?;
    let user = user.ok_or_else(|| Failure::unauthorized(protocol::code::text::USER_NOT_FOUND))?;
    Ok(ok(&Pen::new(&app.config.links).own(user)))
}
