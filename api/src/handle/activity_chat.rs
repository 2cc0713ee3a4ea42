//! The conversations of activities: made when somebody first asks for one, and with the same participants as the
//! activity.
//!
//! Taking part in the activity is what counts and is written first; the conversation *follows* it. Whoever changes the
//! participants makes it follow afterwards, and whoever makes the conversation looks at the participants again after
//! it is there, so that under any race the last of them leaves it right.

use hyper::Request;
use hyper::body::Incoming;
use protocol::{Id, Timestamp};
use store::document::{Activity, Conversation, ConversationChange};

use super::activities::{archive_conversation, no_activity};
use super::conversations::with_messages;
use super::membership::{CHANGE_TRIES, keeps_changing, last_seq};
use crate::answer::{Answer, Failure};
use crate::app::App;

/// `GET /api/activities/:id/conversation`: six commands of an empty one, up to two more where it has messages, and some
/// more where it has to be made or to catch up.
pub(super) async fn get(app: &App, request: &Request<Incoming>, id: Id) -> Result<Answer, Failure> {
    let caller = app.caller(request.headers()).await?.id;
    let (conversation, _) = ensure(app, id, caller).await?;
    with_messages(app, request, caller, conversation.id).await
}

/// The conversation of an activity in which `caller` takes part, and whether it was made just now.
pub(super) async fn ensure(app: &App, id: Id, caller: Id) -> Result<(Conversation, bool), Failure> {
    let activity = app.store.activity(id).await?.ok_or_else(no_activity)?;
    if !activity.participants.contains(&caller) {
        return Err(Failure::forbidden("You do not take part in this activity"));
    }
    let new = conversation_of(&activity);
    let mut found = app.store.conversation_of_activity(id).await?;
    if found.is_none() {
        found = Some(app.store.find_or_insert_for_activity(&new).await?);
    }
    let found = found.ok_or_else(no_activity)?;
    if activity.conversation_id != Some(found.id) {
        app.store.link_activity(id, found.id).await?;
    }
    let made = found.id == new.id;
    // Whoever cancels the activity looks for its conversation when it is gone, and this looks for the activity when the
    // conversation is there, so that one of them finds the other.
    if made && app.store.activity(id).await?.is_none() {
        archive_conversation(app, &activity).await?;
        return Err(no_activity());
    }
    // Who just made it looks again; whoever finds it as it should be need not.
    if made || catch_up(&found, &activity, caller).is_some() {
        let now = follow_in(app, id, found.id, caller).await?;
        return Ok((now.unwrap_or(found), made));
    }
    Ok((found, made))
}

/// A group, however few take part by now.
fn conversation_of(activity: &Activity) -> Conversation {
    let host = activity.host_id;
    Conversation {
        participants: activity.participants.clone(),
        activity_id: Some(activity.id),
        ..Conversation::new(host, vec![host], Some(activity.title.clone()), Timestamp::now())
    }
}

/// Makes the conversation of an activity, if there is one, have the activity's participants. Four commands where they
/// are the same already.
pub(super) async fn follow(app: &App, activity: Id, by: Id) -> Result<(), Failure> {
    if let Some(conversation) = app.store.conversation_of_activity(activity).await? {
        follow_in(app, activity, conversation.id, by).await?;
    }
    Ok(())
}

/// The same, where the conversation is known. The conversation afterwards, if it is still there.
async fn follow_in(app: &App, activity: Id, id: Id, by: Id) -> Result<Option<Conversation>, Failure> {
    for _ in 0..CHANGE_TRIES {
        // In this order: whoever joins has none of the messages up to here, and whatever changes after the activity
        // was read makes the conversation follow by itself.
        let last = last_seq(&app.store, id).await?;
        let Some(current) = app.store.conversation(id).await? else { return Ok(None) };
        let Some(activity) = app.store.activity(activity).await? else { return Ok(Some(current)) };
        let Some(change) = catch_up(&current, &activity, by) else { return Ok(Some(current)) };
        let joining: Vec<Id> = change.participants.iter().filter(|id| !current.has(**id)).copied().collect();
        if !joining.is_empty() {
            app.store.start_cursors(id, &joining, last).await?;
        }
        if let Some(changed) = app.store.change_conversation(id, &change, None).await? {
            return Ok(Some(changed));
        }
    }
    Err(keeps_changing())
}

/// What it takes for a conversation to have an activity's participants; nothing if it has them.
fn catch_up(current: &Conversation, activity: &Activity, by: Id) -> Option<ConversationChange> {
    let participants = activity.participants.clone();
    let removed: Vec<Id> =
        current.participants.iter().filter(|id| !participants.contains(id)).copied().collect();
    if removed.is_empty() && participants.len() == current.participants.len() {
        return None;
    }
    let host = activity.host_id;
    Some(ConversationChange {
        kind: "update".to_owned(),
        is_active: current.is_active,
        participants,
        removed,
        name: current.name.clone(),
        created_by: (current.created_by != Some(host)).then_some(host),
        by,
        at: Timestamp::now(),
        rev: current.rev + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_catches_up_with_its_activity_and_then_rests() {
        let [host, guest, gone] = [1, 2, 3].map(|n| Id::from_bytes([n; 12]));
        let now = Timestamp::now();
        let activity = Activity {
            id: Id::mint(),
            host_id: host,
            title: "Tea".to_owned(),
            description: String::new(),
            activity_type: "social".to_owned(),
            location_type: String::new(),
            date_time: now,
            duration: 60,
            max_participants: 3,
            participants: vec![host, guest],
            conversation_id: None,
            created_at: now,
            updated_at: now,
            change: None,
        };
        let made = conversation_of(&activity);
        assert!(
            !made.is_direct() && made.direct_key.is_none(),
            "two people at tea are no direct conversation"
        );
        assert!(catch_up(&made, &activity, host).is_none());
        let behind = Conversation { participants: vec![host, gone], ..made };
        let change = catch_up(&behind, &activity, guest).unwrap();
        assert_eq!((change.participants, change.removed, change.rev), (vec![host, guest], vec![gone], 1));
    }
}
