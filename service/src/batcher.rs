//! Coalescing: while one batch is in flight, the next one fills.
//!
//! There is no timer, so a lone request waits for nobody; under load batches grow by themselves to what the
//! backend takes per round trip. One batch is in flight at a time, so requests take effect in the order in
//! which they were enqueued.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::metrics::{AtomicHistogram, Counter, Gauge, Histogram, Registry};

/// How much a [`Batcher`] takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most requests in one batch.
    pub batch: usize,
    /// The most requests that wait; one more is refused.
    pub queue: usize,
}

/// Why a request was not taken on, or not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full.
    #[error("too many requests are waiting")]
    Overloaded,
    /// The batcher has stopped, or its work panicked.
    #[error("the batcher has stopped")]
    Stopped,
}

/// `linkup_batcher_*` of one or several batchers that do the same work, such as the lanes of a gateway.
#[derive(Clone, Debug)]
pub struct BatcherMetrics {
    items: Histogram,
    wait: AtomicHistogram,
    queue: Gauge,
    refused: Counter,
}

impl BatcherMetrics {
    /// Makes the handles. `batcher` names the work.
    #[must_use]
    pub fn new(registry: &Registry, batcher: &'static str) -> Self {
        let labels = [("batcher", batcher)];
        let wait = "From enqueueing a request to the start of its batch";
        Self {
            items: registry.histogram("linkup_batcher_batch_items", "Requests in a batch", &labels),
            wait: registry.atomic_histogram("linkup_batcher_wait_seconds", wait, &labels),
            queue: registry.gauge("linkup_batcher_queue_items", "Requests that wait", &labels),
            refused: registry.counter(
                "linkup_batcher_refused_total",
                "Requests refused because the queue was full",
                &labels,
            ),
        }
    }

    fn taken<Req, Res>(&self, batch: &[Entry<Req, Res>]) {
        self.queue.decrement(batch.len() as f64);
        self.items.record(batch.len() as f64);
        let now = Instant::now();
        batch.iter().for_each(|entry| self.wait.record(now - entry.enqueued));
    }
}

struct Entry<Req, Res> {
    request: Req,
    enqueued: Instant,
    answer: oneshot::Sender<Res>,
}

/// Hands requests in batches to one asynchronous function and each answer back to who asked.
#[derive(Debug)]
pub struct Batcher<Req, Res> {
    queue: mpsc::Sender<Entry<Req, Res>>,
    metrics: BatcherMetrics,
}

impl<Req, Res> Clone for Batcher<Req, Res> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), metrics: self.metrics.clone() }
    }
}

