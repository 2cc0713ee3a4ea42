//! What an answer to `serverStatus` tells.

use mongodb::bson::{Bson, Document, doc};

use super::gauges::OPERATIONS;

/// Sections of `serverStatus` that are not read. There is no way to ask for some sections only; without these the
/// answer is half as long.
const NOT_READ: [&str; 36] = [
    "asserts",
    "batchedDeletes",
    "catalogStats",
    "changeStreamPreImages",
    "collectionCatalog",
    "defaultRWConcern",
    "electionMetrics",
    "extra_info",
    "featureCompatibilityVersion",
    "indexBuilds",
    "indexBulkBuilder",
    "indexStats",
    "internalTransactions",
    "locks",
    "logicalSessionRecordCache",
    "mem",
    "metrics",
    "network",
    "opLatencies",
    "opWorkingTime",
    "opcountersRepl",
    "oplogTruncation",
    "queryAnalyzers",
    "queues",
    "readConcernCounters",
    "readPreferenceCounters",
    "repl",
    "scramCache",
    "security",
    "spillWiredTiger",
    "storageEngine",
    "tcmalloc",
    "transactions",
    "transportSecurity",
    "twoPhaseCommitCoordinator",
    "watchdog",
];

/// What is asked.
pub(super) fn question() -> Document {
    let mut question = doc! {"serverStatus": 1, "oplog": 1};
    question.extend(NOT_READ.map(|section| (section.to_owned(), Bson::Int32(0))));
    question
}

/// How a server is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Server {
    /// Its name, and which life of it this is.
    pub(super) life: (String, i64),
    /// Current, available, active.
    pub(super) connections: [f64; 3],
    /// Used, dirty, the most.
    pub(super) cache: [f64; 3],
    /// Readers, writers.
    pub(super) queue: [f64; 2],
    /// Since it was started.
    pub(super) operations: [u64; OPERATIONS.len()],
    pub(super) is_slowed: bool,
    /// In seconds.
    pub(super) oplog_window: Option<u64>,
}

impl Server {
    pub(super) fn read(status: &Document) -> Self {
        let at = |path: [&str; 2]| number(status, &path).unwrap_or_default();
        let cache = |what| number(status, &["wiredTiger", "cache", what]).unwrap_or_default();
        let oplog_time = |field| {
            let oplog = status.get_document("oplog").ok()?;
            oplog.get(field).and_then(Bson::as_timestamp).map(|timestamp| u64::from(timestamp.time))
        };
        let window = |first: u64, last: u64| (first > 0).then(|| last.saturating_sub(first));
        let flow = status.get_document("flowControl").and_then(|flow| flow.get_bool("isLagged"));
        Self {
            life: (
                status.get_str("host").unwrap_or_default().to_owned(),
                number(status, &["pid"]).unwrap_or_default() as i64,
            ),
            connections: ["current", "available", "active"].map(|state| at(["connections", state])),
            cache: [
                cache("bytes currently in the cache"),
                cache("tracked dirty bytes in the cache"),
                cache("maximum bytes configured"),
            ],
            queue: ["readers", "writers"]
                .map(|kind| number(status, &["globalLock", "currentQueue", kind]).unwrap_or_default()),
            operations: OPERATIONS.map(|kind| at(["opcounters", kind]) as u64),
            is_slowed: flow.unwrap_or(false),
            oplog_window: oplog_time("earliestOptime")
                .zip(oplog_time("latestOptime"))
                .and_then(|(first, last)| window(first, last)),
        }
    }
}

/// What was done while this process watched, whichever server did it and however often that was started anew.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// Of the last answer.
    last: Option<((String, i64), [u64; OPERATIONS.len()])>,
    totals: [u64; OPERATIONS.len()],
}

impl Operations {
    /// Adds what was done since the last answer; what was done in all.
    pub(super) fn advance(&mut self, server: &Server) -> [u64; OPERATIONS.len()] {
        let ((host, process), now) = (&server.life, server.operations);
        let before = match &self.last {
            Some(((last_host, last_process), before)) if last_host == host => {
                let goes_on =
                    last_process == process && before.iter().zip(now).all(|(before, now)| *before <= now);
                if goes_on { *before } else { [0; OPERATIONS.len()] }
            }
            // What another one did before it was asked is not known.
            _ => now,
        };
        for (total, (before, now)) in self.totals.iter_mut().zip(before.into_iter().zip(now)) {
            *total += now - before;
        }
        self.last = Some((server.life.clone(), now));
        self.totals
    }
}

/// The number at a path, of whichever type it is.
pub(super) fn number(document: &Document, path: &[&str]) -> Option<f64> {
    let (last, folders) = path.split_last()?;
    let folder = folders.iter().try_fold(document, |folder, name| folder.get_document(name).ok())?;
    match folder.get(last)? {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::Timestamp;

    use super::*;

    #[test]
    fn an_answer_is_read_whatever_types_its_numbers_have() {
        let time = |time| Timestamp { time, increment: 7 };
        let status = doc! {
            "host": "db1:27017", "pid": 42_i64,
            "connections": {"current": 11, "available": 7_989_i64, "active": 4.0},
            "wiredTiger": {"cache": {
                "bytes currently in the cache": 5_i64, "tracked dirty bytes in the cache": 2,
                "maximum bytes configured": 268_435_456_i64,
            }},
            "globalLock": {"currentQueue": {"total": 3, "readers": 1, "writers": 2}},
            "opcounters": {"insert": 3_i64, "query": 39, "command": 108_i64},
            "flowControl": {"isLagged": true},
            "oplog": {"earliestOptime": time(1_000), "latestOptime": time(4_600)},
        };
        let server = Server::read(&status);
        assert_eq!(server.life, ("db1:27017".to_owned(), 42));
        assert_eq!(server.connections, [11.0, 7_989.0, 4.0]);
        assert_eq!(server.cache, [5.0, 2.0, 268_435_456.0]);
        assert_eq!((server.queue, server.is_slowed), ([1.0, 2.0], true));
        assert_eq!(server.operations, [3, 39, 0, 0, 0, 108]);
        assert_eq!(server.oplog_window, Some(3_600));
        // Before it knows its oplog.
        let young = doc! {"oplog": {"earliestOptime": time(0), "latestOptime": time(4_600)}};
        assert_eq!(Server::read(&young), Server::default());
    }

    #[test]
    fn operations_are_counted_across_restarts_and_from_then_on_of_another_server() {
        let mut operations = Operations::default();
        let mut at = |host: &str, process, inserts| {
            let life = (host.to_owned(), process);
            let server = Server { life, operations: [inserts, 0, 0, 0, 0, 0], ..Server::default() };
            operations.advance(&server)[0]
        };
        assert_eq!([at("a", 1, 1_000), at("a", 1, 1_010)], [0, 10]);
        // Started anew; what it did between is all that it says.
        assert_eq!([at("a", 2, 1_500), at("a", 2, 3), at("a", 2, 5)], [1_510, 1_513, 1_515]);
        assert_eq!([at("b", 9, 70_000), at("b", 9, 70_001)], [1_515, 1_516]);
    }
}
