//! Many different updates of one collection in one command, which the driver's own bulk write offers only from MongoDB
//! 8 on.

use mongodb::bson::{Bson, Document, doc};

use crate::command::Command;
use crate::error::{DUPLICATE_KEY, TRANSIENT};
use crate::{Store, StoreError};

/// What came of the updates of one command.
#[derive(Debug, Default)]
pub(crate) struct Updated {
    /// How many documents are other than before, made ones among them.
    pub(crate) changed: u64,
    /// Which updates were refused, by their place, and MongoDB's code for it.
    pub(crate) refused: Vec<(usize, i32)>,
}

impl Store {
    /// Makes all of these updates, or fails.
    pub(crate) async fn update_many_documents(
        &self,
        collection: &str,
        updates: Vec<Document>,
        write_concern: Document,
    ) -> Result<(), StoreError> {
        let Updated { refused, .. } = self.update_each(collection, updates, write_concern).await?;
        if refused.is_empty() {
            Ok(())
        } else if refused.iter().all(|(_, code)| *code == DUPLICATE_KEY) {
            Err(StoreError::Raced)
        } else {
            let codes: Vec<i32> = refused.iter().map(|(_, code)| *code).collect();
            Err(StoreError::Refused(format!("write errors with codes {codes:?}")))
        }
    }

    /// Makes each of these updates by itself: that one is refused keeps none of the others from taking effect. One
    /// command, two where upserts meet others that make the same documents at the same moment: then those are there,
    /// and the second time they are found by what the update asks for, or else are not meant by it.
    ///
    /// # Errors
    ///
    /// [`StoreError`], where it is not known which of them took effect.
    pub(crate) async fn update_each(
        &self,
        collection: &str,
        updates: Vec<Document>,
        write_concern: Document,
    ) -> Result<Updated, StoreError> {
        let mut done = self.update_once(collection, &updates, &write_concern).await?;
        let (raced, refused): (Vec<_>, Vec<_>) =
            std::mem::take(&mut done.refused).into_iter().partition(|(_, code)| *code == DUPLICATE_KEY);
        done.refused = refused;
        if !raced.is_empty() {
            let places: Vec<usize> = raced.into_iter().map(|(place, _)| place).collect();
            let again: Vec<Document> =
                places.iter().filter_map(|place| updates.get(*place).cloned()).collect();
            let second = self.update_once(collection, &again, &write_concern).await?;
            done.changed += second.changed;
            done.refused.extend(
                second.refused.iter().filter_map(|(place, code)| Some((*places.get(*place)?, *code))),
            );
        }
        Ok(done)
    }

    async fn update_once(
        &self,
        collection: &str,
        updates: &[Document],
        write_concern: &Document,
    ) -> Result<Updated, StoreError> {
        let command = doc! {
            "update": collection, "updates": updates, "ordered": false, "writeConcern": write_concern.clone(),
        };
        let read = read_answer(&self.run(Command::Update, self.database().run_command(command)).await?);
        if read.is_err() {
            self.commands.failed(Command::Update);
        }
        read
    }
}

/// `run_command` takes an answer with `writeErrors` for a success. Only their codes are told: their words may quote
/// what was to be written.
fn read_answer(answer: &Document) -> Result<Updated, StoreError> {
    if let Some(problem) = answer.get("writeConcernError") {
        return Err(StoreError::NotReplicated(format!("writeConcernError: {problem}")));
    }
    let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let refused: Vec<(usize, i32)> = errors
        .iter()
        .filter_map(|error| {
            let error = error.as_document()?;
            Some((usize::try_from(number(error, "index")?).ok()?, error.get_i32("code").ok()?))
        })
        .collect();
    let codes = || refused.iter().map(|(_, code)| *code).collect::<Vec<_>>();
    if refused.len() < errors.len() {
        return Err(StoreError::Refused(format!("{} write errors that cannot be read", errors.len())));
    }
    if refused.iter().any(|(_, code)| TRANSIENT.contains(code)) {
        return Err(StoreError::NotReplicated(format!("write errors with codes {:?}", codes())));
    }
    let made = answer.get_array("upserted").map_or(0, Vec::len) as u64;
    let modified = number(answer, "nModified").unwrap_or_default();
    Ok(Updated { changed: made + u64::try_from(modified).unwrap_or_default(), refused })
}

fn number(document: &Document, field: &str) -> Option<i64> {
    match document.get(field)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_which_updates_were_refused_and_never_passes_for_one_that_is_unknown() {
        let answer = doc! {
            "ok": 1.0, "n": 3, "nModified": 1, "upserted": [{"index": 0, "_id": 7}],
            "writeErrors": [{"index": 2, "code": 121, "errmsg": "a secret"}],
        };
        let read = read_answer(&answer).unwrap();
        assert_eq!((read.changed, read.refused), (2, vec![(2, 121)]));
        let away = doc! {"writeErrors": [{"index": 0, "code": 121}, {"index": 1, "code": 11_600}]};
        assert!(read_answer(&away).unwrap_err().is_unavailable());
        let alone = doc! {"nModified": 1, "writeConcernError": {"code": 64}};
        assert!(read_answer(&alone).unwrap_err().is_unavailable());
        assert!(read_answer(&doc! {"writeErrors": [{"code": 1}]}).is_err());
    }
}
