//! What probes cost.

use mongodb::bson::doc;
use protocol::probe::{Name, PATH};
use protocol::{Id, Timestamp};
use serde_json::json;

use super::plan;
use super::row::Row;
use super::world::{World, messages, watched};

pub(super) fn row(world: &World) -> Row {
    Row::new("probe_accounts", "", &world.ada, PATH, 3).with(json!({"name": "default"}))
}

/// More than are removed at once.
const MANY: i64 = 700;

#[tokio::test]
async fn old_messages_are_found_by_an_index_and_removed_a_bounded_number_at_a_time() {
    let (monitor, node) = watched().await;
    let (store, now) = (&node.store, Timestamp::now());
    let pair = store.probe_pair(&Name::default(), now).await.unwrap();
    // What others have said, in as many conversations as there are of probes and more.
    let [ada, bob] = [node.person("Ada").await, node.person("Bob").await];
    let other = ada.conversation(&[&bob]).await;
    for (conversation, people) in
        [(pair.conversation, pair.users.map(|user| user.id)), (other, [ada.id, bob.id])]
    {
        let said = messages(conversation, &people, MANY);
        store.messages().insert_many(said).await.unwrap();
    }
    let (found, commands) = monitor.watch(store.probe_conversations()).await;
    assert_eq!(found.unwrap(), [pair.conversation]);
    let [command] = &commands[..] else { panic!("{commands:?}") };
    for plan in plan::plans(store.database(), command).await {
        assert!(plan.faults.is_empty() && plan.examined <= 2, "{command}: {plan:?}");
    }
    let mut removed = Vec::new();
    for commands_sent in [3, 3, 2] {
        let (some, commands) = monitor.watch(store.remove_probe_messages(pair.conversation, now)).await;
        removed.push(some.unwrap());
        for command in &commands {
            for plan in plan::plans(store.database(), command).await {
                let bounded = plan.examined <= 1_010;
                assert!(plan.faults.is_empty() && !plan.sorts && bounded, "{command}: {plan:?}");
            }
        }
        assert_eq!(commands.len(), commands_sent, "{commands:?}");
    }
    // The newest one stays.
    assert_eq!(removed, [500, 199, 0]);
    let left = async |conversation: Id| {
        let of = doc! {"conversationId": store::convert::oid(conversation)};
        store.messages().count_documents(of).await.unwrap()
    };
    assert_eq!((left(pair.conversation).await, left(other).await), (1, MANY as u64));
}
