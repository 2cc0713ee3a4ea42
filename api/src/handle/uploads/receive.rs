//! Files on their way in: from a body, as it is or as a part of a form, into the database, a piece at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::BodyDataStream;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use protocol::input::Invalid;
use protocol::{ErrorCode, Id};
use store::upload::{Metadata, Upload};
use tokio::time::{Instant, timeout_at};

use super::kind::{HEAD, Kind, TAKEN, TextCheck};
use super::name;
use crate::answer::{BoxError, Failure};
use crate::app::App;

/// The part of a form that is the file.
const PART: &str = "file";
/// How many bytes a form may have beside its file: other parts, which nobody reads, and the heads of all.
const BESIDE: u64 = 1 << 20;

/// Stores the file that a request carries. If this fails, or is dropped, nothing of it stays.
///
/// # Errors
///
/// Whatever is wrong with the file, the client's connection, or the database.
pub(super) async fn receive(
    app: &App,
    owner: Id,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Upload, Failure> {
    let limit = app.config.upload_max_bytes;
    let deadline = Instant::now() + app.config.upload_timeout;
    let mut file = within(deadline, Source::open(headers, body, limit)).await?;
    let mut first = BytesMut::new();
    while first.len() < HEAD
        && let Some(piece) = within(deadline, file.next()).await?
    {
        first.extend_from_slice(&piece);
    }
    if first.is_empty() {
        return Err(Invalid::new(PART, "must not be empty").into());
    }
    let kind = Kind::of(file.declared.as_deref(), &first).ok_or_else(not_taken)?;
    let metadata = Metadata { owner, content_type: kind.0.to_owned() };
    let mut text = kind.is_text().then(TextCheck::default);
    let mut writer = app.store.start_upload(metadata, file.name.take());
    let mut next = Some(first.freeze());
    while let Some(piece) = next {
        if text.as_mut().is_some_and(|text| !text.goes_on(&piece)) {
            return Err(not_taken());
        }
        writer.write(&piece).await?;
        next = within(deadline, file.next()).await?;
    }
    if text.is_some_and(|text| !text.may_end()) {
        return Err(not_taken());
    }
    Ok(writer.finish().await?)
}

fn not_taken() -> Failure {
    let message = format!("The file must be what its type says, and one of these: {TAKEN}");
    Failure::new(ErrorCode::UnsupportedMediaType, message)
}

fn too_large(limit: u64) -> Failure {
    Failure::new(ErrorCode::TooLarge, format!("The file is too large: it may have {limit} bytes"))
}

fn cut_short() -> Failure {
    Invalid::new("body", "was cut short").into()
}

/// What the client does must be done before the deadline.
async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Failure::new(ErrorCode::RequestTimeout, "The file did not arrive in time");
    timeout_at(deadline, work).await.map_err(late)?
}

/// A file in a body.
struct Source<'a> {
    /// Its type, as the client says.
    declared: Option<String>,
    /// Its name, as the client says.
    name: Option<String>,
    bytes: Pieces<'a>,
    /// How many have come.
    size: u64,
    /// How many may.
    limit: u64,
}

/// Where its bytes come from.
enum Pieces<'a> {
    /// The body is the file.
    Body(BodyDataStream<&'a mut Incoming>),
    /// The file is a part of a form.
    Part(Box<Part<'a>>),
}

/// A part of a form.
struct Part<'a> {
    form: Multipart<'a>,
    /// Until its end is reached.
    part: Option<Field<'a>>,
    /// How many bytes of it have come out of the form.
    out: Arc<AtomicU64>,
}

/// A form has more beside its file than it may.
#[derive(Debug)]
struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the form is too large")
    }
}

impl std::error::Error for TooMuch {}

impl<'a> Source<'a> {
    async fn open(headers: &HeaderMap, body: &'a mut Incoming, limit: u64) -> Result<Self, Failure> {
        let declared = text_of(headers);
        let boundary = declared.as_deref().map(multer::parse_boundary);
        let announced = body.size_hint().lower();
        let (at_most, boundary) = match boundary {
            Some(Ok(boundary)) => (limit.saturating_add(BESIDE), Some(boundary)),
            Some(Err(multer::Error::NoBoundary)) => {
                return Err(Invalid::new("body", "has no boundary").into());
            }
            _ => (limit, None),
        };
        if announced > at_most {
            return Err(too_large(limit));
        }
        match boundary {
            Some(boundary) => Self::open_form(body, boundary, limit).await,
            None => {
                let (name, bytes) = (name::of_body(headers), Pieces::Body(BodyDataStream::new(body)));
                Ok(Self { declared, name, bytes, size: 0, limit })
            }
        }
    }

    async fn open_form(body: &'a mut Incoming, boundary: String, limit: u64) -> Result<Self, Failure> {
        let out = Arc::new(AtomicU64::new(0));
        let (counted, mut came) = (out.clone(), 0);
        // What has come in and not gone out is kept in memory, or was of no use: neither may grow without end.
        let stream = BodyDataStream::new(body).map(move |piece| {
            let piece: Bytes = piece.map_err(BoxError::from)?;
            came += piece.len() as u64;
            let beside = came.saturating_sub(counted.load(Ordering::Relaxed));
            if beside > BESIDE { Err(BoxError::from(TooMuch)) } else { Ok(piece) }
        });
        let mut form = Multipart::new(stream, boundary);
        loop {
            let part = form.next_field().await.map_err(|error| form_failure(error, limit))?;
            let part = part.ok_or_else(|| Failure::from(Invalid::new(PART, "is required")))?;
            if part.name() == Some(PART) {
                let (declared, name) = (text_of(part.headers()), part.file_name().and_then(name::clean));
                let bytes = Pieces::Part(Box::new(Part { form, part: Some(part), out }));
                return Ok(Self { declared, name, bytes, size: 0, limit });
            }
        }
    }

    /// The next bytes of the file; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = match &mut self.bytes {
            Pieces::Body(stream) => stream.next().await.transpose().map_err(|_| cut_short())?,
            Pieces::Part(part) => part.next().await.map_err(|error| form_failure(error, self.limit))?,
        };
        self.size += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.size > self.limit { Err(too_large(self.limit)) } else { Ok(piece) }
    }
}

impl Part<'_> {
    /// The next bytes of the part. Behind it the form is read to its end, for one that is cut short there was not sent
    /// whole either.
    async fn next(&mut self) -> Result<Option<Bytes>, multer::Error> {
        let Some(part) = &mut self.part else { return Ok(None) };
        if let Some(piece) = part.chunk().await? {
            self.out.fetch_add(piece.len() as u64, Ordering::Relaxed);
            return Ok(Some(piece));
        }
        self.part = None;
        while self.form.next_field().await?.is_some() {}
        Ok(None)
    }
}

fn form_failure(error: multer::Error, limit: u64) -> Failure {
    use multer::Error as E;
    match error {
        E::StreamReadFailed(error) if error.is::<TooMuch>() => too_large(limit),
        E::StreamReadFailed(_)
        | E::IncompleteStream
        | E::IncompleteFieldData { .. }
        | E::IncompleteHeaders => cut_short(),
        _ => Invalid::new("body", "is not a form").into(),
    }
}

/// The media type that headers tell.
fn text_of(headers: &HeaderMap) -> Option<String> {
    headers.get(CONTENT_TYPE)?.to_str().ok().map(str::to_owned)
}
