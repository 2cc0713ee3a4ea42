//! What goes to the api and comes back.

use service::labels;
use service::metrics::{AtomicHistogram, Counter, Histogram, Registry};

/// The handles.
#[derive(Debug)]
pub(crate) struct Api {
    batches: [Counter; Called::LABELS.len()],
    commands: [Counter; Called::LABELS.len()],
    pub(crate) retries: Counter,
    pub(crate) call_seconds: Histogram,
    proxied: [Counter; Proxied::LABELS.len()],
    pub(crate) proxy_seconds: Histogram,
    /// From a message's receipt to the batch that carries it.
    pub(crate) queue_stage: AtomicHistogram,
}

labels! {
    /// What became of a batch.
    pub(crate) enum Called {
        FirstTry = "first_try",
        Retried = "retried",
        Failed = "failed",
    }
}

labels! {
    /// What became of a request that was passed through.
    pub(crate) enum Proxied {
        Answered = "answered",
        Unreachable = "unreachable",
        Late = "late",
    }
}

impl Api {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            batches: registry.counters(
                "linkup_gateway_api_batches_total",
                "Batches to the api",
                "result",
                Called::LABELS,
            ),
            commands: registry.counters(
                "linkup_gateway_api_commands_total",
                "Commands in batches to the api",
                "result",
                Called::LABELS,
            ),
            retries: registry.counter("linkup_gateway_api_retries_total", "Attempts after the first", &[]),
            call_seconds: registry.histogram(
                "linkup_gateway_api_call_seconds",
                "From sending a batch to its answer, for each attempt that was answered",
                &[],
            ),
            proxied: registry.counters(
                "linkup_gateway_proxied_total",
                "Requests passed through to the api",
                "outcome",
                Proxied::LABELS,
            ),
            proxy_seconds: registry.histogram(
                "linkup_gateway_proxy_seconds",
                "From a request's head to the head of the api's answer",
                &[],
            ),
            queue_stage: registry.atomic_histogram(
                "linkup_message_stage_seconds",
                "The stages of a message on its way",
                &[("stage", "gateway_queue")],
            ),
        }
    }

    /// Counts a batch of so many commands.
    pub(crate) fn called(&self, outcome: Called, commands: usize) {
        self.batches[outcome as usize].increment(1);
        self.commands[outcome as usize].increment(commands as u64);
    }

    /// Counts a request that was passed through.
    pub(crate) fn proxied(&self, outcome: Proxied) {
        self.proxied[outcome as usize].increment(1);
    }
}
