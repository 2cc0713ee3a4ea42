//! What many do at the same time, over two nodes of one database.
//!
//! | module | shows |
//! |---|---|
//! | [`activities`] | places, and conversations that follow |
//! | [`edits`] | changes of the same thing do not undo each other |
//! | [`messages`] | sends, marks, archiving, blocks |
//! | [`sessions`] | accounts, passwords, friends |

mod activities;
mod edits;
mod messages;
mod sessions;

use futures_util::future::join_all;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::fixture::{Node, Person, id};
use crate::support::mongo_uri;
use crate::support::rest::{Reply, Rest};

/// Two nodes of one database.
struct Pair([Node; 2]);

impl Pair {
    async fn start() -> Self {
        let uri = mongo_uri().await;
        Self([Node::on(&uri).await, Node::on(&uri).await])
    }

    /// A new user.
    async fn person(&self, name: &str) -> Person {
        self.0[0].person(name).await
    }

    /// So many new users.
    async fn people(&self, count: usize) -> Vec<Person> {
        join_all((0..count).map(async |n| self.person(&format!("Person {n}")).await)).await
    }

    /// Somebody's client of the one or the other node.
    fn at(&self, n: usize, person: &Person) -> Rest {
        self.0[n % 2].rest.with_token(&person.token)
    }
}

/// Does all of this at the same time, and returns what came of each in the same order.
async fn at_once<T: Send + 'static>(
    actions: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = actions.into_iter().map(tokio::spawn).collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// `POST path`, to be made some time.
fn post(rest: Rest, path: &str, body: Value) -> impl Future<Output = Reply> + Send + use<> {
    let path = path.to_owned();
    async move { rest.post(&path, &body).await }
}

/// `PUT path`, to be made some time.
fn put(rest: Rest, path: &str, body: Value) -> impl Future<Output = Reply> + Send + use<> {
    let path = path.to_owned();
    async move { rest.put(&path, &body).await }
}

/// `DELETE path`, to be made some time.
fn delete(rest: Rest, path: &str) -> impl Future<Output = Reply> + Send + use<> {
    let path = path.to_owned();
    async move { rest.delete(&path, None).await }
}

/// How many answers have this status.
fn count(replies: &[Reply], status: StatusCode) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

/// The statuses of answers, for when they are not as they should be.
fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status.as_u16()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_have_one_direct_conversation() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let replies = at_once((0..50).map(|n| {
        let one = if n % 3 == 0 { &ada } else { &bob };
        post(pair.at(n, one), "/api/conversations", json!({"participants": [ada.id, bob.id]}))
    }))
    .await;
    let counts = (count(&replies, StatusCode::CREATED), count(&replies, StatusCode::OK));
    assert_eq!(counts, (1, 49), "{:?}", statuses(&replies));
    let first = id(&replies[0].body);
    assert!(replies.iter().all(|reply| id(&reply.body) == first));
    assert_eq!((ada.list().await.len(), bob.list().await.len()), (1, 1));
}
