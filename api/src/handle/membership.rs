//! Create and change conversations: who takes part in what.

use hyper::Request;
use hyper::body::Incoming;
use protocol::body::Invalid;
use protocol::{ErrorCode, Id, Timestamp};
use store::Store;
use store::conversation::{Listed, direct_key};
use store::document::{Conversation, ConversationChange, Kind};
use store::message::Last;

use super::{NO_CONVERSATION, NO_PARTICIPANT, json_body};
use crate::answer::{Answer, Failure, created, ok};
use crate::app::App;
use crate::detail::Detail;
use crate::fields::{Fields, MAX_PARTICIPANTS};

/// How often a change is tried anew when others change the same conversation at the same time.
const CHANGE_TRIES: usize = 10;

const TOO_MANY: Invalid = Invalid::new("participants", "must not be more than 1000");

/// `POST /api/conversations`: four to seven commands.
pub(super) async fn create(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let body = json_body(app, request).await?;
    let fields = Fields::parse(&body)?;
    let participants = participants(&fields, caller)?;
    let name = fields.optional_name("name")?;
    all_exist(&app.store, &participants).await?;
    let new = conversation(caller, participants, name);
    if new.is_direct() {
        return direct(app, caller, new).await;
    }
    app.store.insert_conversation(&new).await?;
    let detail = show(app, caller, new).await?;
    Ok(created(&detail.conversations().pop()))
}

/// The direct conversation of two people: the one they have, or a new one.
async fn direct(app: &App, caller: Id, new: Conversation) -> Result<Answer, Failure> {
    let stored = app.store.find_or_insert_direct(&new).await?;
    if stored.id == new.id {
        let detail = show(app, caller, stored).await?;
        return Ok(created(&detail.conversations().pop()));
    }
    let listed = app.store.listed_conversation(stored.id, caller).await?;
    let detail = Detail::load(&app.store, caller, listed.into_iter().collect(), Vec::new()).await?;
    Ok(ok(&detail.conversations().pop()))
}

/// A conversation without a message yet.
async fn show(app: &App, caller: Id, conversation: Conversation) -> Result<Detail, Failure> {
    let listed = Listed { size: conversation.participants.len(), conversation, last: None, cursor: None };
    Ok(Detail::load(&app.store, caller, vec![listed], Vec::new()).await?)
}

/// Those whom the body names, and the caller.
fn participants(fields: &Fields, caller: Id) -> Result<Vec<Id>, Invalid> {
    const FIELD: &str = "participants";
    let mut ids = fields.optional_ids(FIELD)?.ok_or(Invalid::new(FIELD, "is required"))?;
    if !ids.contains(&caller) {
        ids.push(caller);
    }
    match ids.len() {
        1 => Err(Invalid::new(FIELD, "must name somebody else")),
        2..=MAX_PARTICIPANTS => Ok(ids),
        _ => Err(TOO_MANY),
    }
}

async fn all_exist(store: &Store, ids: &[Id]) -> Result<(), Failure> {
    if store.profiles(ids).await?.len() == ids.len() {
        Ok(())
    } else {
        Err(Invalid::new("participants", "must be existing users").into())
    }
}

