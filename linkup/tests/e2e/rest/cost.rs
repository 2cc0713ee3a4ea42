//! What the REST API costs: how many commands to MongoDB, for every endpoint, and how MongoDB carries each of them out.
//!
//! | module | holds |
//! |---|---|
//! | [`monitor`] | a store that says what it sends |
//! | [`plan`] | how MongoDB carries a command out |
//! | [`row`] | a request, and what it may cost |
//! | [`people`], [`chats`], [`events`] | the rows: all endpoints, in all their variants |
//! | [`probe`] | the accounts of probes, and sweeps of their messages |
//! | [`presence`] | batches of changes of presence, and sweeps |
//! | [`world`] | a database with something of everything |
//! | [`scale`] | longer answers take no more commands |

mod chats;
mod events;
mod monitor;
mod people;
mod plan;
mod presence;
mod probe;
mod row;
mod scale;
mod world;

use std::fmt::Write as _;

use api::endpoint::ENDPOINTS;
use mongodb::bson::{Document, doc};
use store::upload::Metadata;

use crate::support::{SOON, eventually, mongo_uri};
use monitor::{Monitor, name, tally};
use row::Row;
use world::World;

/// There are more users, conversations, messages and activities than this: whatever looks at as many looks at about all
/// of them, by an index or not.
const ABOUT_ALL: i64 = 300;

/// The only endpoint whose answers may be longer than one of MongoDB's.
const PIECEMEAL: &str = "serve_upload";

/// All endpoints, in all their variants.
async fn rows(world: &World) -> Vec<Row> {
    let mut rows = people::rows(world).await;
    rows.extend(events::rows(world).await);
    rows.extend(chats::rows(world).await);
    rows.push(probe::row(world));
    // What ends an account comes last, so that it does not take anything from under the others.
    rows.sort_by_key(|row| row.endpoint.name() == "delete_user");
    rows
}

/// The endpoints that no row is about.
fn forgotten(rows: &[Row]) -> Vec<String> {
    let named =
        |path: &str, verb| rows.iter().any(|row| row.endpoint.path == path && row.endpoint.verb == verb);
    let forgotten = ENDPOINTS.iter().filter(|endpoint| !named(endpoint.path, endpoint.verb));
    forgotten.map(|endpoint| format!("{} has no row", endpoint.name())).collect()
}

#[tokio::test]
async fn every_endpoint_takes_as_many_commands_as_its_row_says() {
    let world = World::make().await;
    let rows = rows(&world).await;
    let mut problems = forgotten(&rows);
    let mut table = String::from("| route | commands |\n|---|---|\n");
    for row in &rows {
        let (_, commands) = world.monitor.watch(row.ask(&world.node)).await;
        writeln!(table, "| {row} | {} |", commands.len()).unwrap();
        if !row.commands.contains(&commands.len()) {
            let sent = tally(&commands);
            problems.push(format!("{row}: {} instead of {:?}: {sent:?}", commands.len(), row.commands));
        }
        if row.endpoint.name() != PIECEMEAL && commands.iter().any(|command| command.contains_key("getMore"))
        {
            problems.push(format!("{row}: an answer of MongoDB's did not hold all that was asked for"));
        }
    }
    println!("{table}");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn every_query_finds_its_documents_by_an_index() {
    let world = World::make().await;
    let mut problems = Vec::new();
    for row in &rows(&world).await {
        let (_, commands) = world.monitor.watch(row.ask(&world.node)).await;
        for command in &commands {
            let judged = judge(&world, row, command).await;
            problems.extend(judged.into_iter().map(|problem| format!("{row}: {}: {problem}", name(command))));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What is wrong with the plans of a command.
async fn judge(world: &World, row: &Row, command: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    for plan in plan::plans(world.node.store.database(), command).await {
        if plan.sorts && row.may_sort.is_empty() {
            problems.push(format!("documents are put in order after they were read by {:?}", plan.indexes));
        }
        if !plan.walks.is_empty() && row.may_walk.is_empty() {
            problems.push(format!("{:?} is read from its beginning", plan.walks));
        }
        if plan.examined > ABOUT_ALL {
            problems.push(format!("{} documents or keys are looked at", plan.examined));
        }
        problems.extend(plan.faults);
    }
    problems
}

#[tokio::test]
async fn what_is_done_behind_the_answers_finds_its_documents_by_an_index() {
    let World { node, monitor, ada, direct, .. } = World::make().await;
    let store = node.store.clone();
    let behind = async {
        let metadata = Metadata { owner: ada.id, content_type: "image/png".to_owned() };
        let mut upload = store.start_upload(metadata, None);
        upload.write(&[7; 600_000]).await.unwrap();
        drop(upload);
        eventually("what was uploaded is removed", SOON, async || {
            let removed = |command| name(command) == "delete uploads.chunks";
            monitor.so_far().iter().any(removed).then_some(())
        })
        .await;
        ada.say(direct, "hi").await;
        // The views that wait are written now.
        node.stop().await;
    };
    let ((), commands) = monitor.watch(behind).await;
    for command in &commands {
        for plan in plan::plans(store.database(), command).await {
            assert!(plan.faults.is_empty() && plan.walks.is_empty() && !plan.sorts, "{command}: {plan:?}");
        }
    }
    assert_eq!(commands.iter().filter(|command| name(command) == "update conversations").count(), 1);
}

#[tokio::test]
async fn plans_that_read_too_much_are_noticed() {
    let (_, store) = Monitor::connect(&mongo_uri().await).await;
    let plan = async |command: Document| plan::plans(store.database(), &command).await.pop().unwrap();
    let by_index = plan(doc! {"find": "users", "filter": {"email": "x"}, "lsid": 1, "$db": "x"}).await;
    assert!(by_index.faults.is_empty() && !by_index.sorts && by_index.walks.is_empty(), "{by_index:?}");
    assert!(by_index.indexes.iter().all(|index| index == "email"), "{by_index:?}");
    let lookup = doc! {"from": "users", "localField": "x", "foreignField": "bio", "as": "found"};
    for (command, what) in [
        (doc! {"find": "users", "filter": {"bio": "x"}}, "a find"),
        (doc! {"count": "users", "query": {"bio": "x"}}, "a count"),
        (
            doc! {"findAndModify": "users", "query": {"bio": "x"}, "update": {"$set": {"bio": "y"}}},
            "a change",
        ),
        (
            doc! {"update": "users", "updates": [{"q": {"bio": "x"}, "u": {"$set": {"bio": "y"}}}]},
            "an update",
        ),
        (doc! {"delete": "users", "deletes": [{"q": {"bio": "x"}, "limit": 0}]}, "a deletion"),
        (
            doc! {"aggregate": 1, "pipeline": [{"$documents": [{"x": 1}]}, {"$lookup": lookup}], "cursor": {}},
            "a lookup",
        ),
    ] {
        let plan = plan(command).await;
        assert!(!plan.faults.is_empty(), "{what}: {plan:?}");
    }
    let sorted = plan(doc! {"find": "users", "filter": {"terms": "x"}, "sort": {"bio": 1}}).await;
    assert!(sorted.sorts && sorted.faults.is_empty(), "{sorted:?}");
    let walked =
        plan(doc! {"find": "users", "filter": {"bio": "x"}, "sort": {"nameLower": 1}, "limit": 1}).await;
    assert!(walked.walks.iter().any(|index| index == "name") && walked.faults.is_empty(), "{walked:?}");
}
