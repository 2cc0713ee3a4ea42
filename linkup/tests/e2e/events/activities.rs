//! Who joins and leaves activities.

use serde_json::{Value, json};

use super::{Stage, assert_told, author};
use crate::support::people::{Person, register};
use crate::support::{SOON, eventually};

async fn host(person: &Person) -> Value {
    let tea = json!({ "title": "Tea", "activityType": "social", "dateTime": "2099-06-01T10:00:00.000Z" });
    person.rest.post("/api/activities", &tea).await.ok()
}

async fn go(person: &Person, activity: &Value, how: &str) {
    let path = format!("/api/activities/{}/{how}", activity["id"].as_str().unwrap());
    person.rest.post(&path, &json!({})).await.ok();
}

fn told(activity: &Value, who: &Person, now: &[&Person]) -> Value {
    let now: Vec<Value> = now.iter().map(|person| author(person)).collect();
    json!({
        "activityId": activity["id"], "userId": who.id, "participantCount": now.len(), "updatedParticipants": now,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_take_part_are_told_who_joins_and_leaves_and_nobody_else_is() {
    let stage = Stage::<4>::set().await;
    let [ada, bob, carl, _] = &stage.people;
    let tea = host(ada).await;
    go(bob, &tea, "join").await;
    // Joining again is no news.
    go(bob, &tea, "join").await;
    go(carl, &tea, "join").await;
    go(bob, &tea, "leave").await;
    go(carl, &tea, "leave").await;

    let (bob_joins, carl_joins) = (told(&tea, bob, &[ada, bob]), told(&tea, carl, &[ada, bob, carl]));
    let both = [&bob_joins, &carl_joins];
    assert_told(&stage.told("activity:join").await, &[&both, &both, &[&carl_joins], &[]]);
    let (bob_leaves, carl_leaves) = (told(&tea, bob, &[ada, carl]), told(&tea, carl, &[ada]));
    let both = [&bob_leaves, &carl_leaves];
    assert_told(&stage.told("activity:leave").await, &[&both, &[&bob_leaves], &both, &[]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_ends_leaves_its_activities() {
    let stage = Stage::<2>::set().await;
    let [ada, _] = &stage.people;
    let gone = register(&stage.stack.base(), "Gone").await;
    let tea = host(ada).await;
    go(&gone, &tea, "join").await;
    let password = json!({ "password": "correct horse" });
    gone.rest.delete(&format!("/api/users/{}", gone.id), Some(&password)).await.ok();
    assert_told(&stage.told("activity:leave").await, &[&[&told(&tea, &gone, &[ada])], &[]]);
}

/// The streamer has to look up who takes part, and applies to it what it then reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamer_that_knows_nothing_of_an_activity_tells_the_same() {
    let mut stage = Stage::<2>::set().await;
    let tea = host(&stage.people[0]).await;
    stage.stack.streamer_saved().await;
    stage.stack.stop_streamer().await;
    let [ada, bob] = &stage.people;
    go(bob, &tea, "join").await;
    let expected = told(&tea, bob, &[ada, bob]);
    go(bob, &tea, "leave").await;
    stage.stack.start_streamer();
    let left = told(&tea, bob, &[ada]);
    eventually("the successor catches up", SOON, async || {
        (super::named(&stage.sockets[1][0], "activity:leave").len() == 1).then_some(())
    })
    .await;
    assert_told(&stage.told("activity:join").await, &[&[&expected], &[&expected]]);
    assert_told(&stage.told("activity:leave").await, &[&[&left], &[&left]]);
}
