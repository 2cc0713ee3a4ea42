//! Files in and out.
//!
//! | module | holds |
//! |---|---|
//! | [`receive`] | files on their way in |
//! | [`kind`] | what kinds of files are taken, and how a file is known to be of one |
//! | [`name`] | the names of files |
//! | [`range`] | which part of a file is asked for |

mod kind;
mod name;
mod range;
mod receive;

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPECT, HeaderMap, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use protocol::{Id, Timestamp, model, upload};
use service::leftover;
use store::StoreError;
use store::upload::Upload;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::warn;

use self::range::Wanted;
use crate::answer::{Answer, BoxError, Failure, created, whole};
use crate::app::App;

/// How long a client that is refused while it is sending may go on, and how many times the largest file it may send, so
/// that it comes to read why.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_FILES: u64 = 4;

/// Pages of any origin may show what they have a link to.
const CROSS_ORIGIN: (HeaderName, HeaderValue) =
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
/// Should a browser ever be made to take a file for a page, it may do nothing.
const HARMLESS: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// `POST /api/uploads`: the file is the body, or the part `file` of a form. A command to know the caller, one for
/// each chunk, and one for the file.
pub(super) async fn create(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let (head, mut body) = request.into_parts();
    match store(app, &head.headers, &mut body).await {
        Ok(stored) => Ok(created(&stored)),
        Err(failure) => {
            // A client that sent `Expect` has not sent its body yet, so there is nothing to discard.
            if !head.headers.contains_key(EXPECT) {
                let limit = app.config.upload_max_bytes.saturating_mul(PATIENCE_FILES);
                leftover::discard(body, limit, PATIENCE);
            }
            Err(failure)
        }
    }
}

async fn store(app: &App, headers: &HeaderMap, body: &mut Incoming) -> Result<model::Upload, Failure> {
    let owner = app.caller(headers).await?.id;
    app.admit_upload(owner)?;
    let file = receive::receive(app, owner, headers, body).await?;
    let stored = upload::stored(file.id);
    Ok(model::Upload {
        mongo_id: file.id,
        id: file.id,
        url: app.config.links.shown(&stored, Timestamp::now()).into_owned(),
        content_type: file.metadata.content_type,
        size: file.length,
        name: file.filename,
    })
}

/// `GET /api/uploads/:id/:seal`: the seal is the permission. One command for the file, and one for each million bytes
/// or so.
pub(super) async fn serve(
    app: &App,
    request: &Request<Incoming>,
    id: Id,
    seal: &str,
) -> Result<Answer, Failure> {
    let now = Timestamp::now();
    let expires = app.config.links.verify(id, seal, now);
    let expires = expires.ok_or_else(|| Failure::forbidden("This link is not valid, or has expired"))?;
    let file = app.store.upload(id).await?.ok_or_else(|| Failure::not_found("File not found"))?;
    let (headers, size) = (request.headers(), u64::try_from(file.length).unwrap_or_default());
    let etag = format!("\"{id}\"");
    if range::is_known(headers, &etag) {
        return answer(StatusCode::NOT_MODIFIED, &file, &etag, expires.millis() - now.millis());
    }
    // Only what is sent has parts.
    let is_head = request.method() == Method::HEAD;
    let wanted = if is_head { Wanted::All } else { range::wanted(headers, size, &etag) };
    let (status, range, told) = match wanted {
        Wanted::All => (StatusCode::OK, 0..size, None),
        Wanted::Part(range) => {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, range, Some(told))
        }
        Wanted::Nothing => return no_such_part(size),
    };
    let mut response = answer(status, &file, &etag, expires.millis() - now.millis())?;
    if let Some(told) = told {
        response.headers_mut().insert(CONTENT_RANGE, value(told)?);
    }
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if !is_head {
        let permit = app.downloads.clone().try_acquire_owned().map_err(|_| Failure::unavailable())?;
        // The answer has begun, so all that is left is to break it off.
        let pieces = app.store.upload_bytes(&file, range);
        let pieces = pieces.inspect_err(move |error| warn!(%error, %id, "a file was not served to its end"));
        *response.body_mut() =
            StreamBody::new(feed(pieces, permit, STALL_TIMEOUT).map_ok(Frame::data)).boxed_unsync();
    }
    Ok(response)
}

