//! Every way to call the api, in one table: what requests are matched with, and what the OpenAPI document is made of.
//!
//! | module | holds |
//! |---|---|
//! | `find` | method and path to an entry of the table |

mod find;

use hyper::Method;
use protocol::body::SendMessage;
use protocol::command::{MAX_BODY, READY_PATH};
use protocol::input::Input;
use serde_json::Value;

use crate::handle::{account, activities, conversations, create, membership, messages, relations, users};

pub(crate) use find::{Call, Miss, ROUTES, find};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Register,
    Login,
    Me,
    ChangePassword,
    EndSessions,
    ListUsers,
    GetUser,
    UpdateUser,
    DeleteUser,
    ListFriends,
    AddFriend,
    RemoveFriend,
    ListBlocks,
    Block,
    Unblock,
    ListConversations,
    CreateConversation,
    GetConversation,
    ChangeConversation,
    ArchiveConversation,
    ListMessages,
    SendMessage,
    EditMessage,
    DeleteMessage,
    MarkRead,
    ListActivities,
    CreateActivity,
    GetActivity,
    UpdateActivity,
    DeleteActivity,
    JoinActivity,
    LeaveActivity,
    ActivityConversation,
    Upload,
    ServeUpload,
    OpenApi,
    ProbeAccounts,
    Commands,
    Ready,
}

/// The methods that are used. HEAD does wherever GET does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Makes something, or does what cannot be said otherwise.
    Post,
    /// Changes something.
    Put,
    /// Takes something away.
    Delete,
}

impl Verb {
    /// The method's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    fn takes(self, method: &Method) -> bool {
        method == self.as_str() || (self == Self::Get && method == Method::HEAD)
    }
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever can reach it.
    Anyone,
    /// Whoever has a user's token.
    User,
    /// Gateways, with a token of theirs. Not part of the public document.
    Gateway,
    /// Probes, with a token of theirs. Not part of the public document.
    Probe,
}

/// The shape of a request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestBody {
    None,
    /// A declared JSON object.
    Json(fn() -> Value),
    /// A file, as it is or in a form.
    File,
}

/// The shape of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Session,
    User,
    Users,
    Conversation,
    Conversations,
    Message,
    Messages,
    Activity,
    Activities,
    Upload,
    Success,
    /// A file, whole or a part of it.
    File,
    /// Some JSON object.
    Object,
}

/// One way to call the api.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) operation: Operation,
    /// The method.
    pub verb: Verb,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Who may call it.
    pub access: Access,
    pub(crate) query: Option<fn() -> Vec<Value>>,
    pub(crate) body: RequestBody,
    /// The largest JSON body that it reads, in bytes.
    pub(crate) max_body: usize,
    /// The statuses of success, with the shape of each.
    pub(crate) answers: &'static [(u16, Shape)],
}

/// Names, addresses and passwords, every character escaped, fit several times.
const SMALL_BODY: usize = 8 << 10;
/// The longest message fits, every character of it escaped as two surrogates (4,000 × 12 bytes), and so do the most
/// participants (1,000 × 27 bytes).
const LARGE_BODY: usize = 64 << 10;

const fn endpoint(
    operation: Operation,
    verb: Verb,
    path: &'static str,
    summary: &'static str,
    answers: &'static [(u16, Shape)],
) -> Endpoint {
    let (query, body, access) = (None, RequestBody::None, Access::User);
    Endpoint { operation, verb, path, summary, access, query, body, max_body: SMALL_BODY, answers }
}

impl Endpoint {
    const fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    const fn max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    const fn body(self, schema: fn() -> Value) -> Self {
        Self { body: RequestBody::Json(schema), ..self }
    }

    const fn file(self) -> Self {
        Self { body: RequestBody::File, ..self }
    }

    const fn query(self, parameters: fn() -> Vec<Value>) -> Self {
        Self { query: Some(parameters), ..self }
    }

    /// Whether it changes something: every method but GET, and the one GET that makes what is not there yet.
    pub(crate) fn writes(&self) -> bool {
        self.verb != Verb::Get || self.operation == Operation::ActivityConversation
    }

    /// Its name in logs and in the document.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = String::new();
        for c in format!("{:?}", self.operation).chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }
}

