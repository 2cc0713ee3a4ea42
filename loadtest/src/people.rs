//! Who takes part: from a seed file, or registered over REST.

use std::io::Write;

use protocol::Id;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::console::Console;
use crate::error::Error;
use crate::plan::{Plan, Topology};
use crate::rest::Rest;
use crate::world::{Line, World};

/// How many registrations are under way at once. Each costs the server a deliberately slow password hash, of which it
/// computes only a few at a time.
const REGISTRATIONS: usize = 4;
/// More than this many are not registered: it would take longer than any run.
const MOST_REGISTERED: usize = 5_000;

/// The people of a plan, and the plan with the file that they are in. The file goes with the last part, if they were
/// registered.
///
/// # Errors
///
/// When the seed file cannot be used, or the server refuses to register somebody.
pub async fn world(
    plan: &Plan,
    rest: &Rest,
    run: u32,
    console: &mut Console,
) -> Result<(Plan, World, Option<NamedTempFile>), Error> {
    if let Some(path) = &plan.seed {
        return Ok((plan.clone(), World::load(path, plan.users)?, None));
    }
    if plan.users > MOST_REGISTERED {
        return Err(Error::Usage(format!(
            "{} users would be registered one by one: make them by `linkup seed` and name the file with --seed",
            plan.users
        )));
    }
    let lines = register(plan, rest, run, console).await?;
    let file = written(&lines).map_err(|error| Error::Output {
        path: std::env::temp_dir(),
        problem: format!("the registered users cannot be kept: {error}"),
    })?;
    let plan = Plan { seed: Some(file.path().to_owned()), ..plan.clone() };
    Ok((plan, World::new(lines), Some(file)))
}

fn written(lines: &[Line]) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(file)
}

/// Registers people, and makes a conversation for every two, or one for all. `run` keeps their addresses apart from
/// those of other runs.
async fn register(plan: &Plan, rest: &Rest, run: u32, console: &mut Console) -> Result<Vec<Line>, Error> {
    let users = plan.users;
    console.say(format_args!(
        "registering {users} users over REST; for more than a few, `linkup seed` and --seed are much faster"
    ));
    let (mut registering, mut next) = (JoinSet::new(), 0);
    let mut people: Vec<Option<Line>> = vec![None; users];
    let mut registered = 0;
    while registered < users {
        while registering.len() < REGISTRATIONS && next < users {
            let (rest, number) = (rest.clone(), next);
            registering.spawn(async move {
                let email = format!("load-{run:08x}-{number}@example.org");
                let name = format!("Load {number}");
                let (user_id, token) = rest.register(&name, &email, &format!("load-{run:08x}")).await?;
                Ok::<_, Error>((number, Line { user_id, token, conversations: Vec::new() }))
            });
            next += 1;
        }
        if let Some(person) = registering.join_next().await {
            let (number, line) = person??;
            people[number] = Some(line);
            registered += 1;
            console.progress(format_args!("{registered} of {users} users registered"));
        }
    }
    let mut people: Vec<Line> = people.into_iter().flatten().collect();
    if plan.topology == Topology::Room {
        let everybody: Vec<Id> = people.iter().map(|person| person.user_id).collect();
        let room = rest.converse(&people[0].token, &everybody, Some("Load")).await?;
        people.iter_mut().for_each(|person| person.conversations.push(room));
        return Ok(people);
    }
    for two in people.chunks_exact_mut(2) {
        let conversation = rest.converse(&two[0].token, &[two[0].user_id, two[1].user_id], None).await?;
        two.iter_mut().for_each(|person| person.conversations.push(conversation));
    }
    Ok(people)
}
