//! What each endpoint says to whom. An endpoint may have several rows, for what can be asked of it in several ways.

use protocol::Id;
use serde_json::{Value, json};

use super::world::{PASSWORD, World};
use crate::rest::fixture::Person;

/// What becomes of a request.
#[derive(Clone, Copy)]
pub(super) enum Expect {
    /// It is refused, with this status, code and message.
    Refused(u16, &'static str, &'static str),
    /// It is answered, with nothing in it of what is others', and nothing changes.
    Blind,
    /// There is nothing to refuse, because of this.
    NotApplicable(&'static str),
}

pub(super) enum Body {
    None,
    Json(fn(&World, &Person) -> Value),
    File,
}

/// Who may make the request as it stands.
pub(super) enum Rightful {
    Ada,
    Gateway,
    Probe,
    Anyone,
    /// Nobody, not even Ada, who is told this.
    Nobody(Expect),
}

use Expect::{Blind, NotApplicable, Refused};

/// One way to call an endpoint.
pub(super) struct Row {
    /// The endpoint's name.
    pub(super) operation: &'static str,
    /// What fills the braces of its path.
    pub(super) path: fn(&World, &Person) -> Vec<String>,
    pub(super) body: Body,
    pub(super) rightful: Rightful,
    /// Why it needs no token, if it needs none.
    pub(super) open: Option<&'static str>,
    pub(super) member: Option<Expect>,
    pub(super) outsider: Option<Expect>,
    pub(super) removed: Option<Expect>,
    pub(super) blocked: Option<Expect>,
}

impl Row {
    fn json(self, json: fn(&World, &Person) -> Value) -> Self {
        Self { body: Body::Json(json), ..self }
    }

    fn file(self) -> Self {
        Self { body: Body::File, ..self }
    }

    fn nobody(self, told_to_ada: Expect) -> Self {
        Self { rightful: Rightful::Nobody(told_to_ada), ..self }
    }

    fn gateway(self) -> Self {
        Self { rightful: Rightful::Gateway, ..self }
    }

    fn probe(self) -> Self {
        Self { rightful: Rightful::Probe, ..self }
    }

    fn open(self, why: &'static str) -> Self {
        Self { open: Some(why), rightful: Rightful::Anyone, ..self }.all(NotApplicable(why))
    }

    /// The same for everybody but Ada.
    fn all(self, expect: Expect) -> Self {
        let expect = Some(expect);
        Self { member: expect, outsider: expect, removed: expect, blocked: expect, ..self }
    }

    /// The same for everybody, Ada too.
    fn everybody(self, expect: Expect) -> Self {
        self.all(expect).nobody(expect)
    }

    /// The same for everybody who does not take part any more, or never did.
    fn others(self, expect: Expect) -> Self {
        let expect = Some(expect);
        Self { outsider: expect, removed: expect, blocked: expect, ..self }
    }

    fn member(self, expect: Expect) -> Self {
        Self { member: Some(expect), ..self }
    }

