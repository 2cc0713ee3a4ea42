//! Links, parts of files, and what browsers may keep.

use hyper::Method;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use mongodb::bson::{Document, doc};
use protocol::upload::{LINK_PERIOD, Links, stored};
use protocol::{Id, Timestamp};
use serde_json::json;

use super::super::fixture::{Node, config, id, tokens};
use super::{PNG, fetch, picture, upload, uploaded, url};

#[tokio::test]
async fn only_a_good_link_opens_a_file() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let file = id(&upload(&node, &ada, "image/png", PNG).await.ok());
    let other = id(&upload(&node, &ada, "image/png", PNG).await.ok());
    let links = config().links;
    let link = |id: Id, now: Timestamp| links.shown(&stored(id), now).into_owned();
    let now = Timestamp::now();
    let good = link(file, now);
    assert!(fetch(&node, Method::GET, &good, &[]).await.bytes == PNG);
    let ago = |periods: i64| Timestamp::from_millis(now.millis() - periods * LINK_PERIOD.as_millis() as i64);
    let of_another_secret = Links::new(protocol::token::Tokens::new(&[7; 32]), None);
    let mut tampered = good.clone();
    let last = tampered.pop().unwrap();
    tampered.push(if last == 'A' { 'B' } else { 'A' });
    for (path, what) in [
        (tampered, "tampered with"),
        (link(file, ago(2)), "expired"),
        (link(other, now).replace(&other.to_string(), &file.to_string()), "of another file"),
        (of_another_secret.shown(&stored(file), now).into_owned(), "signed by somebody else"),
        (format!("{}/x", stored(file)), "no seal"),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let reply = fetch(&node, method, &path, &[]).await;
            assert_eq!(reply.status, 403, "{what}");
        }
        assert_eq!(fetch(&node, Method::GET, &path, &[]).await.body["code"], "forbidden");
    }
    // Nor does the caller's token open what has no seal.
    assert_eq!(ada.rest.get(&stored(file)).await.status, 404);
    let reply = fetch(&node, Method::GET, &link(Id::mint(), now), &[]).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (404, &json!("not_found")));
    assert!(tokens().verify(good.rsplit('/').next().unwrap()).is_err(), "a seal is no token");
}

#[tokio::test]
async fn parts_of_a_file_are_served() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let size = 1_000_000;
    let (bytes, url) = uploaded(&node, &ada, size).await;
    let chunk = 255 << 10;
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes={}-{}", chunk - 1, chunk), chunk - 1, chunk + 1),
        (format!("bytes={chunk}-"), chunk, size),
        (format!("bytes=10-{size}"), 10, size),
        ("bytes=-5".to_owned(), size - 5, size),
    ] {
        let reply = fetch(&node, Method::GET, &url, &[(RANGE, &range)]).await;
        assert!(reply.status == 206 && reply.bytes == bytes[from..to], "{range}: {}", reply.status);
        assert_eq!(reply.headers[CONTENT_RANGE], format!("bytes {from}-{}/{size}", to - 1));
        assert_eq!(reply.headers[CONTENT_LENGTH], (to - from).to_string());
        assert_eq!(reply.headers[CONTENT_TYPE], "image/png");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let reply = fetch(&node, Method::GET, &url, &[(RANGE, &range)]).await;
        assert_eq!((reply.status.as_u16(), reply.bytes.len()), (416, 0), "{range}");
        assert_eq!(reply.headers[CONTENT_RANGE], format!("bytes */{size}"));
        assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    }
    for range in ["bytes=0-1,5-6", "bytes=5-1", "lines=1-2", "bytes"] {
        let reply = fetch(&node, Method::GET, &url, &[(RANGE, range)]).await;
        assert!(reply.status == 200 && reply.bytes == bytes, "{range}: {}", reply.status);
    }
}

#[tokio::test]
async fn what_browsers_have_is_not_sent_again() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let (bytes, url) = uploaded(&node, &ada, 300_000).await;
    let reply = fetch(&node, Method::GET, &url, &[]).await;
    let etag = reply.headers[ETAG].to_str().unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    let kept = reply.headers[CACHE_CONTROL].to_str().unwrap();
    let seconds = kept.strip_prefix("private, max-age=").and_then(|rest| rest.strip_suffix(", immutable"));
    let (seconds, period) = (seconds.unwrap().parse::<u64>().unwrap(), LINK_PERIOD.as_secs());
    // As long as the link is good, which began to be so at the beginning of the period.
    assert!((period - 60..=2 * period).contains(&seconds), "{kept}");

    let has = format!("\"another\", {etag}");
    let reply = fetch(&node, Method::GET, &url, &[(IF_NONE_MATCH, &has)]).await;
    assert_eq!((reply.status.as_u16(), reply.bytes.len()), (304, 0));
    assert!(!reply.headers.contains_key(CONTENT_LENGTH), "that would be the file's");
    assert_eq!(reply.headers[ETAG], etag);
    let reply = fetch(&node, Method::GET, &url, &[(IF_NONE_MATCH, "\"another\"")]).await;
    assert!(reply.status == 200 && reply.bytes == bytes, "{}", reply.status);

    let part = fetch(&node, Method::GET, &url, &[(RANGE, "bytes=0-9"), (IF_RANGE, &etag)]).await;
    assert_eq!((part.status.as_u16(), part.bytes.len()), (206, 10));
    let all = fetch(&node, Method::GET, &url, &[(RANGE, "bytes=0-9"), (IF_RANGE, "\"another\"")]).await;
    assert_eq!((all.status.as_u16(), all.bytes.len()), (200, 300_000));
    let reply = fetch(&node, Method::GET, &url, &[(RANGE, "bytes=0-9"), (IF_NONE_MATCH, &etag)]).await;
    assert_eq!(reply.status, 304, "what is had is had in part, too");
}

#[tokio::test]
async fn head_tells_all_but_the_bytes() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let (_, url) = uploaded(&node, &ada, 300_000).await;
    let get = fetch(&node, Method::GET, &url, &[]).await;
    let head = fetch(&node, Method::HEAD, &url, &[(RANGE, "bytes=0-9")]).await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    assert_eq!(head.headers[CONTENT_LENGTH], "300000");
    for (name, value) in &get.headers {
        let differs = ["date", "x-request-id", "cache-control"].contains(&name.as_str());
        assert!(differs || head.headers.get(name) == Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_all_there_breaks_off() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let bytes = picture(1_000_000);
    let uploaded = upload(&node, &ada, "image/png", &bytes).await.ok();
    let chunks = node.store.database().collection::<Document>(store::upload::CHUNKS);
    chunks.delete_one(doc! {"n": 2}).await.unwrap();
    let path = url(&uploaded);
    let broken = tokio::spawn(async move { fetch(&node, Method::GET, &path, &[]).await }).await;
    // The client sees that the file is shorter than was said.
    assert!(broken.is_err());
}