impl<Req: Send + 'static, Res: Send + 'static> Batcher<Req, Res> {
    /// Starts a batcher. `process` gets each batch and returns as many answers, in the same order. The task
    /// ends when every clone of the batcher is dropped and what was enqueued is done.
    pub fn spawn<F, Fut>(limits: Limits, metrics: BatcherMetrics, mut process: F) -> Self
    where
        F: FnMut(Vec<Req>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<Res>> + Send,
    {
        let (queue, mut entries) = mpsc::channel::<Entry<Req, Res>>(limits.queue.max(1));
        let batch = limits.batch.max(1);
        let counted = metrics.clone();
        tokio::spawn(async move {
            let mut filled = Vec::new();
            while entries.recv_many(&mut filled, batch).await > 0 {
                counted.taken(&filled);
                let (requests, answers): (Vec<_>, Vec<_>) =
                    filled.drain(..).map(|entry| (entry.request, entry.answer)).unzip();
                let results = process(requests).await;
                debug_assert_eq!(results.len(), answers.len(), "an answer for each request");
                for (answer, result) in answers.into_iter().zip(results) {
                    // Who asked may have gone away; its request has taken effect all the same.
                    drop(answer.send(result));
                }
            }
        });
        Self { queue, metrics }
    }

    /// Enqueues a request at once, behind every earlier one, and returns where its answer will come.
    ///
    /// # Errors
    ///
    /// When the queue is full or the batcher has stopped; the request had no effect.
    pub fn enqueue(&self, request: Req) -> Result<oneshot::Receiver<Res>, Refused> {
        self.enqueue_or_return(request).map_err(|(refused, _)| refused)
    }

    /// [`Batcher::enqueue`], for a request that is still needed when it is refused.
    ///
    /// # Errors
    ///
    /// As [`Batcher::enqueue`], with the request.
    pub fn enqueue_or_return(&self, request: Req) -> Result<oneshot::Receiver<Res>, (Refused, Req)> {
        let (answer, receiver) = oneshot::channel();
        // Before it is sent, so that the number of those who wait is never below zero.
        self.metrics.queue.increment(1.0);
        let sent = self.queue.try_send(Entry { request, enqueued: Instant::now(), answer });
        if sent.is_err() {
            self.metrics.queue.decrement(1.0);
        }
        match sent {
            Ok(()) => Ok(receiver),
            Err(mpsc::error::TrySendError::Full(entry)) => {
                self.metrics.refused.increment(1);
                Err((Refused::Overloaded, entry.request))
            }
            Err(mpsc::error::TrySendError::Closed(entry)) => Err((Refused::Stopped, entry.request)),
        }
    }

    /// Enqueues a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// As [`Batcher::enqueue`]; [`Refused::Stopped`] also when the work panicked, and then the request may
    /// have taken effect.
    pub async fn call(&self, request: Req) -> Result<Res, Refused> {
        self.enqueue(request)?.await.map_err(|_| Refused::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Semaphore;

    use super::*;

    fn metrics() -> BatcherMetrics {
        BatcherMetrics::new(&Registry::new(), "test")
    }

    #[tokio::test]
    async fn what_comes_while_a_batch_is_in_flight_goes_together_and_in_order() {
        let gate = Arc::new(Semaphore::new(0));
        let seen: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
        let batcher = Batcher::spawn(Limits { batch: 3, queue: 10 }, metrics(), {
            let (gate, seen) = (gate.clone(), seen.clone());
            move |batch: Vec<u32>| {
                let (gate, seen) = (gate.clone(), seen.clone());
                async move {
                    gate.acquire().await.unwrap().forget();
                    seen.lock().unwrap().push(batch.clone());
                    batch.iter().map(|n| n * 10).collect()
                }
            }
        });
        let first = batcher.enqueue(1).unwrap();
        // The first batch is taken before the others are enqueued.
        while batcher.queue.capacity() < 10 {
            tokio::task::yield_now().await;
        }
        let rest: Vec<_> = (2..=6).map(|n| batcher.enqueue(n).unwrap()).collect();
        gate.add_permits(10);
        assert_eq!(first.await, Ok(10));
        for (n, answer) in (2..=6).zip(rest) {
            assert_eq!(answer.await, Ok(n * 10));
        }
        assert_eq!(*seen.lock().unwrap(), [vec![1], vec![2, 3, 4], vec![5, 6]]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_nothing_is_lost() {
        let gate = Arc::new(Semaphore::new(0));
        let registry = Registry::new();
        let batcher =
            Batcher::spawn(Limits { batch: 1, queue: 1 }, BatcherMetrics::new(&registry, "test"), {
                let gate = gate.clone();
                move |batch: Vec<u32>| {
                    let gate = gate.clone();
                    async move {
                        gate.acquire().await.unwrap().forget();
                        batch
                    }
                }
            });
        let first = batcher.enqueue(1).unwrap();
        while batcher.queue.capacity() < 1 {
            tokio::task::yield_now().await;
        }
        let second = batcher.enqueue(2).unwrap();
        assert_eq!(batcher.enqueue(3).unwrap_err(), Refused::Overloaded);
        let value = |name: &str| registry.value(name, &[("batcher", "test")]).unwrap();
        assert!(value("linkup_batcher_queue_items") <= 1.0);
        assert!((value("linkup_batcher_refused_total") - 1.0).abs() < f64::EPSILON);
        gate.add_permits(2);
        assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
        assert_eq!(value("linkup_batcher_wait_seconds_count"), 2.0);
        assert_eq!(value("linkup_batcher_batch_items_sum"), 2.0);
        assert_eq!(value("linkup_batcher_queue_items"), 0.0);
    }

    #[tokio::test]
    async fn a_panic_is_told_to_who_waits_and_to_who_comes_later() {
        let batcher =
            Batcher::spawn(Limits { batch: 1, queue: 8 }, metrics(), |batch: Vec<u32>| async move {
                assert!(batch[0] != 7, "seven");
                batch
            });
        assert_eq!(batcher.call(1).await, Ok(1));
        assert_eq!(batcher.call(7).await, Err(Refused::Stopped));
        assert_eq!(batcher.call(2).await, Err(Refused::Stopped));
    }
}