fn conversation(caller: Id, participants: Vec<Id>, name: Option<String>) -> Conversation {
    let now = Timestamp::now();
    let key = match participants.as_slice() {
        [one, other] => Some(direct_key(*one, *other)),
        _ => None,
    };
    Conversation {
        id: Id::mint(),
        kind: if key.is_some() { Kind::Direct } else { Kind::Group },
        // Two people are shown each other's names.
        name: name.filter(|_| key.is_none()),
        participants,
        created_by: Some(caller),
        direct_key: key,
        activity_id: None,
        last_message: None,
        created_at: now,
        updated_at: now,
        is_active: true,
        rev: 0,
        change: None,
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

/// `PUT /api/conversations/:id`: seven commands, four of them to show the result; one more where participants are named,
/// two more where members join, and two to five for each time that somebody else changed it first.
pub(super) async fn change(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let body = json_body(app, request).await?;
    let fields = Fields::parse(&body)?;
    let wish = Wish {
        name: if fields.has("name") { Some(fields.optional_name("name")?) } else { None },
        participants: fields.optional_ids("participants")?,
    };
    let mut difference = None;
    for _ in 0..CHANGE_TRIES {
        // Before the members are read: whoever is not among them then has none of the messages up to here.
        let last = if wish.participants.is_some() { last_seq(&app.store, id).await? } else { Last::NONE.seq };
        let current = app.store.conversation(id).await?;
        let current = current.ok_or_else(|| Failure::not_found(NO_CONVERSATION))?;
        let difference = difference.get_or_insert_with(|| wish.against(&current));
        let Some(change) = plan(&current, caller, difference)? else {
            return changed(app, caller, current).await;
        };
        welcome(app, &current, &change, last).await?;
        if let Some(current) = app.store.change_conversation(id, &change).await? {
            return changed(app, caller, current).await;
        }
    }
    Err(Failure::new(ErrorCode::Conflict, "The conversation keeps changing, please try again"))
}

async fn last_seq(store: &Store, id: Id) -> Result<i64, Failure> {
    let last = store.last_messages(&[id]).await?;
    Ok(last.first().map_or(Last::NONE.seq, |(_, last)| last.seq))
}

/// The change that a difference comes to, or nothing if all is as wished; refused where it is not the caller's to make.
fn plan(
    current: &Conversation,
    caller: Id,
    difference: &Difference,
) -> Result<Option<ConversationChange>, Failure> {
    if !current.is_active {
        return Err(Failure::not_found(NO_CONVERSATION));
    }
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
    Ok(Some(ConversationChange { kind, participants, removed, name, created_by, by: caller, at, rev }))
}

/// Prepares for those who join: they must exist, and nothing up to `last`, from before their time, is to count as unread.
/// Done before they take part; if the change then fails, a cursor of somebody who is no member harms nobody.
async fn welcome(
    app: &App,
    current: &Conversation,
    change: &ConversationChange,
    last: i64,
) -> Result<(), Failure> {
    let joining: Vec<Id> = change.participants.iter().filter(|id| !current.has(**id)).copied().collect();
    if joining.is_empty() {
        return Ok(());
    }
    all_exist(&app.store, &joining).await?;
    app.store.start_cursors(current.id, &joining, last).await?;
    Ok(())
}

/// The conversation as it is now; to one who has just left it, closed and without participants.
async fn changed(app: &App, caller: Id, current: Conversation) -> Result<Answer, Failure> {
    if !current.has(caller) {
        let left = Conversation { participants: Vec::new(), is_active: false, ..current };
        let detail = show(app, caller, left).await?;
        return Ok(ok(&detail.conversations().pop()));
    }
    let listed = app.store.listed_conversation(current.id, caller).await?;
    let detail = Detail::load(&app.store, caller, listed.into_iter().collect(), Vec::new()).await?;
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
        conversation(CREATOR, vec![CREATOR, MEMBER, OTHER], Some("Us".to_owned()))
    }

    fn wished(
        current: &Conversation,
        caller: Id,
        wish: &Wish,
    ) -> Result<Option<ConversationChange>, Failure> {
        plan(current, caller, &wish.against(current))
    }

    fn code(caller: Id, wish: &Wish) -> Option<ErrorCode> {
        wished(&group(), caller, wish).err().map(|failure| failure.0.code)
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
        assert_eq!((change.participants, change.created_by), (vec![], None));
    }

    #[test]
    fn no_more_may_join_than_fit() {
        let wish = members(&(0..=MAX_PARTICIPANTS).map(|_| Id::mint()).collect::<Vec<_>>());
        let difference = Difference { removed: Vec::new(), ..wish.against(&group()) };
        let refused = plan(&group(), CREATOR, &difference).unwrap_err();
        assert_eq!(refused.0.code, ErrorCode::BadRequest);
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let same = Wish { name: Some(Some("Us".to_owned())), participants: Some(group().participants) };
        assert!(wished(&group(), MEMBER, &same).unwrap().is_none());
    }

    #[test]
    fn two_people_are_direct_and_a_direct_conversation_stays_as_it_is() {
        let direct = conversation(CREATOR, vec![CREATOR, MEMBER], Some("x".to_owned()));
        assert!(direct.is_direct() && direct.direct_key.is_some() && direct.name.is_none());
        let refused = wished(&direct, CREATOR, &members(&[CREATOR])).unwrap_err();
        assert_eq!(refused.0.code, ErrorCode::BadRequest);
    }
}
