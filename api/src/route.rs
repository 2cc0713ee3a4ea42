//! Method and path to a [`Route`].

use hyper::Method;
use protocol::Id;

/// A request that the api knows how to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Register,
    Login,
    Me,
    Users,
    ListConversations,
    CreateConversation,
    GetConversation(Id),
    ChangeConversation(Id),
    ListMessages(Id),
    SendMessage(Id),
    MarkRead(Id),
    /// From gateways only.
    Commands,
}

/// Why no route was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// There is nothing at this path.
    NotFound,
    /// There is, but not with this method; these would do.
    Method(&'static str),
    /// The path's identifier is none.
    BadId,
}

impl Route {
    pub(crate) fn find(method: &Method, path: &str) -> Result<Self, Miss> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let choice = |allowed: &'static str, choices: &[(Method, Self)]| {
            let found = choices.iter().find(|(candidate, _)| candidate == method);
            found.map(|(_, route)| *route).ok_or(Miss::Method(allowed))
        };
        let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
        match segments.as_slice() {
            ["api", "auth", "register"] => choice("POST", &[(post, Self::Register)]),
            ["api", "auth", "login"] => choice("POST", &[(post, Self::Login)]),
            ["api", "auth", "me"] => choice("GET", &[(get, Self::Me)]),
            ["api", "users"] => choice("GET", &[(get, Self::Users)]),
            ["api", "conversations"] => {
                choice("GET, POST", &[(get, Self::ListConversations), (post, Self::CreateConversation)])
            }
            ["api", "conversations", text] => {
                let id = id(text)?;
                choice("GET, PUT", &[(get, Self::GetConversation(id)), (put, Self::ChangeConversation(id))])
            }
            ["api", "conversations", text, "messages"] => {
                let id = id(text)?;
                choice("GET, POST", &[(get, Self::ListMessages(id)), (post, Self::SendMessage(id))])
            }
            ["api", "messages", text, "read"] => choice("PUT", &[(put, Self::MarkRead(id(text)?))]),
            ["internal", "commands"] => choice("POST", &[(post, Self::Commands)]),
            _ => Err(Miss::NotFound),
        }
    }

    /// The route's name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Me => "me",
            Self::Users => "users",
            Self::ListConversations => "list_conversations",
            Self::CreateConversation => "create_conversation",
            Self::GetConversation(_) => "get_conversation",
            Self::ChangeConversation(_) => "change_conversation",
            Self::ListMessages(_) => "list_messages",
            Self::SendMessage(_) => "send_message",
            Self::MarkRead(_) => "mark_read",
            Self::Commands => "commands",
        }
    }
}

fn id(text: &str) -> Result<Id, Miss> {
    text.parse().map_err(|_| Miss::BadId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internal_route_is_the_protocols() {
        assert_eq!(Route::find(&Method::POST, protocol::command::PATH), Ok(Route::Commands));
    }

    #[test]
    fn routes_methods_and_identifiers() {
        let id = Id::mint();
        let find = |method: Method, path: &str| Route::find(&method, path);
        assert_eq!(find(Method::GET, &format!("/api/conversations/{id}")), Ok(Route::GetConversation(id)));
        assert_eq!(find(Method::PUT, &format!("/api/messages/{id}/read")), Ok(Route::MarkRead(id)));
        assert_eq!(find(Method::DELETE, "/api/conversations"), Err(Miss::Method("GET, POST")));
        assert_eq!(find(Method::GET, "/api/conversations/12"), Err(Miss::BadId));
        for path in ["/", "", "/api", "/api/auth", "/api/conversations/", "/api//auth/me", "/internal"] {
            assert!(matches!(find(Method::GET, path), Err(Miss::NotFound | Miss::BadId)), "{path}");
        }
    }
}