    fn blocked(self, expect: Expect) -> Self {
        Self { blocked: Some(expect), ..self }
    }
}

fn row(operation: &'static str, path: fn(&World, &Person) -> Vec<String>) -> Row {
    let (member, outsider, removed, blocked) = (None, None, None, None);
    let (body, rightful, open) = (Body::None, Rightful::Ada, None);
    Row { operation, path, body, rightful, open, member, outsider, removed, blocked }
}

fn nothing(_: &World, _: &Person) -> Vec<String> {
    Vec::new()
}

fn ids<const N: usize>(ids: [Id; N]) -> Vec<String> {
    ids.iter().map(Id::to_string).collect()
}

const fn forbidden(message: &'static str) -> Expect {
    Refused(403, "forbidden", message)
}

const NOT_YOURS: Expect = forbidden("This is not your account");
const NO_PARTICIPANT: Expect = forbidden("You are not a participant of this conversation");
const BLOCKED: Expect = forbidden("You cannot write to this person");
const NO_AUTHOR: Expect = forbidden("Only its author may change a message");
const NO_HOST: Expect = forbidden("Only the host may change an activity");
const NOT_TAKING_PART: Expect = forbidden("You do not take part in this activity");
const UNKNOWN: Expect = Refused(404, "not_found", "User not found");

/// Every endpoint.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = accounts();
    rows.extend(relations());
    rows.extend(conversations());
    rows.extend(memberships());
    rows.extend(messages());
    rows.extend(changes());
    rows.extend(activities());
    rows.extend(files());
    rows.push(row("probe_accounts", nothing).json(|_, _| json!({"name": "default"})).probe().all(Refused(
        401,
        "unauthorized",
        "Invalid token",
    )));
    rows.push(
        row("commands", nothing)
            .json(|w, caller| {
                json!({"commands": [
                    {"connect": {"user": caller.id, "generation": 0}},
                    {"send": {
                        "message": Id::mint(), "sender": w.ada.id, "conversation": w.group, "payload": {"content": "forged"},
                    }},
                ]})
            })
            .gateway()
            .all(Refused(401, "unauthorized", "Invalid token")),
    );
    rows.push(row("ready", nothing).gateway().all(Refused(401, "unauthorized", "Invalid token")));
    rows
}

fn accounts() -> Vec<Row> {
    vec![
        row("register", nothing)
            .json(|_, _| json!({"name": "New", "email": format!("{}@example.org", Id::mint()), "password": PASSWORD}))
            .open("one has no token before one is registered"),
        row("login", nothing)
            .json(|w, _| json!({"email": w.email, "password": PASSWORD}))
            .open("one has no token before one is signed in"),
        row("login", nothing)
            .json(|w, _| json!({"email": w.email, "password": "wrong horse"}))
            .open("one has no token before one is signed in")
            .everybody(Refused(401, "unauthorized", "Invalid email or password")),
        row("open_api", nothing).open("it tells what the source tells"),
        row("me", nothing).all(Blind),
        row("change_password", nothing)
            .json(|_, _| json!({"currentPassword": PASSWORD, "newPassword": "another horse"}))
            .all(NotApplicable("there is no way to name another's account")),
        // A token alone, stolen, is not enough.
        row("change_password", nothing)
            .json(|_, _| json!({"currentPassword": "wrong horse", "newPassword": "another horse"}))
            .everybody(forbidden("Invalid password")),
        row("end_sessions", nothing).all(NotApplicable("there is no way to name another's account")),
        row("list_users", nothing).all(Blind),
        row("get_user", |w, _| ids([w.ada.id]))
            .all(NotApplicable("her profile is public; what privacy hides is in `profiles`"))
            .blocked(UNKNOWN),
        row("update_user", |w, _| ids([w.ada.id])).json(|_, _| json!({"bio": "changed"})).all(NOT_YOURS),
        row("delete_user", |w, _| ids([w.ada.id])).json(|_, _| json!({"password": PASSWORD})).all(NOT_YOURS),
        row("delete_user", |_, caller| ids([caller.id]))
            .json(|_, _| json!({"password": "wrong horse"}))
            .everybody(forbidden("Invalid password")),
    ]
}

fn relations() -> Vec<Row> {
    vec![
        row("list_friends", |w, _| ids([w.ada.id])).all(NOT_YOURS),
        row("add_friend", |w, _| ids([w.ada.id, w.eve.id])).all(NOT_YOURS),
        row("add_friend", |w, caller| ids([caller.id, w.ada.id]))
            .nobody(Refused(400, "bad_request", "other: must be somebody else"))
            .all(NotApplicable("anybody may add a public user as a friend"))
            .blocked(UNKNOWN),
        row("remove_friend", |w, _| ids([w.ada.id, w.bob.id])).all(NOT_YOURS),
        row("list_blocks", |w, _| ids([w.ada.id])).all(NOT_YOURS),
        row("block", |w, _| ids([w.ada.id, w.eve.id])).all(NOT_YOURS),
        row("unblock", |w, _| ids([w.ada.id, w.max.id])).all(NOT_YOURS),
    ]
}

