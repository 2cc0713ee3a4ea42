use std::collections::HashSet;

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn shape(arguments: &str) -> Result<Shape, SeedError> {
    let arguments = ["linkup", "seed"].into_iter().chain(arguments.split_whitespace());
    match Cli::try_parse_from(arguments).unwrap().command {
        Some(Command::Seed(seed)) => Shape::draw(&seed),
        other => panic!("{other:?}"),
    }
}

fn refused(arguments: &str) -> String {
    shape(arguments).unwrap_err().to_string()
}

/// In how many of the lists each user is.
fn times<'a>(users: usize, lists: impl IntoIterator<Item = &'a [usize]>) -> Vec<usize> {
    let mut times = vec![0; users];
    lists.into_iter().flatten().for_each(|user| times[*user] += 1);
    times
}

/// In how many pairs each is, where no pair is there twice and nobody is paired with themself.
fn degrees(users: usize, pairs: &[(usize, usize)]) -> Vec<usize> {
    let different: HashSet<(usize, usize)> =
        pairs.iter().map(|&(one, other)| (one.min(other), one.max(other))).collect();
    assert_eq!(different.len(), pairs.len());
    assert!(pairs.iter().all(|(one, other)| one != other));
    let ends: Vec<usize> = pairs.iter().flat_map(|(one, other)| [*one, *other]).collect();
    times(users, [ends.as_slice()])
}

fn direct(shape: &Shape) -> Vec<(usize, usize)> {
    shape.conversations[..shape.direct].iter().map(|two| (two[0], two[1])).collect()
}

/// Which share of all the first tenth of them has.
fn first_tenth(mut counts: Vec<usize>) -> f64 {
    counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let first: usize = counts[..counts.len() / 10].iter().sum();
    first as f64 / counts.iter().sum::<usize>() as f64
}

#[test]
fn pairs_are_different_and_evenly_spread() {
    for (users, count) in [(1, 0), (2, 1), (5, 10), (6, 15), (6, 7), (7, 21), (1_000, 3_500)] {
        let of_each = degrees(users, &pairs(users, count).collect::<Vec<_>>());
        assert_eq!(of_each.iter().sum::<usize>(), 2 * count);
        let (least, most) = (of_each.iter().min().unwrap(), of_each.iter().max().unwrap());
        assert!(most - least <= 2, "{of_each:?}");
    }
}

#[test]
fn where_nothing_more_is_asked_for_pairs_are_apart() {
    let shape = shape("--users 7 --conversations 3").unwrap();
    assert_eq!(direct(&shape), [(0, 1), (2, 3), (4, 5)]);
    assert_eq!((shape.conversations.len(), shape.friends.len(), shape.messages()), (3, 0, 0));
    assert_eq!(shape.history, None);
}

#[test]
fn skewed_conversations_are_as_many_and_some_have_most_of_them() {
    for (users, count) in
        [(1, 0), (2, 1), (6, 15), (40, 780), (40, 779), (40, 100), (1_000, 500), (1_000, 20_000)]
    {
        let shape = shape(&format!("--users {users} --conversations {count} --skew")).unwrap();
        let of_each = degrees(users, &direct(&shape));
        assert_eq!(shape.direct, count);
        if users == 1_000 {
            let share = first_tenth(of_each);
            assert!(share > 0.25, "{count}: {share}");
        }
    }
    let even = shape("--users 1000 --conversations 20000").unwrap();
    assert!(first_tenth(degrees(1_000, &direct(&even))) < 0.11);
}

#[test]
fn groups_are_of_one_size_and_everybody_is_in_as_many() {
    let shape = shape("--users 50 --conversations 10 --groups 12 --group-size 20").unwrap();
    let groups = &shape.conversations[shape.direct..];
    assert_eq!((shape.direct, groups.len()), (10, 12));
    for group in groups {
        assert_eq!((group.len(), group.iter().collect::<HashSet<_>>().len()), (20, 20));
    }
    let of_each = times(50, groups.iter().map(Vec::as_slice));
    assert!(of_each.iter().all(|groups| (4..=5).contains(groups)), "{of_each:?}");
}

