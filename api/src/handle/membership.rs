//! Change and archive conversations: who takes part in what.

use hyper::Request;
use hyper::body::Incoming;
use protocol::input::{Ids, Invalid, Patch};
use protocol::{ErrorCode, Id, Timestamp};
use store::Store;
use store::conversation::MAX_PARTICIPANTS;
use store::document::{Conversation, ConversationChange, User};
use store::message::Last;

use super::create::{Name, TOO_MANY, invitable, show};
use super::{NO_CONVERSATION, NO_PARTICIPANT, input};
use crate::answer::{Answer, Failure, done, ok};
use crate::app::App;
use crate::detail::Detail;

/// How often a change is tried anew when others change the same conversation at the same time.
pub(super) const CHANGE_TRIES: usize = 20;

protocol::input! {
    /// The body of `PUT /api/conversations/:id`: what is missing stays as it is.
    pub(crate) struct ChangeConversation {
        /// A group's name; null takes it away.
        name / "name": Patch<Name>,
        /// Who is to take part. Without the caller among them it means leaving.
        participants / "participants": Option<Ids<MAX_PARTICIPANTS>>,
    }
}

/// What a client wants a conversation to be like.
struct Wish {
    /// The new name; `Some(None)` takes it away.
    name: Option<Option<String>>,
    participants: Option<Vec<Id>>,
}

/// What a wish changes about the conversation that it met. Worked out once: tried anew, the whole list that was wished
/// for would undo what somebody else has changed meanwhile, which its client knew nothing of.
struct Difference {
    /// The new name, where it is another one; `Some(None)` takes it away.
    name: Option<Option<String>>,
    added: Vec<Id>,
    removed: Vec<Id>,
}

impl Wish {
    fn against(&self, current: &Conversation) -> Difference {
        let name = self.name.clone().filter(|name| *name != current.name);
        let Some(wanted) = &self.participants else {
            return Difference { name, added: Vec::new(), removed: Vec::new() };
        };
        let added = wanted.iter().filter(|id| !current.has(**id)).copied().collect();
        let removed = current.participants.iter().filter(|id| !wanted.contains(id)).copied().collect();
        Difference { name, added, removed }
    }
}

/// `PUT /api/conversations/:id`: seven commands, four of them to show the result; one more where participants are
/// named, two more where members join, and two to five for each time that somebody else changed it first.
pub(super) async fn change(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let user = app.calling_user(request.headers()).await?;
    let caller = user.id;
    let body: ChangeConversation = input(app, request).await?;
    app.admit_change(caller)?;
    let wish = Wish {
        name: body.name.into_option().map(|name| name.map(|name| name.0)),
        participants: body.participants.map(|ids| ids.0),
    };
    let (mut difference, mut admitted) = (None, 0);
    for _ in 0..CHANGE_TRIES {
        // Before the members are read: whoever is not among them then has none of the messages up to here.
        let last = if wish.participants.is_some() { last_seq(&app.store, id).await? } else { Last::NONE.seq };
        let current = app.store.conversation(id).await?;
        let current = current.ok_or_else(|| Failure::not_found(NO_CONVERSATION))?;
        let difference = difference.get_or_insert_with(|| wish.against(&current));
        let Some(change) = plan(&current, caller, difference)? else {
            return changed(app, caller, current, &[]).await;
        };
        follows_no_activity(app, &current, &change).await?;
        let joining = joining(&current, &change);
        welcome(app, &user, &current, &joining, last).await?;
        // Once, however often the change is tried.
        app.admit_invites(caller, joining.len().saturating_sub(admitted))?;
        admitted = admitted.max(joining.len());
        if let Some(current) = app.store.change_conversation(id, &change, None).await? {
            return changed(app, caller, current, &joining).await;
        }
    }
    Err(keeps_changing())
}

pub(super) fn keeps_changing() -> Failure {
    Failure::new(ErrorCode::Conflict, "The conversation keeps changing, please try again")
}

