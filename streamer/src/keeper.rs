//! Keeps the lease: renews it in the background and says when it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use service::shutdown::Shutdown;
use store::lease::{Lease, ResumePoint};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::metrics::{LeaseOutcome, Metrics};

/// A lease that is renewed until this is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    lease: Lease,
    /// Until when nobody else can have taken the lease, by this process's clock.
    valid_until: watch::Receiver<Instant>,
    lost: Shutdown,
    stop: Shutdown,
    task: JoinHandle<()>,
    saving: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

impl Keeper {
    /// Keeps `lease`, which was asked for at `asked`.
    pub(crate) fn new(lease: Lease, asked: Instant, ttl: Duration, metrics: Arc<Metrics>) -> Self {
        let (sender, valid_until) = watch::channel(asked + ttl);
        let lost = Shutdown::new();
        let stop = Shutdown::new();
        let renewing = renew(lease.clone(), ttl, sender, lost.clone(), stop.clone(), Arc::clone(&metrics));
        let task = tokio::spawn(renewing);
        Self { lease, valid_until, lost, stop, task, saving: None, metrics }
    }

    /// The term of the lease.
    pub(crate) fn term(&self) -> u64 {
        self.lease.term as u64
    }

    /// Whether the lease is certainly held at this moment.
    pub(crate) fn is_held(&self) -> bool {
        !self.lost.is_cancelled() && Instant::now() < *self.valid_until.borrow()
    }

    /// Returns when the lease is lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Saves the resume point in the background, unless the last save is still under way: the next one will
    /// carry a later point anyway. True if it was begun.
    pub(crate) fn save(&mut self, point: ResumePoint) -> bool {
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return false;
        }
        let (lease, lost, metrics) = (self.lease.clone(), self.lost.clone(), Arc::clone(&self.metrics));
        self.saving = Some(tokio::spawn(async move {
            match lease.save(&point).await {
                Ok(true) => {
                    metrics.saves.increment(1);
                    metrics.lag.saved(point.time);
                }
                Ok(false) => lost.cancel(),
                Err(error) => {
                    metrics.failed_saves.increment(1);
                    warn!(%error, "the resume point could not be saved; a restart begins further back");
                }
            }
        }));
        true
    }

    /// Forgets where the stream stood: it cannot be resumed there.
    pub(crate) async fn forget(&self) {
        if let Err(error) = self.lease.forget().await {
            warn!(%error, "the resume point could not be forgotten; the next start fails as this one");
        }
    }

    /// Gives the lease back, after saving where the stream stands.
    pub(crate) async fn release(mut self, point: Option<ResumePoint>) {
        // A renewal under way must not land after the release: it would hold the lease for nobody.
        self.stop.cancel();
        drop((&mut self.task).await);
        if let Some(saving) = self.saving.take() {
            drop(saving.await);
        }
        if !self.is_held() {
            return;
        }
        if let Some(point) = point
            && let Err(error) = self.lease.save(&point).await
        {
            warn!(%error, "the resume point could not be saved; the next start begins further back");
        }
        if let Err(error) = self.lease.release().await {
            warn!(%error, "the lease could not be given back; the next streamer waits until it runs out");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renew(
    lease: Lease,
    ttl: Duration,
    valid_until: watch::Sender<Instant>,
    lost: Shutdown,
    stop: Shutdown,
    metrics: Arc<Metrics>,
) {
    let mut tick = tokio::time::interval(ttl / 3);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // Counted from before the request: the server's period begins later, so ours ends first.
        let asked = Instant::now();
        match tokio::time::timeout(ttl, lease.renew(ttl)).await {
            Ok(Ok(true)) => {
                metrics.lease(LeaseOutcome::Renewed);
                // Whoever listens is gone only when this task is to end.
                let _ = valid_until.send(asked + ttl);
            }
            Ok(Ok(false)) => {
                metrics.lease(LeaseOutcome::Lost);
                return lost.cancel();
            }
            Ok(Err(error)) => {
                metrics.lease(LeaseOutcome::Failed);
                warn!(%error, "the lease could not be renewed; trying again");
            }
            Err(_) => {
                metrics.lease(LeaseOutcome::Failed);
                warn!("the lease could not be renewed in time; trying again");
            }
        }
    }
}