/// A client that takes nothing for so long is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Passes the pieces of a file on as the client takes them. The reading is in a task of its own, so that whoever stalls
/// holds one piece and no cursor, and not for ever.
fn feed(
    pieces: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static,
    permit: OwnedSemaphorePermit,
    stall_timeout: Duration,
) -> impl Stream<Item = Result<Bytes, BoxError>> {
    let (given, mut taken) = mpsc::channel(1);
    tokio::spawn(async move {
        let _permit = permit;
        let mut pieces = pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let failed = piece.is_err();
            let passed = given.send(piece.map_err(BoxError::from));
            if !matches!(tokio::time::timeout(stall_timeout, passed).await, Ok(Ok(()))) || failed {
                return;
            }
        }
    });
    stream::poll_fn(move |context| taken.poll_recv(context))
}

fn no_such_part(size: u64) -> Result<Answer, Failure> {
    let mut response = Response::new(whole(""));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(CONTENT_RANGE, value(format!("bytes */{size}"))?);
    Ok(response)
}

fn value(text: String) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(text).map_err(Failure::fault)
}

/// An answer about a file, as yet without any of it.
fn answer(status: StatusCode, file: &Upload, etag: &str, millis_left: i64) -> Result<Answer, Failure> {
    let content_type = &file.metadata.content_type;
    let unnamed = || format!("{}.{}", file.id, kind::extension(content_type));
    let name = file.filename.clone().unwrap_or_else(unnamed);
    let mut response = Response::new(whole(""));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, value(kind::served(content_type))?);
    headers.insert(CONTENT_DISPOSITION, name::disposition(kind::is_shown(content_type), &name));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HARMLESS);
    headers.insert(CROSS_ORIGIN.0, CROSS_ORIGIN.1);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, value(etag.to_owned())?);
    // For as long as the link is good. What it leads to never changes, but it is not for everybody.
    headers
        .insert(CACHE_CONTROL, value(format!("private, max-age={}, immutable", millis_left.max(0) / 1000))?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    fn pieces(count: u8) -> impl Stream<Item = Result<Bytes, StoreError>> {
        stream::iter((0..count).map(|n| Ok(Bytes::from(vec![n]))))
    }

    async fn permit(downloads: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        downloads.clone().acquire_owned().await.unwrap()
    }

    #[tokio::test]
    async fn whoever_takes_a_file_gets_all_of_it() {
        let downloads = Arc::new(Semaphore::new(1));
        let fed = feed(pieces(20), permit(&downloads).await, Duration::from_secs(60));
        let got: Vec<Bytes> = fed.map(Result::unwrap).collect().await;
        assert_eq!(got, (0..20).map(|n| Bytes::from(vec![n])).collect::<Vec<_>>());
        drop(permit(&downloads).await);
    }

    #[tokio::test]
    async fn whoever_stalls_gives_the_place_back_and_never_gets_the_rest() {
        let downloads = Arc::new(Semaphore::new(1));
        let fed = feed(pieces(20), permit(&downloads).await, Duration::from_millis(10));
        // Nobody takes anything, until there is a place again.
        drop(permit(&downloads).await);
        assert!(fed.count().await < 20);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_to_its_end_is_broken_off() {
        let downloads = Arc::new(Semaphore::new(1));
        let broken = pieces(2).chain(stream::iter([Err(StoreError::TimedOut), Ok(Bytes::new())]));
        let fed = feed(broken, permit(&downloads).await, Duration::from_secs(60));
        let got: Vec<bool> = fed.map(|piece| piece.is_ok()).collect().await;
        assert_eq!(got, [true, true, false]);
    }
}
