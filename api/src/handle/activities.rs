//! Activities: find, host, join, leave.

use hyper::Request;
use hyper::body::Incoming;
use protocol::body::ActivityType;
use protocol::input::{Line, Text, Whole};
use protocol::model::UserSummary;
use protocol::{Id, Timestamp, model};
use rustc_hash::{FxHashMap, FxHashSet};
use store::StoreError;
use store::activity::{ActivityFilter, Joined, ListedActivity, MAX_PARTICIPANTS};
use store::bson::{Bson, Document, doc};
use store::convert::date;
use store::document::{Activity, ActivityChange, Profile, Seen, User};

use super::{NO_ACTIVITY, activity_chat, input, membership, query};
use crate::answer::{Answer, Failure, created, done, ok};
use crate::app::App;
use crate::render::{Pen, Sight, compatibility};
use crate::request::{Limit, PageNumber, Window};

/// How long an activity takes where nothing is said, in minutes.
const DEFAULT_DURATION: i64 = 60;
/// How many may take part where nothing is said.
const DEFAULT_PARTICIPANTS: i64 = 10;

const NO_HOST: &str = "Only the host may change an activity";

/// A title.
type Title = Line<1, 120>;
/// A description.
type Description = Text<0, 2_000>;
/// A kind of place.
type Place = Line<0, 100>;
/// Minutes, up to a week.
type Minutes = Whole<1, 10_080>;
/// How many people.
type People = Whole<1, MAX_PARTICIPANTS>;

protocol::input! {
    /// The query of `GET /api/activities`.
    pub(crate) struct ListActivities {
        /// Of this type.
        activity_type / "activityType": Option<ActivityType>,
        /// Of this host.
        host / "hostId": Option<Id>,
        /// With this participant.
        participant / "participant": Option<Id>,
        /// Beginning at this time or later; from now on where nothing is said.
        from / "from": Option<Timestamp>,
        /// Beginning before this time.
        to / "to": Option<Timestamp>,
        /// Which page, from 1.
        page / "page": Option<PageNumber>,
        /// How many a page has; 20 where nothing is said.
        limit / "limit": Option<Limit>,
    }
}

protocol::input! {
    /// The body of `POST /api/activities`.
    pub(crate) struct CreateActivity {
        /// What it is called.
        title / "title": Title,
        /// What it is about.
        description / "description": Option<Description>,
        /// Its type.
        activity_type / "activityType": ActivityType,
        /// Where it takes place.
        location_type / "locationType": Option<Place>,
        /// When it begins.
        date_time / "dateTime": Timestamp,
        /// How long it takes, in minutes; 60 where nothing is said.
        duration / "duration": Option<Minutes>,
        /// How many may take part, the host included; 10 where nothing is said.
        max_participants / "maxParticipants": Option<People>,
    }
}

protocol::input! {
    /// The body of `PUT /api/activities/:id`: what is missing stays as it is.
    pub(crate) struct UpdateActivity {
        /// What it is called.
        title / "title": Option<Title>,
        /// What it is about.
        description / "description": Option<Description>,
        /// Its type.
        activity_type / "activityType": Option<ActivityType>,
        /// Where it takes place.
        location_type / "locationType": Option<Place>,
        /// When it begins.
        date_time / "dateTime": Option<Timestamp>,
        /// How long it takes, in minutes.
        duration / "duration": Option<Minutes>,
        /// How many may take part, the host included; not fewer than do.
        max_participants / "maxParticipants": Option<People>,
    }
}