fn conversations() -> Vec<Row> {
    vec![
        row("list_conversations", nothing).member(NotApplicable("it is in the member's list")).others(Blind),
        row("create_conversation", nothing)
            .json(|w, _| json!({"participants": [w.ada.id, w.bob.id, w.eve.id]}))
            .all(NotApplicable("anybody may bring public users into a conversation"))
            .blocked(Refused(400, "bad_request", "participants: must be existing users")),
        // Nor does whoever has blocked bring in the one who is blocked.
        row("create_conversation", nothing)
            .json(|w, _| json!({"participants": [w.max.id, w.bob.id, w.eve.id]}))
            .nobody(forbidden("You have blocked one of these people"))
            .all(NotApplicable("only Ada has blocked Max")),
        row("create_conversation", nothing)
            .json(|w, _| json!({"activityId": w.activity}))
            .member(NotApplicable("a member takes part"))
            .others(NOT_TAKING_PART),
        row("get_conversation", |w, _| ids([w.group]))
            .member(NotApplicable("a member takes part"))
            .others(NO_PARTICIPANT),
        row("get_conversation", |w, _| ids([w.direct]))
            .member(NO_PARTICIPANT)
            .others(NO_PARTICIPANT)
            .blocked(NotApplicable("what was said can still be read")),
    ]
}

fn memberships() -> Vec<Row> {
    vec![
        row("change_conversation", |w, _| ids([w.group]))
            .json(|_, _| json!({"name": "changed"}))
            .member(forbidden("Only the creator may rename a conversation"))
            .others(NO_PARTICIPANT),
        row("change_conversation", |w, _| ids([w.group]))
            .json(|w, caller| json!({"participants": [w.bob.id, caller.id]}))
            .member(forbidden("Only the creator may remove participants"))
            .others(NO_PARTICIPANT),
        row("change_conversation", |w, _| ids([w.group]))
            .json(|w, caller| json!({"participants": [w.ada.id, w.bob.id, w.eve.id, caller.id]}))
            .member(NotApplicable("any member may add somebody"))
            .others(NO_PARTICIPANT),
        row("change_conversation", |w, _| ids([w.chat]))
            .json(|w, caller| json!({"participants": [w.ada.id, w.bob.id, w.eve.id, caller.id]}))
            .everybody(Refused(
                400,
                "bad_request",
                "participants: of an activity's conversation are those of the activity",
            ))
            .others(NO_PARTICIPANT),
        row("archive_conversation", |w, _| ids([w.group]))
            .member(forbidden("Only the creator may archive a group"))
            .others(NO_PARTICIPANT),
        row("archive_conversation", |w, _| ids([w.direct]))
            .member(NO_PARTICIPANT)
            .others(NO_PARTICIPANT)
            .blocked(NotApplicable("either may archive a direct conversation")),
    ]
}

fn messages() -> Vec<Row> {
    vec![
        row("list_messages", |w, _| ids([w.group]))
            .member(NotApplicable("a member takes part"))
            .others(NO_PARTICIPANT),
        row("list_messages", |w, _| ids([w.direct]))
            .member(NO_PARTICIPANT)
            .others(NO_PARTICIPANT)
            .blocked(NotApplicable("what was said can still be read")),
        row("send_message", |w, _| ids([w.group]))
            .json(|_, _| json!({"content": "from somebody else"}))
            .member(NotApplicable("a member takes part"))
            .others(NO_PARTICIPANT),
        row("send_message", |w, _| ids([w.direct]))
            .json(|_, _| json!({"content": "from somebody else"}))
            .nobody(BLOCKED)
            .member(NO_PARTICIPANT)
            .others(NO_PARTICIPANT)
            .blocked(BLOCKED),
    ]
}

