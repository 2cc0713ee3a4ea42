//! How MongoDB carries a command out: whether every part of it finds its documents by an index.

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

/// What is no part of the question.
const ENVELOPE: [&str; 7] =
    ["lsid", "txnNumber", "writeConcern", "readConcern", "maxTimeMS", "startTransaction", "autocommit"];
/// What finds nothing, or goes on with what a plan before it has found.
const WITHOUT_PLAN: [&str; 2] = ["insert", "getMore"];

/// What is worth a word about a plan.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The indexes that are used.
    pub(super) indexes: Vec<String>,
    /// Why it is not to be tolerated.
    pub(super) faults: Vec<String>,
    /// Whether documents are put in order after they were read.
    pub(super) sorts: bool,
    /// Indexes that are read from their beginning, as far as it takes.
    pub(super) walks: Vec<String>,
    /// How many documents, or keys of an index, one part of it has looked at, at most.
    pub(super) examined: i64,
}

/// The plan of each query that a command consists of.
pub(super) async fn plans(database: &Database, command: &Document) -> Vec<Plan> {
    let mut plans = Vec::new();
    for query in queries(command) {
        let question = doc! {"explain": &query, "verbosity": "executionStats"};
        let answer = database.run_command(question).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let mut plan = Plan::default();
        plan.note(&answer);
        if plan.indexes.is_empty() && plan.faults.is_empty() {
            plan.faults.push(format!("no index is named: {answer}"));
        }
        plans.push(plan);
    }
    plans
}

/// A command as it can be explained: of several statements, each on its own.
fn queries(command: &Document) -> Vec<Document> {
    let bare = command.iter().filter(|(key, _)| !key.starts_with('$') && !ENVELOPE.contains(&key.as_str()));
    let bare: Document = bare.map(|(key, value)| (key.clone(), value.clone())).collect();
    let (name, collection) = bare.iter().next().unwrap();
    let part = match name.as_str() {
        "update" => "updates",
        "delete" => "deletes",
        name if WITHOUT_PLAN.contains(&name) => return Vec::new(),
        _ => return vec![bare],
    };
    let statements = bare.get_array(part).unwrap();
    statements.iter().map(|one| doc! {name: collection, part: [one]}).collect()
}

impl Plan {
    fn note(&mut self, answer: &Document) {
        for (key, value) in answer {
            match key.as_str() {
                // Considered and not taken; or the question, repeated.
                "rejectedPlans" | "command" | "parsedQuery" | "$lookup" => {}
                // The stages of an aggregation behind what its query can do.
                "stages" => value.as_array().into_iter().flatten().for_each(|stage| self.stage(stage)),
                _ => self.value(value),
            }
        }
        self.lookup(answer);
        self.scan(answer);
        for count in ["totalDocsExamined", "totalKeysExamined"] {
            self.examined = self.examined.max(number(answer, count).unwrap_or_default());
        }
    }

    fn value(&mut self, value: &Bson) {
        match value {
            Bson::Document(document) => self.note(document),
            Bson::Array(list) => list.iter().for_each(|value| self.value(value)),
            _ => {}
        }
    }

    fn stage(&mut self, stage: &Bson) {
        let stage = stage.as_document().unwrap();
        self.sorts |= stage.contains_key("$sort");
        if stage.contains_key("$lookup") && number(stage, "collectionScans").is_none() {
            self.faults.push(format!("it is not told how {stage} looks up"));
        }
        self.note(stage);
    }

    /// What another collection was asked for each document.
    fn lookup(&mut self, answer: &Document) {
        if number(answer, "collectionScans").is_some_and(|scans| scans > 0) {
            self.faults.push(format!("a lookup reads a whole collection: {answer}"));
        }
        if let Ok(used) = answer.get_array("indexesUsed") {
            self.indexes.extend(used.iter().filter_map(|name| Some(name.as_str()?.to_owned())));
        }
        let strategy = answer.get_str("strategy").unwrap_or("IndexedLoopJoin");
        if strategy != "IndexedLoopJoin" {
            self.faults.push(format!("a lookup is a {strategy}"));
        }
    }

    fn scan(&mut self, answer: &Document) {
        match answer.get_str("stage") {
            Ok("COLLSCAN") => self.faults.push("a whole collection is read".to_owned()),
            Ok("SORT") => self.sorts = true,
            // Nothing is asked for, so nothing is read.
            Ok("EOF") => self.indexes.push("none".to_owned()),
            // One document, by the whole of its key.
            Ok(stage) if stage == "IDHACK" || stage.starts_with("EXPRESS") => {
                self.indexes.push(answer.get_str("indexName").unwrap_or("_id_").to_owned());
            }
            _ => {}
        }
        let (Ok(index), Ok(bounds)) = (answer.get_str("indexName"), answer.get_document("indexBounds"))
        else {
            return;
        };
        self.indexes.push(index.to_owned());
        let first = bounds.values().next().and_then(Bson::as_array);
        if first.is_some_and(|first| first.iter().any(is_everything)) {
            self.walks.push(index.to_owned());
        }
    }
}

/// A range of a key that leaves nothing out.
fn is_everything(range: &Bson) -> bool {
    matches!(range.as_str(), Some("[MinKey, MaxKey]" | "[MaxKey, MinKey]"))
}

fn number(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}
