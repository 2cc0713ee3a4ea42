//! Whatever is asked, the answer is one that the api's document knows, and nobody else notices: every operation is fed
//! with generated bodies, queries and paths. (That answers are as the document says, `Rest` itself sees to.)
//!
//! | module | holds |
//! |---|---|
//! | [`case`] | what is generated |

mod case;

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestCaseResult, TestRunner};
use protocol::Id;
use serde_json::{Value, json};

use self::case::{Case, Place, cases};
use super::access::quiet_node;
use super::access::world::{World, person};
use super::fixture::{Node, Person, assert_gapless, id};
use super::hostile::document::{Operation, operations};
use crate::support::rest::Reply;

/// The same cases every time, so that a failure is nobody's luck; another number makes others.
const SEED: u64 = 20_261_124;
const SEED_VARIABLE: &str = "PROPTEST_RNG_SEED";
/// How many cases each operation gets.
const CASES: u32 = 20;

#[test]
fn whatever_is_asked_the_answer_is_one_that_the_document_knows() {
    let seed = env::var(SEED_VARIABLE).map_or(SEED, |seed| seed.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let node = runtime.block_on(quiet_node());
    let bystanders = runtime.block_on(Bystanders::meet(&node));
    let mut reached = Vec::new();
    for operation in operations() {
        let scene = runtime.block_on(Scene::set(&node, &bystanders, operation));
        let config = Config {
            cases: CASES,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            max_shrink_iters: 200,
            ..Config::default()
        };
        let strategy = cases(&scene.operation, &scene.known());
        let outcome = TestRunner::new(config).run(&strategy, |case| runtime.block_on(scene.attempt(case)));
        if let Err(error) = outcome {
            panic!("{} with {SEED_VARIABLE}={seed}: {error}", scene.operation.name);
        }
        runtime.block_on(scene.is_in_order());
        if scene.accepted.into_inner() > 0 {
            reached.push(scene.operation.name);
        }
    }
    // If next to nothing gets past the checks of input, what is behind them was not tried.
    assert!(reached.len() > 25, "only these were reached: {reached:?}");
    runtime.block_on(bystanders.noticed_nothing());
}

/// Two people whose conversation is none of anybody's business.
struct Bystanders {
    people: [Person; 2],
    conversation: Id,
    message: Id,
    /// What each of them saw of it at first.
    before: [Value; 2],
}

impl Bystanders {
    async fn meet(node: &Node) -> Self {
        let people = [node.person("Cyn").await, node.person("Dan").await];
        let conversation = people[0].conversation(&[&people[1]]).await;
        let message = id(&people[0].say(conversation, "one").await);
        people[1].rest.put(&format!("/api/messages/{message}/read"), &json!({})).await.ok();
        people[0].say(conversation, "two").await;
        let before = [look(&people[0], conversation).await, look(&people[1], conversation).await];
        assert_eq!(before[1]["listed"]["unreadCount"], 1);
        Self { people, conversation, message, before }
    }

    async fn noticed_nothing(&self) {
        for (person, before) in self.people.iter().zip(&self.before) {
            assert_eq!(look(person, self.conversation).await, *before);
        }
    }
}

/// All that somebody sees of a conversation.
async fn look(person: &Person, conversation: Id) -> Value {
    let messages = person.everything(conversation).await;
    assert_gapless(&messages, 2);
    let listed = person.list().await.into_iter().find(|listed| id(listed) == conversation);
    json!({"messages": messages, "listed": listed})
}

/// One operation, called by Ada, or by somebody new where that ends what they are.
struct Scene<'a> {
    node: &'a Node,
    bystanders: &'a Bystanders,
    world: World,
    operation: Operation,
    /// How many requests were not refused.
    accepted: AtomicUsize,
}

impl<'a> Scene<'a> {
    async fn set(node: &'a Node, bystanders: &'a Bystanders, operation: Operation) -> Self {
        Self { node, bystanders, world: World::make(node).await, operation, accepted: AtomicUsize::new(0) }
    }

    /// Identifiers that there are.
    fn known(&self) -> Vec<String> {
        let (world, bystanders) = (&self.world, self.bystanders);
        [world.ada.id, world.bob.id, world.eve.id, world.max.id, world.activity, bystanders.people[0].id]
            .map(|id| id.to_string())
            .to_vec()
    }

    async fn attempt(&self, case: Case) -> TestCaseResult {
        let new = if self.operation.ends_sessions() { Some(person(self.node, "Zoe").await) } else { None };
        let caller = new.as_ref().unwrap_or(&self.world.ada);
        let uri = format!("http://{}{}{}", self.node.address, self.path(&case, new.as_ref()), case.query());
        let request = Request::builder()
            .method(&self.operation.method)
            .uri(&uri)
            .header(AUTHORIZATION, format!("Bearer {}", caller.token))
            .header(CONTENT_TYPE, case.media_type());
        let request = request.body(Full::new(Bytes::from(case.body()))).map_err(|error| fail(&error))?;
        self.judge(&self.node.rest.send(request).await)
    }

    fn path(&self, case: &Case, new: Option<&Person>) -> String {
        let own = self.operation.path(&self.world);
        match (&case.place, new) {
            (Place::Own, None) => own,
            (Place::Own, Some(new)) => self.operation.path_with(new.id, self.world.eve.id, ""),
            (Place::Others, _) => {
                let id = match self.operation.template.split('/').nth(2) {
                    Some("users") => self.bystanders.people[0].id,
                    Some("messages") => self.bystanders.message,
                    _ => self.bystanders.conversation,
                };
                self.operation.path_with(id, self.bystanders.people[1].id, "0-x")
            }
            (Place::Nowhere, _) => self.operation.path_with(Id::mint(), Id::mint(), "x"),
            (Place::Odd(odd), _) => self.operation.path_with(odd, odd, odd),
        }
    }

    fn judge(&self, reply: &Reply) -> TestCaseResult {
        let status = reply.status.as_u16();
        self.accepted.fetch_add(usize::from(status < 300), Ordering::Relaxed);
        if status >= 500 {
            return Err(fail(&format!("{status}: {}", reply.body)));
        }
        let message = reply.body["message"].as_str().unwrap_or_default();
        let Some((field, problem)) = message.split_once(": ").filter(|_| status == 400) else {
            return if status == 400 { Err(fail(&format!("no field: {message}"))) } else { Ok(()) };
        };
        let name = field.split(['.', '[']).next().unwrap_or_default();
        let declared = self.operation.fields();
        let is_known = declared.contains_key(name)
            || self.operation.query.iter().any(|(parameter, _)| parameter == name)
            || ["body", "id", "other"].contains(&name)
            || (self.operation.takes_file && name == "file");
        if is_known && !problem.is_empty() {
            Ok(())
        } else {
            Err(fail(&format!("an unknown field: {message}")))
        }
    }

    /// Whatever became of it, Ada's group is numbered without a gap.
    async fn is_in_order(&self) {
        let (reader, group) = (&self.world.bob, self.world.group);
        let path = format!("/api/conversations/{group}/messages?after=0&limit=100");
        let reply = reader.rest.get(&path).await;
        // Ada may have removed Bob.
        if reply.status.is_success() {
            let messages = reply.body.as_array().unwrap();
            assert_gapless(messages, messages.len());
        }
    }
}

fn fail(why: &impl ToString) -> TestCaseError {
    TestCaseError::fail(why.to_string())
}