/// Who takes part in an activity's conversation is the activity's to say, as long as there is one.
async fn follows_no_activity(
    app: &App,
    current: &Conversation,
    change: &ConversationChange,
) -> Result<(), Failure> {
    match current.activity_id {
        Some(activity)
            if change.participants != current.participants
                && app.store.activity(activity).await?.is_some() =>
        {
            Err(Invalid::new("participants", "of an activity's conversation are those of the activity")
                .into())
        }
        _ => Ok(()),
    }
}

/// `DELETE /api/conversations/:id`: five commands. Archived, it is hidden from lists and can still be read; with the
/// next message it is back, and so it is when somebody begins it anew.
pub(super) async fn archive(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    archive_as(app, caller, id).await?;
    Ok(done())
}

/// Archives a conversation on behalf of somebody who may.
pub(super) async fn archive_as(app: &App, caller: Id, id: Id) -> Result<(), Failure> {
    for _ in 0..CHANGE_TRIES {
        // Before it is archived: whatever comes after this message brings the conversation back.
        let seen = last_seq(&app.store, id).await?;
        let current = app.store.conversation(id).await?;
        let current = current.ok_or_else(|| Failure::not_found(NO_CONVERSATION))?;
        if !current.has(caller) {
            return Err(Failure::forbidden(NO_PARTICIPANT));
        }
        if !current.is_direct() && current.created_by != Some(caller) {
            return Err(Failure::forbidden("Only the creator may archive a group"));
        }
        // With a message that its archiving has not seen it counts as active, and is archived again.
        if !current.is_active && current.archived_seq.is_none_or(|known| known >= seen) {
            return Ok(());
        }
        let change = ConversationChange {
            kind: "archive".to_owned(),
            is_active: false,
            participants: current.participants,
            removed: Vec::new(),
            name: current.name,
            created_by: None,
            by: caller,
            at: Timestamp::now(),
            rev: current.rev + 1,
        };
        if app.store.change_conversation(id, &change, Some(seen)).await?.is_some() {
            // A send that was authorised before may have been stored since.
            if last_seq(&app.store, id).await? > seen {
                app.store.reactivate(id, caller, Timestamp::now()).await?;
            }
            return Ok(());
        }
    }
    Err(keeps_changing())
}

/// Takes a user out of all their groups. One command, and two or more for each.
pub(super) async fn leave_all(app: &App, user: Id) -> Result<(), Failure> {
    for id in app.store.groups_of(user).await? {
        leave(app, user, id).await?;
    }
    Ok(())
}

async fn leave(app: &App, user: Id, id: Id) -> Result<(), Failure> {
    let difference = Difference { name: None, added: Vec::new(), removed: vec![user] };
    for _ in 0..CHANGE_TRIES {
        let Some(current) = app.store.conversation(id).await? else { return Ok(()) };
        if !current.has(user) {
            return Ok(());
        }
        let Some(change) = plan(&current, user, &difference)? else { return Ok(()) };
        if app.store.change_conversation(id, &change, None).await?.is_some() {
            return Ok(());
        }
    }
    Err(keeps_changing())
}

pub(super) async fn last_seq(store: &Store, id: Id) -> Result<i64, Failure> {
    let last = store.last_messages(&[id]).await?;
    Ok(last.first().map_or(Last::NONE.seq, |(_, last)| last.seq))
}

