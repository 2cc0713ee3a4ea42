//! What a client is still sending when its request has been answered.
//!
//! A connection that is closed while the other side still sends is reset, and with that the answer is often lost: a
//! client learns that "the connection broke" instead of that its file is too large. So what is left is read, and
//! dropped.

use std::pin::pin;
use std::time::Duration;

use bytes::Buf as _;
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// Reads what is left of a request's body in a task of its own, and drops it: at most `limit` bytes, for at most
/// `patience`. Whatever comes then costs the client its answer.
///
/// To be called with the body of a request that is answered without having been read, before the answer is returned.
/// Must be called within a runtime.
pub fn discard<B>(body: B, limit: u64, patience: Duration)
where
    B: Body<Data: Send> + Send + 'static,
{
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(tokio::time::timeout(patience, async move {
        let mut body = pin!(body);
        let mut left = limit;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use hyper::body::Frame;
    use tokio::sync::oneshot;

    use super::*;

    /// Sends five bytes at a time, so many times, and then neither more nor an end.
    struct Sending {
        times: u32,
        read: Arc<AtomicU32>,
        /// Whoever waits at the other end learns when this body is dropped.
        _dropped: oneshot::Sender<()>,
    }

    impl Body for Sending {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.read.load(Ordering::Relaxed) == self.times {
                return Poll::Pending;
            }
            self.read.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"bytes")))))
        }
    }

    /// Discards, and tells how many times was read before it was given up.
    async fn read(times: u32, limit: u64, patience: Duration) -> u32 {
        let (_dropped, dropped) = oneshot::channel();
        let read = Arc::<AtomicU32>::default();
        discard(Sending { times, read: read.clone(), _dropped }, limit, patience);
        assert!(tokio::time::timeout(Duration::from_secs(10), dropped).await.unwrap().is_err());
        read.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_limit_and_nobody_is_waited_for_for_ever() {
        assert_eq!(read(100, 10, Duration::from_secs(60)).await, 3, "the third time is over the limit");
        assert_eq!(read(7, u64::MAX, Duration::from_millis(20)).await, 7);
    }
}