fn changes() -> Vec<Row> {
    vec![
        row("edit_message", |w, _| ids([w.message]))
            .json(|_, _| json!({"content": "changed"}))
            .member(NO_AUTHOR)
            .others(NO_PARTICIPANT),
        // Who is not a member any more has no say in what they wrote.
        row("edit_message", |w, _| ids([w.message_of_rex]))
            .json(|_, _| json!({"content": "changed"}))
            .nobody(NO_AUTHOR)
            .member(NO_AUTHOR)
            .others(NO_PARTICIPANT),
        // To change what one wrote is to write.
        row("edit_message", |w, _| ids([w.message_of_max]))
            .json(|_, _| json!({"content": "changed"}))
            .nobody(NO_AUTHOR)
            .member(NO_PARTICIPANT)
            .others(NO_PARTICIPANT)
            .blocked(BLOCKED),
        row("delete_message", |w, _| ids([w.message])).member(NO_AUTHOR).others(NO_PARTICIPANT),
        row("delete_message", |w, _| ids([w.message_of_rex]))
            .nobody(NO_AUTHOR)
            .member(NO_AUTHOR)
            .others(NO_PARTICIPANT),
        row("mark_read", |w, _| ids([w.message_of_rex]))
            .member(NotApplicable("a member reads"))
            .others(NO_PARTICIPANT),
        row("mark_read", |w, _| ids([w.message_of_max]))
            .member(NO_PARTICIPANT)
            .others(NO_PARTICIPANT)
            .blocked(NotApplicable("what was said can still be read")),
    ]
}

fn activities() -> Vec<Row> {
    vec![
        row("list_activities", nothing).all(Blind),
        row("create_activity", nothing)
            .json(|_, _| json!({"title": "Go", "activityType": "hobby", "dateTime": "2999-01-01T00:00:00Z"}))
            .all(NotApplicable("anybody may host an activity")),
        row("get_activity", |w, _| ids([w.activity])).all(Blind),
        row("update_activity", |w, _| ids([w.activity]))
            .json(|_, _| json!({"title": "changed"}))
            .all(NO_HOST),
        row("delete_activity", |w, _| ids([w.activity])).all(NO_HOST),
        row("join_activity", |w, _| ids([w.activity]))
            .all(NotApplicable("anybody may join who is not blocked"))
            .blocked(forbidden("You cannot join this activity")),
        row("leave_activity", |w, _| ids([w.activity]))
            .nobody(Refused(409, "conflict", "The host cannot leave, but can cancel the activity"))
            .member(NotApplicable("a member may leave"))
            .others(Blind),
        row("activity_conversation", |w, _| ids([w.activity]))
            .member(NotApplicable("a member takes part"))
            .others(NOT_TAKING_PART),
    ]
}

fn files() -> Vec<Row> {
    const SEALED: &str = "whoever was shown the address may fetch the file, as pictures on pages are";
    const BAD_SEAL: Expect = forbidden("This link is not valid, or has expired");
    let sealed = |path| row("serve_upload", path).open(SEALED);
    vec![
        row("upload", nothing).file().all(NotApplicable("anybody may upload a file")),
        sealed(|w, _| vec![w.upload.to_string(), w.seal.clone()]),
        // Another file's, one that lasts longer, none at all.
        sealed(|w, _| vec![w.group.to_string(), w.seal.clone()]).everybody(BAD_SEAL),
        sealed(|w, _| vec![w.upload.to_string(), format!("f{}", w.seal)]).everybody(BAD_SEAL),
        sealed(|w, _| vec![w.upload.to_string(), w.ada.token.clone()]).everybody(BAD_SEAL),
        sealed(|w, _| vec![w.upload.to_string(), "-".to_owned()]).everybody(BAD_SEAL),
    ]
}