/// The change that a difference comes to, or nothing if all is as wished; refused where it is not the caller's to make.
fn plan(
    current: &Conversation,
    caller: Id,
    difference: &Difference,
) -> Result<Option<ConversationChange>, Failure> {
    if !current.has(caller) {
        return Err(Failure::forbidden(NO_PARTICIPANT));
    }
    if current.is_direct() {
        return Err(Invalid::new("id", "is a direct conversation, which cannot be changed").into());
    }
    let name = difference.name.clone().unwrap_or_else(|| current.name.clone());
    let joining = difference.added.iter().filter(|id| !current.has(**id));
    let (removed, mut participants): (Vec<Id>, Vec<Id>) =
        current.participants.iter().partition(|id| difference.removed.contains(id));
    participants.extend(joining);
    if removed.is_empty() && participants.len() == current.participants.len() && name == current.name {
        return Ok(None);
    }
    if participants.is_empty() && current.participants != [caller] {
        return Err(
            Invalid::new("participants", "must not be empty: only the last member leaves nobody").into()
        );
    }
    if participants.len() > MAX_PARTICIPANTS {
        return Err(TOO_MANY.into());
    }
    if current.created_by != Some(caller) {
        if name != current.name {
            return Err(Failure::forbidden("Only the creator may rename a conversation"));
        }
        if removed.iter().any(|id| *id != caller) {
            return Err(Failure::forbidden("Only the creator may remove participants"));
        }
    }
    // Somebody must be able to rename and to remove; of those who stay the one who is in longest.
    let orphaned = current.created_by.is_some_and(|creator| !participants.contains(&creator));
    let created_by = participants.first().filter(|_| orphaned).copied();
    let rev = current.rev + 1;
    let (kind, at) = ("update".to_owned(), Timestamp::now());
    // The last to leave archives.
    let is_active = current.is_active && !participants.is_empty();
    Ok(Some(ConversationChange {
        kind,
        is_active,
        participants,
        removed,
        name,
        created_by,
        by: caller,
        at,
        rev,
    }))
}

/// Prepares for those who join: the caller must be able to bring them in, and nothing up to `last`, from before their
/// time, is to count as unread. Done before they take part; if the change then fails, a cursor of somebody who is no
/// member harms nobody.
async fn welcome(
    app: &App,
    caller: &User,
    current: &Conversation,
    joining: &[Id],
    last: i64,
) -> Result<(), Failure> {
    if joining.is_empty() {
        return Ok(());
    }
    invitable(app, caller, joining).await?;
    app.store.start_cursors(current.id, joining, last).await?;
    Ok(())
}

fn joining(current: &Conversation, change: &ConversationChange) -> Vec<Id> {
    change.participants.iter().filter(|id| !current.has(**id)).copied().collect()
}

/// Takes those out again whose accounts ended while they were brought in. Whoever deletes an account looks for its
/// groups once more when the user is gone, and this looks for the users when the group is written, so that one of them
/// finds the other. No command where everybody is there.
pub(super) async fn let_go(app: &App, detail: &Detail<'_>, id: Id, joined: &[Id]) -> Result<(), Failure> {
    for gone in detail.gone(joined) {
        leave(app, gone, id).await?;
    }
    Ok(())
}

