//! Find users, get one, change one's own profile.

use hyper::Request;
use hyper::body::Incoming;
use protocol::body::Privacy;
use protocol::input::{Field, Input, Line, Link, List, Patch, Problem, Text, field};
use protocol::model::User;
use protocol::{ErrorCode, Id, Timestamp};
use store::bson::{Bson, Document, doc};
use store::index::USER_USERNAME;
use store::user::{MAX_INTERESTS, Order, Search, UserChange};

use super::{input, query};
use crate::answer::{Answer, Failure, ok};
use crate::app::{App, NOT_YOURS};
use crate::render::Pen;
use crate::request::{Limit, PageNumber, Window, Words, stored_link};

protocol::choice! {
    /// The orders of users.
    pub(crate) enum Sort {
        /// By name.
        Name = "name",
        /// By score, the highest first: the leaderboard.
        Score = "score",
    }
}

protocol::input! {
    /// The query of `GET /api/users`.
    pub(crate) struct ListUsers {
        /// Words with which words of the name or the handle begin.
        search / "search": Option<Words>,
        /// In which order; by name where nothing is said.
        sort / "sort": Option<Sort>,
        /// Which page, from 1.
        page / "page": Option<PageNumber>,
        /// How many a page has; 20 where nothing is said.
        limit / "limit": Option<Limit>,
    }
}

protocol::input! {
    /// A user's settings, as far as they are to change.
    pub(crate) struct UpdateSettings {
        /// Whether the user wants notifications.
        notifications / "notifications": Option<bool>,
        /// Who sees the profile.
        privacy / "privacy": Option<Privacy>,
    }
}

impl Field for UpdateSettings {
    const REQUIRED: bool = true;
    fn read(value: Option<field::Value>) -> Result<Self, Problem> {
        field::object(value)
    }
    fn schema() -> field::Value {
        Self::object_schema()
    }
}

/// A unique handle, in lower case: 3 to 40 plain letters, digits, dots, hyphens and underscores, a letter or digit
/// first.
#[derive(Clone, Debug)]
pub(crate) struct Handle(String);

impl Field for Handle {
    const REQUIRED: bool = true;
    fn read(value: Option<field::Value>) -> Result<Self, Problem> {
        let handle = field::text(value)?.to_lowercase();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = (3..=40).contains(&handle.len())
            && handle.starts_with(plain)
            && handle.chars().all(|c| plain(c) || matches!(c, '.' | '-' | '_'));
        if good {
            Ok(Self(handle))
        } else {
            Err("must have 3 to 40 plain letters, digits, dots, hyphens or underscores".into())
        }
    }
    fn schema() -> field::Value {
        serde_json::json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{2,39}$"})
    }
}

/// The most interests that a user can have, and the longest of them.
type Interests = List<Line<1, 40>, MAX_INTERESTS>;

protocol::input! {
    /// The body of `PUT /api/users/:id`: what is missing stays as it is.
    pub(crate) struct UpdateUser {
        /// The displayed name.
        name / "name": Option<Line<1, 80>>,
        /// The unique handle.
        username / "username": Option<Handle>,
        /// Address of a picture; null takes it away.
        avatar / "avatar": Patch<Link>,
        /// Free text about the user.
        bio / "bio": Option<Text<0, 1_000>>,
        /// What the user cares for.
        interests / "interests": Option<Interests>,
        /// Where the user lives.
        location / "location": Option<Line<0, 100>>,
        /// What the user does.
        occupation / "occupation": Option<Line<0, 100>>,
        /// The user's settings.
        settings / "settings": Option<UpdateSettings>,
    }
}

/// `GET /api/users`: two commands.
pub(super) async fn list(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let ListUsers { search, sort, page, limit } = query(request)?;
    let Window { skip, limit } = Window::new(page, limit);
    let words = search.map_or_else(String::new, |words| words.0);
    let order = if sort == Some(Sort::Score) { Order::Score } else { Order::Name };
    let found = app.store.search_users(&caller, &Search { words: &words, order, skip, limit }).await?;
    let pen = Pen::new(&app.config.links);
    let users: Vec<User> = found.into_iter().filter_map(|seen| pen.seen(&caller, seen)).collect();
    Ok(ok(&users))
}

/// `GET /api/users/:id`: two commands, one for oneself.
pub(super) async fn get(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let pen = Pen::new(&app.config.links);
    if caller.id == id {
        return Ok(ok(&pen.own(caller)));
    }
    let seen = app.store.seen_user(caller.id, id).await?;
    let user = seen.and_then(|seen| pen.seen(&caller, seen));
    Ok(ok(&user.ok_or_else(no_user)?))
}

/// The same answer for a user who does not exist and for one who is hidden.
pub(super) fn no_user() -> Failure {
    Failure::not_found(protocol::code::text::USER_NOT_FOUND)
}

/// `PUT /api/users/:id`: two commands, one more where name or handle change.
pub(super) async fn update(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    if caller != id {
        return Err(Failure::forbidden(NOT_YOURS));
    }
    let update: UpdateUser = input(app, request).await?;
    let change = change(app, update)?;
    let pen = Pen::new(&app.config.links);
    match app.store.update_user(id, &change).await {
        Ok(Some(user)) => Ok(ok(&pen.own(user))),
        Ok(None) => Err(Failure::unauthorized(protocol::code::text::USER_NOT_FOUND)),
        Err(error) if error.is_duplicate_in(USER_USERNAME) => {
            Err(Failure::new(ErrorCode::Conflict, "This username is taken"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Every field is set on its own, so that two updates of different fields do not undo each other.
fn change(app: &App, update: UpdateUser) -> Result<UserChange, Failure> {
    let mut fields: Document = doc! {};
    let mut set = |name: &str, value: Option<Bson>| {
        if let Some(value) = value {
            fields.insert(name, value);
        }
    };
    let avatar = match update.avatar {
        Patch::Keep => None,
        Patch::Clear => Some(Bson::Null),
        Patch::Set(Link(link)) => Some(stored_link(&app.config.links, link, "avatar")?.into()),
    };
    set("avatar", avatar);
    set("bio", update.bio.map(|bio| bio.0.into()));
    set("interests", update.interests.map(|interests| interests_of(interests).into()));
    set("location", update.location.map(|location| location.0.into()));
    set("occupation", update.occupation.map(|occupation| occupation.0.into()));
    if let Some(settings) = update.settings {
        set("settings.notifications", settings.notifications.map(Bson::from));
        set("settings.privacy", settings.privacy.map(|privacy| privacy.as_str().into()));
    }
    let (name, username) = (update.name.map(|name| name.0), update.username.map(|handle| handle.0));
    Ok(UserChange { name, username, fields, at: Timestamp::now() })
}

/// Each interest once, whatever the case of its letters.
fn interests_of(interests: Interests) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for Line(interest) in interests.0 {
        if !kept.iter().any(|known| known.to_lowercase() == interest.to_lowercase()) {
            kept.push(interest);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_plain_and_in_lower_case() {
        let read = |text: &str| Handle::read(Some(text.into())).map(|handle| handle.0);
        assert_eq!(read("Ada.L-1").unwrap(), "ada.l-1");
        for bad in ["", "ab", "-ada", "a b c", "ädä", "a$ne", &"x".repeat(41)] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_interest_is_kept_once() {
        let line = |text: &str| Line(text.to_owned());
        assert_eq!(interests_of(List(vec![line("Tea"), line("tea"), line("go")])), ["Tea", "go"]);
    }
}