#[test]
fn skewed_groups_are_few_large_and_many_small_and_the_popular_are_in_more() {
    let shape = shape("--users 500 --groups 100 --group-size 200 --skew").unwrap();
    let groups = &shape.conversations[shape.direct..];
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    assert_eq!((sizes.len(), sizes[..4].to_vec()), (100, vec![200, 100, 66, 50]));
    assert!(sizes.iter().all(|size| (FEWEST_IN_GROUP..=200).contains(size)));
    assert!(sizes.iter().filter(|size| **size <= 5).count() > 50, "{sizes:?}");
    assert!(groups.iter().all(|group| group.iter().collect::<HashSet<_>>().len() == group.len()));
    assert!(first_tenth(times(500, groups.iter().map(Vec::as_slice))) > 0.3);
}

#[test]
fn one_group_can_hold_everybody() {
    for skew in ["", "--skew"] {
        let shape = shape(&format!("--users 30 --groups 1 --group-size 30 {skew}")).unwrap();
        assert_eq!(times(30, shape.conversations.iter().map(Vec::as_slice)), [1; 30]);
    }
}

#[test]
fn friends_are_as_many_as_asked_for_and_nobody_has_more_than_is_allowed() {
    for (users, each) in [(2, 1), (10, 9), (101, 7), (2_500, 2_000), (2_500, 3)] {
        let shape = shape(&format!("--users {users} --conversations 0 --friends {each}")).unwrap();
        let of_each = degrees(users, &shape.friends);
        assert_eq!(shape.friends.len(), users * each / 2);
        assert!(of_each.iter().all(|friends| each.abs_diff(*friends) <= 1 && *friends <= MAX_FRIENDS));
    }
    for (users, each) in [(2, 1), (10, 9), (501, 500), (1_000, 20), (4_000, 500)] {
        let shape = shape(&format!("--users {users} --conversations 0 --friends {each} --skew")).unwrap();
        let of_each = degrees(users, &shape.friends);
        assert_eq!(shape.friends.len(), users * each / 2);
        assert!(of_each.iter().all(|friends| *friends <= MAX_FRIENDS));
        let share = first_tenth(of_each);
        assert!(users < 1_000 || share > 0.2, "{users} {each}: {share}");
    }
}

#[test]
fn history_is_as_long_on_average_and_at_most_ten_times_as_long() {
    let even = shape("--users 80 --conversations 1000 --history 30").unwrap();
    assert_eq!(even.history.unwrap().lengths, [30; 1_000]);
    let skewed = shape("--users 80 --conversations 1000 --history 30 --skew").unwrap();
    assert_eq!(skewed.messages(), 30_000);
    let lengths: Vec<usize> = skewed.history.unwrap().lengths.iter().map(|length| *length as usize).collect();
    assert_eq!(lengths.iter().max(), Some(&300));
    assert!(first_tenth(lengths) > 0.3);
}

#[test]
fn the_same_request_has_the_same_shape_and_another_number_has_another() {
    let all = "--users 100 --conversations 300 --groups 10 --group-size 50 --friends 8 --history 5";
    for skew in ["", "--skew"] {
        let of = |random: &str| shape(&format!("{all} {skew} {random}")).unwrap();
        assert_eq!(of(""), of("--random 1"));
        assert_eq!(of("--random 7"), of("--random 7"));
        assert_ne!(of("--random 7").conversations, of("--random 8").conversations);
    }
    // What is asked for beside them leaves conversations as they are.
    let fewer = shape("--users 100 --conversations 300 --skew").unwrap();
    let more = shape(&format!("{all} --skew")).unwrap();
    assert_eq!(fewer.conversations, more.conversations[..300]);
}

#[test]
fn what_cannot_be_is_refused_and_the_option_is_named() {
    assert!(refused("--users 3 --conversations 4").contains("--conversations 4"));
    assert!(refused("--users 1 --conversations 1 --skew").contains("make 0 different pairs"));
    assert!(refused("--users 3 --groups 1 --group-size 4").contains("--group-size 4 is more than --users 3"));
    assert!(refused("--users 5 --conversations 0 --friends 5").contains("--friends 5"));
    let skewed = refused("--users 5000 --conversations 0 --friends 501 --skew");
    assert!(
        skewed.contains("--friends 501") && skewed.contains("500") && skewed.contains("2000"),
        "{skewed}"
    );
    assert!(refused("--users 5 --conversations 0 --history 1").contains("--history"));
}
