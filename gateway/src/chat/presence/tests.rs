use serde_json::value::RawValue;
use service::metrics::Registry;

use super::*;

const GRACE: Duration = Duration::from_secs(15);
const SECOND: Duration = Duration::from_secs(1);

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&Registry::new()))
}

fn board(now: Instant) -> Board {
    let mut board = Board::new(Id::mint(), GRACE, now, metrics());
    assert_eq!(told(&mut board, now), [], "the first heartbeat");
    board
}

fn ok(json: &str) -> Answer {
    Answer::Ok(RawValue::from_string(json.to_owned()).unwrap())
}

/// The next batch without its heartbeat.
fn take(board: &mut Board, now: Instant) -> Vec<(Id, Presence)> {
    let commands = board.batch(now).unwrap_or_default();
    let presence = commands.into_iter().filter_map(|command| match command {
        Command::Presence { user, presence, .. } => Some((user, presence)),
        _ => None,
    });
    presence.collect()
}

/// The same, and it is answered.
fn told(board: &mut Board, now: Instant) -> Vec<(Id, Presence)> {
    let told = take(board, now);
    answer_all(board, r#"{"epoch":1}"#, now);
    told
}

fn answer_all(board: &mut Board, beat: &str, now: Instant) {
    let beat = board.beats.then(|| ok(beat));
    let answers: Vec<Answer> = beat.into_iter().chain(board.sent.iter().map(|_| ok("null"))).collect();
    board.answered(Some(&answers), now);
}

fn is(user: Id, presence: Presence) -> Change {
    Change { user, presence: Some(presence) }
}

fn gone(user: Id) -> Change {
    Change { user, presence: None }
}

#[test]
fn whoever_comes_back_in_time_was_never_away_and_whoever_does_not_left_when_they_did() {
    let start = Instant::now();
    let (mut board, user) = (board(start), Id::mint());
    board.note(is(user, Presence::Online), start);
    assert_eq!(told(&mut board, start), [(user, Presence::Online)]);
    board.note(gone(user), start);
    board.expire(start + GRACE - SECOND);
    board.note(is(user, Presence::Online), start + GRACE - SECOND);
    board.note(gone(user), start + GRACE - SECOND);
    board.expire(start + GRACE);
    assert_eq!(told(&mut board, start + GRACE), [], "the first absence is over, the second has begun");
    let end = start + GRACE * 2 - SECOND;
    board.expire(end + SECOND * 2);
    let Some(Command::Presence { presence, at, version, .. }) =
        board.batch(end + SECOND * 2).and_then(|mut batch| batch.pop())
    else {
        panic!("it is not told")
    };
    assert_eq!((presence, version), (Presence::Offline, 2));
    let ago = Timestamp::now().millis() - at.millis();
    assert!((16_900..18_000).contains(&ago), "{ago} ms ago");
    let end = end + SECOND * 2;
    answer_all(&mut board, r#"{"epoch":1}"#, end);
    board.expire(end + QUIET);
    assert!(board.users.is_empty() && board.leaving.is_empty() && board.pending.is_empty());
}

#[test]
fn a_storm_of_reconnects_is_not_told_at_all() {
    let now = Instant::now();
    let (mut board, users) = (board(now), (0..1_000).map(|_| Id::mint()).collect::<Vec<_>>());
    users.iter().for_each(|user| board.note(is(*user, Presence::Online), now));
    assert_eq!(told(&mut board, now).len(), MAX_BATCH);
    assert_eq!(told(&mut board, now).len(), 1_000 - MAX_BATCH);
    for _ in 0..3 {
        users.iter().for_each(|user| board.note(gone(*user), now));
        users.iter().for_each(|user| board.note(is(*user, Presence::Online), now + SECOND));
    }
    board.expire(now + GRACE * 2);
    assert_eq!(take(&mut board, now + SECOND), []);
    assert!(board.leaving.is_empty());
}

#[test]
fn only_the_latest_state_counts_for_the_next_batch() {
    let now = Instant::now();
    let (mut board, [ada, bob]) = (board(now), [Id::mint(), Id::mint()]);
    board.note(is(ada, Presence::Online), now);
    board.note(is(ada, Presence::Away), now);
    assert_eq!(take(&mut board, now), [(ada, Presence::Away)]);
    for presence in [Presence::Online, Presence::Away, Presence::Online] {
        board.note(is(ada, presence), now);
    }
    board.note(is(bob, Presence::Online), now);
    board.note(is(bob, Presence::Offline), now);
    answer_all(&mut board, "", now);
    let now = now + QUIET;
    board.expire(now);
    assert_eq!(told(&mut board, now), [(ada, Presence::Online)], "bob never looked like anything else");
    board.note(gone(bob), now);
    assert_eq!(board.users.len(), 1, "and is forgotten without a grace");
}

#[test]
fn who_changes_over_and_over_is_told_of_once_in_a_while_and_the_latest_state_counts() {
    let start = Instant::now();
    let (mut board, user) = (board(start), Id::mint());
    board.note(is(user, Presence::Online), start);
    assert_eq!(told(&mut board, start), [(user, Presence::Online)]);
    let moment = QUIET - Duration::from_millis(1);
    for presence in [Presence::Away, Presence::Online, Presence::Away, Presence::Online, Presence::Away] {
        board.note(is(user, presence), start + moment);
        board.expire(start + moment);
        assert_eq!(told(&mut board, start + moment), []);
    }
    assert_eq!(board.wake(false), start + QUIET);
    board.expire(start + QUIET);
    assert_eq!(told(&mut board, start + QUIET), [(user, Presence::Away)]);
    for presence in [Presence::Online, Presence::Away] {
        board.note(is(user, presence), start + QUIET);
    }
    board.expire(start + QUIET * 2);
    assert_eq!(told(&mut board, start + QUIET * 2), [], "it is what it was");
    assert!(board.quiet.is_empty(), "who does not change costs nothing");
    board.note(is(user, Presence::Online), start + QUIET * 2);
    assert_eq!(told(&mut board, start + QUIET * 2), [(user, Presence::Online)], "at once");
}

#[test]
fn what_is_not_answered_is_told_again_as_it_is_by_then() {
    let now = Instant::now();
    let (mut board, [ada, bob, carl]) = (board(now), [Id::mint(), Id::mint(), Id::mint()]);
    for user in [ada, bob, carl] {
        board.note(is(user, Presence::Online), now);
    }
    take(&mut board, now);
    board.note(is(ada, Presence::Away), now);
    board.answered(None, now);
    assert!(board.batch(now).is_none(), "not at once");
    let now = now + PAUSE;
    let again = [(bob, Presence::Online), (carl, Presence::Online)];
    assert_eq!(take(&mut board, now), [[(ada, Presence::Away)].as_slice(), &again].concat());
    let answer = |code| Answer::Err(ApiError::new(code, ""));
    board.answered(Some(&[ok("null"), answer(ErrorCode::NotFound), answer(ErrorCode::Unavailable)]), now);
    assert_eq!(told(&mut board, now + PAUSE), [(carl, Presence::Online)], "a refusal is an answer");
}

#[test]
fn heartbeats_come_in_time_and_an_api_that_knows_nothing_is_told_everything() {
    let now = Instant::now();
    let (mut board, [ada, bob, carl]) = (board(now), [Id::mint(), Id::mint(), Id::mint()]);
    board.note(is(ada, Presence::Away), now);
    board.note(is(bob, Presence::Offline), now);
    board.note(is(carl, Presence::Online), now);
    told(&mut board, now);
    board.note(gone(carl), now);
    assert!(board.batch(now).is_none());
    let now = now + Duration::from_secs(HEARTBEAT_INTERVAL_SECS);
    assert_eq!(board.wake(false), now);
    assert!(matches!(board.batch(now).as_deref(), Some([Command::Alive { .. }])));
    answer_all(&mut board, r#"{"epoch":2}"#, now);
    let mut everybody = told(&mut board, now);
    everybody.sort();
    let mut expected = [(ada, Presence::Away), (carl, Presence::Online)];
    expected.sort();
    assert_eq!(everybody, expected, "also who may still come back, but nobody who looks offline");
    let later = now + Duration::from_secs(HEARTBEAT_INTERVAL_SECS);
    assert!(board.batch(later).is_some());
    board.answered(None, later);
    assert!(matches!(board.batch(later + PAUSE).as_deref(), Some([Command::Alive { .. }])), "soon again");
}

#[tokio::test]
async fn one_batch_of_a_lane_is_under_way_at_a_time_and_changes_gather_meanwhile() {
    let (sender, changes) = mpsc::unbounded_channel();
    let (batches, mut calls) = mpsc::unbounded_channel();
    let call = move |commands: Vec<Command>| {
        let (answer, answered) = tokio::sync::oneshot::channel();
        batches.send((commands, answer)).unwrap();
        async move { answered.await.unwrap() }
    };
    let board = Board::new(Id::mint(), Duration::ZERO, Instant::now(), metrics());
    let task = tokio::spawn(run_lane(board, changes, call));
    let (first, answer) = calls.recv().await.unwrap();
    assert!(matches!(first[..], [Command::Alive { .. }]));
    let users = [Id::mint(), Id::mint()];
    for user in users {
        sender.send(is(user, Presence::Online)).unwrap();
    }
    sender.send(gone(users[0])).unwrap();
    tokio::task::yield_now().await;
    assert!(calls.try_recv().is_err(), "the first is not answered");
    answer.send(Ok(vec![ok(r#"{"epoch":1}"#)])).unwrap();
    let (second, answer) = calls.recv().await.unwrap();
    assert!(matches!(second[..], [Command::Presence { user, .. }] if user == users[1]), "{second:?}");
    answer.send(Ok(vec![ok("null")])).unwrap();
    drop(sender);
    task.await.unwrap();
}
