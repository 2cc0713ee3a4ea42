//! New conversations, and who may be in them.

use hyper::Request;
use hyper::body::Incoming;
use protocol::input::{Ids, Invalid, Line};
use protocol::{Id, Timestamp};
use store::conversation::{Listed, MAX_PARTICIPANTS};
use store::document::{Conversation, User};

use super::{activity_chat, input, membership};
use crate::answer::{Answer, Failure, created, ok};
use crate::app::App;
use crate::detail::Detail;
use crate::render::Sight;

pub(super) const TOO_MANY: Invalid = Invalid::new("participants", "must not be more than 1000");

/// A displayed name.
pub(crate) type Name = Line<1, 80>;

protocol::input! {
    /// The body of `POST /api/conversations`.
    pub(crate) struct CreateConversation {
        /// Who takes part, the caller named or not: with one other it is their direct conversation, with more a group.
        /// Not needed with an activity.
        participants / "participants": Option<Ids<MAX_PARTICIPANTS>>,
        /// A group's name.
        name / "name": Option<Name>,
        /// The activity whose conversation it is: its participants take part.
        activity / "activityId": Option<Id>,
    }
}

/// `POST /api/conversations`: four commands for a group, six for a new direct conversation and for one that is there
/// (two more if it was archived), five or ten for an activity's.
pub(super) async fn create(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let body: CreateConversation = input(app, request).await?;
    if let Some(activity) = body.activity {
        return of_activity(app, &caller, activity).await;
    }
    let participants = participants(body.participants, caller.id)?;
    let name = body.name.map(|name| name.0);
    let new = Conversation::new(caller.id, participants, name, Timestamp::now());
    if new.is_direct() {
        return direct(app, &caller, new).await;
    }
    invitable(app, &caller, &new.participants).await?;
    app.admit_invites(caller.id, new.participants.len() - 1)?;
    app.store.insert_conversation(&new).await?;
    let (id, members) = (new.id, new.participants.clone());
    let detail = show(app, caller.id, new).await?;
    membership::let_go(app, &detail, id, &members).await?;
    Ok(created(&detail.conversations().pop()))
}

/// The direct conversation of two people: the one they have, or a new one.
async fn direct(app: &App, caller: &User, new: Conversation) -> Result<Answer, Failure> {
    // Whoever may not begin one any more still finds the one that is there.
    let known = match new.participants[..] {
        [one, other] => app.store.direct_conversation(one, other).await?,
        _ => None,
    };
    let stored = match known {
        Some(known) => known,
        None => {
            invitable(app, caller, &new.participants).await?;
            app.admit_invites(caller.id, 1)?;
            app.store.find_or_insert_direct(&new).await?
        }
    };
    if stored.id == new.id {
        settle_blocks(app, &stored).await?;
        let detail = show(app, caller.id, stored).await?;
        return Ok(created(&detail.conversations().pop()));
    }
    // Whoever may not write there does not put it back before the other's eyes either.
    if !stored.is_active && stored.blocked_by.is_empty() {
        app.store.reactivate(stored.id, caller.id, Timestamp::now()).await?;
    }
    found(app, caller.id, stored.id).await
}

/// A conversation that was there already.
async fn found(app: &App, caller: Id, id: Id) -> Result<Answer, Failure> {
    let listed = app.store.listed_conversation(id, caller).await?;
    let detail = Detail::load(app, caller, listed.into_iter().collect(), Vec::new()).await?;
    Ok(ok(&detail.conversations().pop()))
}

/// Notes what one of the two may have said meanwhile: a block looks for the conversation after it is written, this
/// looks for the block after the conversation is, so that one of them finds the other.
async fn settle_blocks(app: &App, direct: &Conversation) -> Result<(), Failure> {
    let [one, other] = direct.participants[..] else { return Ok(()) };
    for blocker in app.store.blocks_between(one, other).await? {
        let blocked = if blocker == one { other } else { one };
        app.store.settle_block(blocker, blocked).await?;
    }
    Ok(())
}

async fn of_activity(app: &App, caller: &User, activity: Id) -> Result<Answer, Failure> {
    let (conversation, made) = activity_chat::ensure(app, activity, caller.id).await?;
    if made {
        let detail = show(app, caller.id, conversation).await?;
        return Ok(created(&detail.conversations().pop()));
    }
    if !conversation.is_active {
        app.store.reactivate(conversation.id, caller.id, Timestamp::now()).await?;
    }
    found(app, caller.id, conversation.id).await
}

/// A conversation without a message yet.
pub(super) async fn show(app: &App, caller: Id, conversation: Conversation) -> Result<Detail<'_>, Failure> {
    let listed = Listed {
        size: conversation.participants.len(),
        conversation,
        last: None,
        cursor: None,
        others: None,
    };
    Ok(Detail::load(app, caller, vec![listed], Vec::new()).await?)
}

/// Those whom the body names, and the caller.
fn participants(named: Option<Ids<MAX_PARTICIPANTS>>, caller: Id) -> Result<Vec<Id>, Invalid> {
    const FIELD: &str = "participants";
    let mut ids = named.ok_or(Invalid::new(FIELD, "is required"))?.0;
    if !ids.contains(&caller) {
        ids.push(caller);
    }
    match ids.len() {
        1 => Err(Invalid::new(FIELD, "must name somebody else")),
        2..=MAX_PARTICIPANTS => Ok(ids),
        _ => Err(TOO_MANY),
    }
}

/// Whether `caller` may bring these people into a conversation: they must exist, not hide from the caller, and neither
/// may have blocked the other. One command.
pub(super) async fn invitable(app: &App, caller: &User, ids: &[Id]) -> Result<(), Failure> {
    let others: Vec<Id> = ids.iter().copied().filter(|id| *id != caller.id).collect();
    if others.iter().any(|id| caller.blocked.contains(id)) {
        return Err(Failure::forbidden("You have blocked one of these people"));
    }
    let seen = app.store.seen_users(caller.id, &others).await?;
    let visible = seen.iter().filter(|seen| Sight::of(caller, seen) != Sight::Nothing).count();
    if visible == others.len() {
        Ok(())
    } else {
        Err(Invalid::new("participants", "must be existing users").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_takes_part_and_is_not_alone() {
        let [one, two] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        assert_eq!(participants(Some(Ids(vec![two])), one), Ok(vec![two, one]));
        assert!(participants(Some(Ids(vec![one])), one).is_err() && participants(None, one).is_err());
        let many = (0..1_000).map(|_| Id::mint()).collect();
        assert_eq!(participants(Some(Ids(many)), one), Err(TOO_MANY));
    }
}
