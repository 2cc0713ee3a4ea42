//! The writing half of a connection: whatever waits goes out in one vectored write.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::tcp::WriteHalf;

use super::conn::{Conn, Progress, Supply};
use super::frame::Item;
use super::metrics::Metrics;

/// How many slices one write takes at most; each frame is two.
const SLICES: usize = 128;

/// Frames that were taken from the connection's queue and are being written.
#[derive(Default)]
pub(super) struct Writer {
    batch: VecDeque<Item>,
    /// How many bytes of the first frame are written already.
    offset: usize,
}

impl From<VecDeque<Item>> for Writer {
    /// Goes on with frames that were taken from the queue already.
    fn from(batch: VecDeque<Item>) -> Self {
        Self { batch, offset: 0 }
    }
}

/// Where a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// All is written; a new frame will wake the task.
    Done,
    /// The peer takes no more; the socket will wake the task.
    Blocked,
    /// The task must look at the connection's phase again.
    Attention,
}

impl Writer {
    /// Writes what is queued, as far as the peer takes it.
    pub(super) fn flush(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut WriteHalf<'_>,
        conn: &Arc<Conn>,
    ) -> io::Result<Flush> {
        let mut progress = Progress::default();
        loop {
            match conn.supply(&mut self.batch, self.offset > 0, progress, context) {
                Supply::Work => {}
                Supply::Idle => return Ok(Flush::Done),
                Supply::Attention => return Ok(Flush::Attention),
            }
            progress = match self.poll_write(context, stream, &conn.shared.metrics) {
                Poll::Ready(result) => result?,
                Poll::Pending if conn.block(context) => return Ok(Flush::Attention),
                Poll::Pending => return Ok(Flush::Blocked),
            };
        }
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut WriteHalf<'_>,
        metrics: &Metrics,
    ) -> Poll<io::Result<Progress>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.fill(&mut slices);
        let written = ready!(Pin::new(stream).poll_write_vectored(context, &slices[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        metrics.bytes_sent.increment(written as u64);
        Poll::Ready(Ok(Progress { any: true, cost: self.advance(written, metrics) }))
    }

    /// Lays out the first frames of the batch, less what is written, and tells how many slices that took.
    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut skip = self.offset;
        for part in self.batch.iter().flat_map(Item::parts) {
            if count == slices.len() {
                break;
            }
            let rest = &part[skip.min(part.len())..];
            skip -= part.len() - rest.len();
            if !rest.is_empty() {
                slices[count] = IoSlice::new(rest);
                count += 1;
            }
        }
        count
    }

    /// Drops the frames that are written now, and tells what they cost.
    fn advance(&mut self, written: usize, metrics: &Metrics) -> usize {
        self.offset += written;
        let (mut cost, mut finished) = (0, metrics.written());
        while let Some(first) = self.batch.front()
            && first.len() <= self.offset
        {
            self.offset -= first.len();
            cost += first.cost();
            finished.add(first);
            self.batch.pop_front();
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use service::metrics::Registry;

    use super::super::Event;
    use super::super::frame::{To, Wire};
    use super::*;

    const TO: To<'static> = To { wire: Wire::SocketIo, namespace: "" };

    #[test]
    fn any_partial_write_continues_where_it_stopped() {
        let events: Vec<Event> =
            [0, 1, 130, 3].iter().map(|&n| Event::new(vec![b'a' + n as u8 % 26; n].into())).collect();
        let metrics = Metrics::new(&Registry::new());
        let whole: Vec<u8> = events.iter().flat_map(|e| e.items(TO).0.parts().concat()).collect();
        for step in 1..whole.len() {
            let mut writer = Writer::default();
            writer.batch.extend(events.iter().map(|e| e.items(TO).0));
            let total: usize = writer.batch.iter().map(Item::cost).sum();
            let (mut out, mut cost) = (Vec::new(), 0);
            while !writer.batch.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                let count = writer.fill(&mut slices);
                let bytes: Vec<u8> =
                    slices[..count].iter().flat_map(|s| s.iter().copied()).take(step).collect();
                out.extend_from_slice(&bytes);
                cost += writer.advance(bytes.len(), &metrics);
            }
            assert_eq!((out, cost, writer.offset), (whole.clone(), total, 0));
        }
        assert_eq!(metrics.frames_sent.get(), (events.len() * (whole.len() - 1)) as u64);
    }
}