/// All of them.
pub const ENDPOINTS: &[Endpoint] = {
    use Access::{Anyone, Gateway, Probe};
    use Operation as O;
    use Shape::*;
    use Verb::{Delete, Get, Post, Put};
    &[
        endpoint(O::Register, Post, "/api/auth/register", "Register", &[(201, Session)])
            .access(Anyone)
            .body(account::Register::object_schema),
        endpoint(O::Login, Post, "/api/auth/login", "Sign in", &[(200, Session)])
            .access(Anyone)
            .body(account::Login::object_schema),
        endpoint(O::Me, Get, "/api/auth/me", "The caller", &[(200, User)]),
        endpoint(
            O::ChangePassword,
            Put,
            "/api/auth/password",
            "Change one's password and end all other sessions",
            &[(200, Session)],
        )
        .body(account::ChangePassword::object_schema),
        endpoint(
            O::EndSessions,
            Delete,
            "/api/auth/sessions",
            "End all sessions, this one too",
            &[(200, Success)],
        ),
        endpoint(O::ListUsers, Get, "/api/users", "Find users", &[(200, Users)])
            .query(users::ListUsers::parameters),
        endpoint(O::GetUser, Get, "/api/users/{id}", "One user", &[(200, User)]),
        endpoint(O::UpdateUser, Put, "/api/users/{id}", "Change one's own profile", &[(200, User)])
            .body(users::UpdateUser::object_schema)
            .max_body(LARGE_BODY),
        endpoint(O::DeleteUser, Delete, "/api/users/{id}", "Delete one's own account", &[(200, Success)])
            .body(account::DeleteAccount::object_schema),
        endpoint(
            O::ListFriends,
            Get,
            "/api/users/{id}/friends",
            "One's own friends, or requests",
            &[(200, Users)],
        )
        .query(relations::ListFriends::parameters),
        endpoint(O::AddFriend, Post, "/api/users/{id}/friends/{other}", "Add a friend", &[(200, User)]),
        endpoint(
            O::RemoveFriend,
            Delete,
            "/api/users/{id}/friends/{other}",
            "End a friendship or a request",
            &[(200, User)],
        ),
        endpoint(
            O::ListBlocks,
            Get,
            "/api/users/{id}/blocks",
            "Whom one has blocked oneself",
            &[(200, Users)],
        )
        .query(relations::ListBlocks::parameters),
        endpoint(O::Block, Post, "/api/users/{id}/blocks/{other}", "Block a user", &[(200, User)]),
        endpoint(O::Unblock, Delete, "/api/users/{id}/blocks/{other}", "Unblock a user", &[(200, User)]),
        endpoint(
            O::ListConversations,
            Get,
            "/api/conversations",
            "One's own conversations, the newest first",
            &[(200, Conversations)],
        )
        .query(conversations::ListConversations::parameters),
        endpoint(
            O::CreateConversation,
            Post,
            "/api/conversations",
            "Begin a conversation, or find the one that is there",
            &[(201, Conversation), (200, Conversation)],
        )
        .body(create::CreateConversation::object_schema)
        .max_body(LARGE_BODY),
        endpoint(
            O::GetConversation,
            Get,
            "/api/conversations/{id}",
            "A conversation with a page of its messages",
            &[(200, Conversation)],
        )
        .query(conversations::GetConversation::parameters),
        endpoint(
            O::ChangeConversation,
            Put,
            "/api/conversations/{id}",
            "Rename a group, add or remove members, leave",
            &[(200, Conversation)],
        )
        .body(membership::ChangeConversation::object_schema)
        .max_body(LARGE_BODY),
        endpoint(
            O::ArchiveConversation,
            Delete,
            "/api/conversations/{id}",
            "Archive a conversation until somebody writes again",
            &[(200, Success)],
        ),
        endpoint(
            O::ListMessages,
            Get,
            "/api/conversations/{id}/messages",
            "Messages, the oldest first",
            &[(200, Messages)],
        )
        .query(messages::ListMessages::parameters),
        endpoint(
            O::SendMessage,
            Post,
            "/api/conversations/{id}/messages",
            "Send a message",
            &[(201, Message)],
        )
        .body(SendMessage::object_schema)
        .max_body(LARGE_BODY),
        endpoint(O::EditMessage, Put, "/api/messages/{id}", "Edit one's own message", &[(200, Message)])
            .body(messages::EditMessage::object_schema)
            .max_body(LARGE_BODY),
        endpoint(
            O::DeleteMessage,
            Delete,
            "/api/messages/{id}",
            "Delete one's own message",
            &[(200, Success)],
        ),
        endpoint(
            O::MarkRead,
            Put,
            "/api/messages/{id}/read",
            "Mark a message, and all before it, as read",
            &[(200, Message)],
        ),
        endpoint(O::ListActivities, Get, "/api/activities", "Find activities", &[(200, Activities)])
            .query(activities::ListActivities::parameters),
        endpoint(O::CreateActivity, Post, "/api/activities", "Host an activity", &[(201, Activity)])
            .body(activities::CreateActivity::object_schema)
            .max_body(LARGE_BODY),
        endpoint(O::GetActivity, Get, "/api/activities/{id}", "One activity", &[(200, Activity)]),
        endpoint(
            O::UpdateActivity,
            Put,
            "/api/activities/{id}",
            "Change one's own activity",
            &[(200, Activity)],
        )
        .body(activities::UpdateActivity::object_schema)
        .max_body(LARGE_BODY),
        endpoint(
            O::DeleteActivity,
            Delete,
            "/api/activities/{id}",
            "Cancel one's own activity",
            &[(200, Success)],
        ),
        endpoint(
            O::JoinActivity,
            Post,
            "/api/activities/{id}/join",
            "Join an activity and its conversation",
            &[(200, Activity)],
        ),
        endpoint(
            O::LeaveActivity,
            Post,
            "/api/activities/{id}/leave",
            "Leave an activity and its conversation",
            &[(200, Activity)],
        ),
        endpoint(
            O::ActivityConversation,
            Get,
            "/api/activities/{id}/conversation",
            "Get or create the conversation of an activity",
            &[(200, Conversation)],
        )
        .query(conversations::GetConversation::parameters),
        endpoint(O::Upload, Post, "/api/uploads", "Upload a file", &[(201, Upload)]).file(),
        endpoint(
            O::ServeUpload,
            Get,
            "/api/uploads/{id}/{seal}",
            "An uploaded file",
            &[(200, File), (206, File), (304, File), (416, File)],
        )
        .access(Anyone),
        endpoint(O::OpenApi, Get, "/api/openapi.json", "This document", &[(200, Object)]).access(Anyone),
        endpoint(
            O::ProbeAccounts,
            Post,
            protocol::probe::PATH,
            "The two accounts of a probe, made if need be",
            &[(200, Object)],
        )
        .access(Probe)
        .body(protocol::probe::Ask::object_schema),
        endpoint(O::Commands, Post, "/internal/commands", "A gateway's batch of commands", &[(200, Object)])
            .access(Gateway)
            .max_body(MAX_BODY),
        endpoint(O::Ready, Get, READY_PATH, "Whether commands take effect now", &[(200, Success)])
            .access(Gateway),
    ]
};