/// The conversation as it is now; to one who has just left it, closed and without participants.
async fn changed(app: &App, caller: Id, current: Conversation, joined: &[Id]) -> Result<Answer, Failure> {
    if !current.has(caller) {
        if !joined.is_empty() {
            let those = Conversation { participants: joined.to_vec(), ..current.clone() };
            let_go(app, &show(app, caller, those).await?, current.id, joined).await?;
        }
        let left = Conversation { participants: Vec::new(), is_active: false, ..current };
        let detail = show(app, caller, left).await?;
        return Ok(ok(&detail.conversations().pop()));
    }
    let listed = app.store.listed_conversation(current.id, caller).await?;
    let detail = Detail::load(app, caller, listed.into_iter().collect(), Vec::new()).await?;
    let_go(app, &detail, current.id, joined).await?;
    Ok(ok(&detail.conversations().pop()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATOR: Id = Id::from_bytes([1; 12]);
    const MEMBER: Id = Id::from_bytes([2; 12]);
    const OTHER: Id = Id::from_bytes([3; 12]);
    const NEW: Id = Id::from_bytes([4; 12]);

    fn group() -> Conversation {
        let members = vec![CREATOR, MEMBER, OTHER];
        Conversation::new(CREATOR, members, Some("Us".to_owned()), Timestamp::now())
    }

    fn wished(
        current: &Conversation,
        caller: Id,
        wish: &Wish,
    ) -> Result<Option<ConversationChange>, Failure> {
        plan(current, caller, &wish.against(current))
    }

    fn code(caller: Id, wish: &Wish) -> Option<ErrorCode> {
        wished(&group(), caller, wish).err().map(|failure| failure.error.code)
    }

    fn members(ids: &[Id]) -> Wish {
        Wish { name: None, participants: Some(ids.to_vec()) }
    }

    #[test]
    fn the_creator_renames_and_removes_and_others_do_not() {
        let rename = Wish { name: Some(None), participants: None };
        assert_eq!(code(CREATOR, &rename), None);
        assert_eq!(code(MEMBER, &rename), Some(ErrorCode::Forbidden));
        assert_eq!(code(CREATOR, &members(&[CREATOR, MEMBER])), None);
        assert_eq!(code(MEMBER, &members(&[CREATOR, MEMBER])), Some(ErrorCode::Forbidden));
        assert_eq!(code(NEW, &members(&[CREATOR, MEMBER, OTHER, NEW])), Some(ErrorCode::Forbidden));
    }

    #[test]
    fn any_member_adds_and_may_leave() {
        assert_eq!(code(MEMBER, &members(&[CREATOR, MEMBER, OTHER, NEW])), None);
        let change = wished(&group(), MEMBER, &members(&[CREATOR, OTHER])).unwrap().unwrap();
        assert_eq!((change.removed, change.rev, change.by), (vec![MEMBER], 1, MEMBER));
        assert_eq!(change.created_by, None);
    }

    #[test]
    fn tried_anew_a_change_undoes_nobody_elses() {
        let first = group();
        let difference = members(&[CREATOR, MEMBER, NEW]).against(&first);
        let late = Id::from_bytes([5; 12]);
        let name = Some("Them".to_owned());
        let now = Conversation { participants: vec![CREATOR, MEMBER, OTHER, late], name, rev: 1, ..first };
        let change = plan(&now, CREATOR, &difference).unwrap().unwrap();
        assert_eq!(change.participants, [CREATOR, MEMBER, late, NEW]);
        assert_eq!((change.removed, change.name.as_deref(), change.rev), (vec![OTHER], Some("Them"), 2));
        // What somebody else has done already is not done again.
        let done = Conversation { participants: vec![CREATOR, MEMBER, NEW], ..group() };
        assert!(plan(&done, CREATOR, &difference).unwrap().is_none());
    }

    #[test]
    fn only_the_last_member_leaves_nobody_and_the_creators_rights_are_passed_on() {
        assert_eq!(code(CREATOR, &members(&[])), Some(ErrorCode::BadRequest));
        assert_eq!(code(MEMBER, &members(&[])), Some(ErrorCode::BadRequest));
        let change = wished(&group(), CREATOR, &members(&[OTHER, MEMBER])).unwrap().unwrap();
        assert_eq!((change.created_by, change.removed), (Some(MEMBER), vec![CREATOR]));
        let last = Conversation { participants: vec![MEMBER], created_by: Some(MEMBER), ..group() };
        let change = wished(&last, MEMBER, &members(&[])).unwrap().unwrap();
        assert_eq!((change.participants, change.created_by, change.is_active), (vec![], None, false));
    }

    #[test]
    fn no_more_may_join_than_fit() {
        let wish = members(&(0..=MAX_PARTICIPANTS).map(|_| Id::mint()).collect::<Vec<_>>());
        let difference = Difference { removed: Vec::new(), ..wish.against(&group()) };
        let refused = plan(&group(), CREATOR, &difference).unwrap_err();
        assert_eq!(refused.error.code, ErrorCode::BadRequest);
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let same = Wish { name: Some(Some("Us".to_owned())), participants: Some(group().participants) };
        assert!(wished(&group(), MEMBER, &same).unwrap().is_none());
    }

    #[test]
    fn a_direct_conversation_stays_as_it_is() {
        let direct = Conversation::new(CREATOR, vec![CREATOR, MEMBER], None, Timestamp::now());
        let refused = wished(&direct, CREATOR, &members(&[CREATOR])).unwrap_err();
        assert_eq!(refused.error.code, ErrorCode::BadRequest);
    }
}