/// `GET /api/activities`: four commands, one more for each person who is asked for and is not the caller.
pub(super) async fn list(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let asked: ListActivities = query(request)?;
    let Window { skip, limit } = Window::new(asked.page, asked.limit);
    let filter = ActivityFilter {
        activity_type: asked.activity_type.map(ActivityType::as_str),
        host: asked.host,
        participant: asked.participant,
        from: Some(asked.from.unwrap_or_else(Timestamp::now)),
        to: asked.to,
    };
    // Where somebody who hides will be is not to be found by asking for them.
    for person in [filter.host, filter.participant].into_iter().flatten().filter(|id| *id != caller.id) {
        let seen = app.store.seen_user(caller.id, person).await?;
        if seen.is_none_or(|seen| Sight::of(&caller, &seen) == Sight::Nothing) {
            return Ok(ok(&Vec::<model::Activity<'_>>::new()));
        }
    }
    let listed = app.store.activities_page(&filter, skip, limit).await?;
    let cast = Cast::load(app, caller, &listed).await?;
    Ok(ok(&listed.iter().map(|listed| cast.render(listed)).collect::<Vec<_>>()))
}

/// `POST /api/activities`: four commands.
pub(super) async fn create(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let body: CreateActivity = input(app, request).await?;
    let now = Timestamp::now();
    let activity = Activity {
        id: Id::mint(),
        host_id: caller.id,
        title: body.title.0,
        description: body.description.map_or_else(String::new, |text| text.0),
        activity_type: body.activity_type.as_str().to_owned(),
        location_type: body.location_type.map_or_else(String::new, |place| place.0),
        date_time: body.date_time,
        duration: body.duration.map_or(DEFAULT_DURATION, |minutes| minutes.0),
        max_participants: body.max_participants.map_or(DEFAULT_PARTICIPANTS, |people| people.0),
        participants: vec![caller.id],
        conversation_id: None,
        created_at: now,
        updated_at: now,
        change: None,
    };
    app.store.insert_activity(&activity).await?;
    let listed = [ListedActivity::from(activity)];
    let cast = Cast::load(app, caller, &listed).await?;
    let_go(app, &cast).await?;
    Ok(created(&cast.render(&listed[0])))
}

/// `GET /api/activities/:id`: four commands.
pub(super) async fn get(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let activity = app.store.activity(id).await?.ok_or_else(no_activity)?;
    shown(app, caller, activity).await
}

/// `PUT /api/activities/:id`: five commands. Every field is set on its own, so that two updates of different fields do
/// not undo each other.
pub(super) async fn update(app: &App, request: Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    let body: UpdateActivity = input(app, request).await?;
    hosted(app, caller.id, id).await?;
    let change = ActivityChange { kind: "update".to_owned(), user: caller.id, at: Timestamp::now() };
    match app.store.update_activity(id, fields(body), &change).await? {
        Some(activity) => shown(app, caller, activity).await,
        None => match app.store.activity(id).await? {
            Some(_) => Err(Failure::conflict("More people take part already")),
            None => Err(no_activity()),
        },
    }
}

fn fields(body: UpdateActivity) -> Document {
    let mut fields = doc! {};
    let mut set = |name: &str, value: Option<Bson>| {
        if let Some(value) = value {
            fields.insert(name, value);
        }
    };
    set("title", body.title.map(|title| title.0.into()));
    set("description", body.description.map(|text| text.0.into()));
    set("activityType", body.activity_type.map(|kind| kind.as_str().into()));
    set("locationType", body.location_type.map(|place| place.0.into()));
    set("dateTime", body.date_time.map(|time| date(time).into()));
    set("duration", body.duration.map(|minutes| minutes.0.into()));
    set("maxParticipants", body.max_participants.map(|people| people.0.into()));
    fields
}

/// `DELETE /api/activities/:id`: five commands, and six more where it has a conversation.
pub(super) async fn delete(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let activity = hosted(app, caller, id).await?;
    cancel(app, &activity).await?;
    Ok(done())
}

/// The conversation goes first: where that fails, the activity is still there and can be cancelled again. It is looked
/// for once more when the activity is gone: somebody may have made it meanwhile, see [`activity_chat::ensure`].
async fn cancel(app: &App, activity: &Activity) -> Result<(), Failure> {
    archive_conversation(app, activity).await?;
    app.store.delete_activity(activity.id).await?;
    archive_conversation(app, activity).await
}

/// Archives the conversation of an activity, if there is one. One command, two more where it is archived already and
/// four where it is not.
pub(super) async fn archive_conversation(app: &App, activity: &Activity) -> Result<(), Failure> {
    let found = app.store.conversation_of_activity(activity.id).await?;
    let Some(conversation) = found else { return Ok(()) };
    match membership::archive_as(app, activity.host_id, conversation.id).await {
        // The host left it by way of an older activity, or it was passed on: then it is not the host's to archive.
        Err(refused) if refused.error.code == protocol::ErrorCode::Forbidden => Ok(()),
        archived => archived,
    }
}

/// `POST /api/activities/:id/join`: seven commands, and five where its conversation has to be joined.
pub(super) async fn join(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    app.admit_change(caller.id)?;
    let activity = app.store.activity(id).await?.ok_or_else(no_activity)?;
    let host = app.store.seen_user(caller.id, activity.host_id).await?;
    if host.is_some_and(|host| host.blocks_viewer) || caller.blocked.contains(&activity.host_id) {
        return Err(Failure::forbidden("You cannot join this activity"));
    }
    match app.store.join_activity(id, caller.id, Timestamp::now()).await? {
        Joined::Yes(activity) => {
            activity_chat::follow(app, id, caller.id).await?;
            let listed = [ListedActivity::from(*activity)];
            let cast = Cast::load(app, caller, &listed).await?;
            let_go(app, &cast).await?;
            Ok(ok(&cast.render(&listed[0])))
        }
        Joined::Full => Err(Failure::conflict("This activity is full")),
        Joined::Missing => Err(no_activity()),
    }
}

/// `POST /api/activities/:id/leave`: five commands, and four where its conversation has to be left.
pub(super) async fn leave(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.calling_user(request.headers()).await?;
    app.admit_change(caller.id)?;
    let left = app.store.leave_activity(id, caller.id, Timestamp::now()).await?;
    let activity = left.ok_or_else(no_activity)?;
    if activity.host_id == caller.id {
        return Err(Failure::conflict("The host cannot leave, but can cancel the activity"));
    }
    activity_chat::follow(app, id, caller.id).await?;
    shown(app, caller, activity).await
}

/// Cancels what a user hosts and leaves what others host. A handful of commands for each.
pub(super) async fn leave_all(app: &App, user: Id) -> Result<(), Failure> {
    for activity in app.store.activities_of(user).await? {
        if activity.host_id == user {
            cancel(app, &activity).await?;
        } else {
            app.store.leave_activity(activity.id, user, Timestamp::now()).await?;
            activity_chat::follow(app, activity.id, user).await?;
        }
    }
    Ok(())
}

/// The same for a caller whose account ended while they began to host or to take part: see [`membership::let_go`]. No
/// command where they are there.
async fn let_go(app: &App, cast: &Cast<'_>) -> Result<(), Failure> {
    let caller = cast.caller.id;
    if cast.people.contains_key(&caller) { Ok(()) } else { leave_all(app, caller).await }
}

async fn hosted(app: &App, caller: Id, id: Id) -> Result<Activity, Failure> {
    let activity = app.store.activity(id).await?.ok_or_else(no_activity)?;
    if activity.host_id == caller { Ok(activity) } else { Err(Failure::forbidden(NO_HOST)) }
}

pub(super) fn no_activity() -> Failure {
    Failure::not_found(NO_ACTIVITY)
}

async fn shown(app: &App, caller: User, activity: Activity) -> Result<Answer, Failure> {
    let listed = [ListedActivity::from(activity)];
    let cast = Cast::load(app, caller, &listed).await?;
    Ok(ok(&cast.render(&listed[0])))
}

/// Who appears in activities.
struct Cast<'a> {
    pen: Pen<'a>,
    caller: User,
    people: FxHashMap<Id, Profile>,
    hosts: FxHashMap<Id, Seen>,
}

impl<'a> Cast<'a> {
    /// Two commands, both at once.
    async fn load(app: &'a App, caller: User, listed: &[ListedActivity]) -> Result<Self, StoreError> {
        let activities = || listed.iter().map(|listed| &listed.activity);
        let hosts: FxHashSet<Id> = activities().map(|activity| activity.host_id).collect();
        let people: FxHashSet<Id> =
            activities().flat_map(|activity| &activity.participants).chain(&hosts).copied().collect();
        let (hosts, people): (Vec<Id>, Vec<Id>) = (hosts.into_iter().collect(), people.into_iter().collect());
        let (people, hosts) =
            tokio::try_join!(app.store.profiles(&people), app.store.seen_users(caller.id, &hosts))?;
        Ok(Self {
            pen: Pen::new(&app.config.links),
            caller,
            people: people.into_iter().map(|profile| (profile.id, profile)).collect(),
            hosts: hosts.into_iter().map(|seen| (seen.id, seen)).collect(),
        })
    }

    fn render<'b>(&'b self, listed: &'b ListedActivity) -> model::Activity<'b> {
        let activity = &listed.activity;
        // Without a status: everybody sees activities, and not everybody is to see who is online.
        let person = |id: Id| {
            self.people.get(&id).map_or_else(|| UserSummary::gone(id), |profile| self.pen.author(profile))
        };
        let host = self.hosts.get(&activity.host_id).filter(|host| host.id != self.caller.id);
        // Interests that are hidden are not told by what they have in common with others.
        let host = host.filter(|host| Sight::of(&self.caller, host) == Sight::Full);
        model::Activity {
            mongo_id: activity.id,
            id: activity.id,
            host_id: activity.host_id,
            host: person(activity.host_id),
            title: activity.title.as_str().into(),
            description: activity.description.as_str().into(),
            activity_type: activity.activity_type.as_str().into(),
            location_type: activity.location_type.as_str().into(),
            date_time: activity.date_time,
            duration: activity.duration,
            max_participants: activity.max_participants,
            participants: activity.participants.iter().map(|id| person(*id)).collect(),
            participant_count: listed.size as i64,
            compatibility: host.map(|host| compatibility(&self.caller.interests, &host.interests)),
            conversation_id: activity.conversation_id,
            created_at: activity.created_at,
            updated_at: activity.updated_at,
        }
    }
}
