//! Files are written and read in pieces, and leave nothing behind.

use std::ops::Range;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use protocol::Id;
use service::metrics::Registry;
use store::upload::{CHUNKS, FILES, Metadata, Upload};
use store::{Store, StoreError};

use super::{Commands, files_left};
use crate::support::{SOON, eventually, mongo_uri};

/// Three chunks of GridFS, and a little.
const LENGTH: usize = 3 * (255 << 10) + 1_000;

fn metadata() -> Metadata {
    Metadata { owner: Id::mint(), content_type: "application/zip".to_owned() }
}

fn bytes() -> Vec<u8> {
    (0..LENGTH).map(|n| (n % 251) as u8).collect()
}

async fn read(store: &Store, upload: &Upload, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
    let pieces: Vec<_> = store.upload_bytes(upload, range).try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn any_part_of_a_file_is_read_as_it_was_written() {
    let commands = Commands::default();
    let store = commands.connect(&mongo_uri().await).await;
    store.prepare().await.unwrap();
    let (bytes, metadata) = (bytes(), metadata());
    let mut writer = store.start_upload(metadata.clone(), Some("a.zip".to_owned()));
    for piece in bytes.chunks(100_001) {
        writer.write(piece).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    assert_eq!((written.length, &written.metadata), (LENGTH as i64, &metadata));
    assert_eq!(files_left(&store).await, (1, 4));
    commands.forget();
    let upload = store.upload(written.id).await.unwrap().unwrap();
    assert_eq!(upload, written);
    let chunk = 255 << 10;
    for (from, to) in [(0, LENGTH), (0, 1), (chunk - 1, chunk + 1), (chunk, 2 * chunk), (7, LENGTH - 7)] {
        let part = read(&store, &upload, from as u64..to as u64).await.unwrap();
        assert!(part == bytes[from..to], "{from}..{to}");
    }
    assert!(read(&store, &upload, 5..5).await.unwrap().is_empty());
    // One for what is known of it, and one for each part.
    assert_eq!((commands.count("find"), commands.count("getMore")), (6, 0));
    assert_eq!(store.upload(Id::mint()).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_that_is_given_up_leaves_nothing_behind() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    store.prepare().await.unwrap();
    let mut writer = store.start_upload(metadata(), None);
    writer.write(&bytes()).await.unwrap();
    eventually("chunks are written", SOON, async || (files_left(&store).await.1 > 0).then_some(())).await;
    drop(writer);
    eventually("they are removed", SOON, async || (files_left(&store).await == (0, 0)).then_some(())).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_fails_and_leaves_nothing_behind() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    store.prepare().await.unwrap();
    // The chunks are taken, and the file itself is refused.
    let refuse = doc! {"collMod": FILES, "validator": {"length": 0}};
    store.database().run_command(refuse).await.unwrap();
    let mut writer = store.start_upload(metadata(), None);
    writer.write(&bytes()).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert!(matches!(error, StoreError::NotValid(_)), "{error}");
    eventually("it is removed", SOON, async || (files_left(&store).await == (0, 0)).then_some(())).await;

    let refuse = doc! {"collMod": CHUNKS, "validator": {"n": 0}};
    store.database().run_command(refuse).await.unwrap();
    let mut writer = store.start_upload(metadata(), None);
    let error = writer.write(&bytes().repeat(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotValid(_)), "{error}");
    assert!(writer.write(&bytes()).await.is_err() && writer.finish().await.is_err(), "it stays failed");
    eventually("it is removed", SOON, async || (files_left(&store).await == (0, 0)).then_some(())).await;
}

#[tokio::test]
async fn a_file_whose_bytes_are_missing_is_not_passed_off_as_whole() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    store.prepare().await.unwrap();
    let mut writer = store.start_upload(metadata(), None);
    writer.write(&bytes()).await.unwrap();
    let upload = writer.finish().await.unwrap();
    let chunks = store.database().collection::<Document>(CHUNKS);
    chunks.delete_one(doc! {"n": 1}).await.unwrap();
    let error = read(&store, &upload, 0..LENGTH as u64).await.unwrap_err();
    assert!(matches!(error, StoreError::Incomplete(id) if id == upload.id), "{error}");
    assert_eq!(read(&store, &upload, 0..10).await.unwrap().len(), 10);
    chunks.delete_one(doc! {"n": 3}).await.unwrap();
    assert!(read(&store, &upload, LENGTH as u64 - 10..LENGTH as u64).await.is_err());
}
