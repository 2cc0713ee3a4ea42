//! Whether every acknowledged message is there over REST, once the load is over.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::judge::Committed;
use crate::ledger::{Fault, Faults, Sequence};
use crate::marker::{Marker, Origin};
use crate::plan::Flavor;
use crate::rest::{Rest, Stored};
use crate::world::World;

/// How many conversations are read at once.
const AT_ONCE: usize = 8;
/// How often a page is asked for that was not answered: the server may still be busy.
const ATTEMPTS: usize = 5;

/// Looks for every message. Returns how many were looked for; fewer than there are if it is interrupted.
///
/// # Errors
///
/// When the server does not answer.
pub async fn verify(
    rest: &Rest,
    world: &Arc<World>,
    committed: &FxHashMap<Sequence, Vec<Committed>>,
    (run, flavor): (u32, Flavor),
    faults: &mut Faults,
    interrupt: &Interrupt,
) -> Result<u64, Error> {
    // Where each sender has numbers of their own, a conversation's messages are in several places.
    let mut conversations: FxHashMap<u32, Vec<Committed>> = FxHashMap::default();
    for (sequence, committed) in committed {
        conversations.entry(sequence.conversation).or_default().extend(committed);
    }
    let mut waiting = conversations.into_iter();
    let (mut reading, mut looked_for) = (JoinSet::new(), 0);
    loop {
        while reading.len() < AT_ONCE
            && !interrupt.is_raised()
            && let Some((conversation, committed)) = waiting.next()
        {
            let (rest, world) = (rest.clone(), Arc::clone(world));
            reading.spawn(async move {
                let found = match flavor {
                    Flavor::Linkup => by_seq(&rest, &world, conversation, &committed, run).await,
                    Flavor::Spec => by_page(&rest, &world, conversation, &committed, run).await,
                };
                (conversation, committed, found)
            });
        }
        let Some(read) = reading.join_next().await else { return Ok(looked_for) };
        let (conversation, committed, found) = read?;
        let found = found?;
        looked_for += committed.len() as u64;
        let id = world.conversations[conversation as usize].id;
        for Committed { origin, number, .. } in &committed {
            let there = match flavor {
                Flavor::Linkup => found.contains(&(Some(*number), *origin)),
                Flavor::Spec => found.contains(&(None, *origin)),
            };
            if !there {
                faults.add(Fault::Absent, || format!("conversation {id}, message {number}"));
            }
        }
    }
}

/// The messages of this run that were found, with their numbers where they have any.
type Found = FxHashSet<(Option<i64>, Origin)>;

async fn by_seq(
    rest: &Rest,
    world: &World,
    conversation: u32,
    committed: &[Committed],
    run: u32,
) -> Result<Found, Error> {
    let numbers = || committed.iter().map(|committed| committed.number);
    let (mut after, last) = (numbers().min().unwrap_or_default() - 1, numbers().max().unwrap_or_default());
    let mut found = Found::default();
    while after < last {
        let page = attempt(|| async {
            let place = &world.conversations[conversation as usize];
            let token = &world.users[place.members[0] as usize].token;
            rest.messages_after(token, place.id, after).await
        })
        .await?;
        let Some(newest) = page.iter().filter_map(|stored| stored.seq).max() else { break };
        after = after.max(newest);
        found.extend(page.iter().filter_map(|stored| {
            let marker = Marker::read(&stored.content).filter(|marker| marker.run == run)?;
            Some((stored.seq, marker.origin))
        }));
    }
    Ok(found)
}

async fn by_page(
    rest: &Rest,
    world: &World,
    conversation: u32,
    committed: &[Committed],
    run: u32,
) -> Result<Found, Error> {
    let mut missing: FxHashSet<_> = committed.iter().map(|committed| committed.origin).collect();
    let mut found = Found::default();
    for page in 1.. {
        let messages: Vec<Stored> = attempt(|| async {
            let place = &world.conversations[conversation as usize];
            let token = &world.users[place.members[0] as usize].token;
            rest.messages_page(token, place.id, page).await
        })
        .await?;
        if messages.is_empty() || missing.is_empty() {
            break;
        }
        for marker in messages.iter().filter_map(|stored| Marker::read(&stored.content)) {
            if marker.run == run {
                missing.remove(&marker.origin);
                found.insert((None, marker.origin));
            }
        }
    }
    Ok(found)
}

async fn attempt<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> Result<T, Error> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(_) if attempt < ATTEMPTS => {
                tokio::time::sleep(std::time::Duration::from_millis(200 << attempt)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}
