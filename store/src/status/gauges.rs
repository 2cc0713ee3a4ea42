//! `linkup_mongodb_*`, but for what is this process's own.

use service::metrics::{Counter, Gauge, Registry};

use super::members::Members;
use super::server::Server;

/// The kinds of operations, as `serverStatus` calls them.
pub(super) const OPERATIONS: [&str; 6] = ["insert", "query", "update", "delete", "getmore", "command"];

#[derive(Debug)]
pub(super) struct Gauges {
    up: Gauge,
    has_primary: Gauge,
    members: [Gauge; 4],
    majority_margin: Gauge,
    replication_lag: Gauge,
    oplog_window: Gauge,
    connections: [Gauge; 3],
    cache: [Gauge; 3],
    queue: [Gauge; 2],
    operations: [Counter; OPERATIONS.len()],
    flow_control: Gauge,
}

impl Gauges {
    pub(super) fn new(registry: &Registry) -> Self {
        let one = |name, help| registry.gauge(name, help, &[]);
        Self {
            up: one("linkup_mongodb_up", "1 if the last question to MongoDB was answered"),
            has_primary: one("linkup_mongodb_has_primary", "1 while the replica set has a primary"),
            members: registry.gauges(
                "linkup_mongodb_members",
                "Members of the replica set",
                "state",
                ["primary", "secondary", "other", "down"],
            ),
            majority_margin: one(
                "linkup_mongodb_majority_margin",
                "Voting members that are up beyond a majority",
            ),
            replication_lag: one(
                "linkup_mongodb_replication_lag_seconds",
                "How far the secondary that is furthest behind is behind",
            ),
            oplog_window: one(
                "linkup_mongodb_oplog_window_seconds",
                "Time between the first and the last entry of the oplog",
            ),
            connections: registry.gauges(
                "linkup_mongodb_connections",
                "Connections to MongoDB, of all its clients",
                "state",
                ["current", "available", "active"],
            ),
            cache: registry.gauges(
                "linkup_mongodb_cache_bytes",
                "WiredTiger's cache",
                "kind",
                ["used", "dirty", "max"],
            ),
            queue: registry.gauges(
                "linkup_mongodb_queue_operations",
                "Operations that wait in MongoDB",
                "kind",
                ["readers", "writers"],
            ),
            operations: registry.counters(
                "linkup_mongodb_operations_total",
                "Operations of MongoDB, for all its clients",
                "kind",
                OPERATIONS,
            ),
            flow_control: one(
                "linkup_mongodb_flow_control",
                "1 while MongoDB slows writes down for its secondaries",
            ),
        }
    }

    pub(super) fn show_up(&self, is_up: bool) {
        self.up.set(flag(is_up));
    }

    pub(super) fn show_primary(&self, is_there: bool) {
        self.has_primary.set(flag(is_there));
    }

    pub(super) fn show_members(&self, members: &Members) {
        let Members { primary, secondary, other, down, margin, lag_seconds } = *members;
        self.show_primary(primary > 0);
        set(&self.members, [primary, secondary, other, down].map(|count| count as f64));
        self.majority_margin.set(margin as f64);
        self.replication_lag.set(lag_seconds);
    }

    pub(super) fn show_server(&self, server: &Server) {
        set(&self.connections, server.connections);
        set(&self.cache, server.cache);
        set(&self.queue, server.queue);
        self.flow_control.set(flag(server.is_slowed));
        if let Some(window) = server.oplog_window {
            self.oplog_window.set(window as f64);
        }
    }

    /// Two watchers in one process count the same: the one that counted more is right.
    pub(super) fn show_operations(&self, totals: [u64; OPERATIONS.len()]) {
        self.operations.iter().zip(totals).for_each(|(counter, total)| counter.absolute(total));
    }
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn set<const N: usize>(gauges: &[Gauge; N], values: [f64; N]) {
    gauges.iter().zip(values).for_each(|(gauge, value)| gauge.set(value));
}
