//! What the driver says of its connections.

use std::sync::{Mutex, PoisonError};

use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::options::{ClientOptions, ServerAddress};
use rustc_hash::FxHashSet;
use service::metrics::{Counter, Gauge, Histogram, Registry};

/// A connection: its server, and its number there.
type Connection = (ServerAddress, u32);

/// `linkup_mongodb_pool_*` of one client.
struct Pool {
    open: Gauge,
    checked_out: Gauge,
    wait: Histogram,
    failures: Counter,
    connections: Mutex<Connections>,
}

/// Kept by name, since not every event has its counterpart: a connection that nobody waits for any longer is given back
/// without ever having been handed out, and one that did not come up is closed without ever having been open.
#[derive(Default)]
struct Connections {
    open: FxHashSet<Connection>,
    checked_out: FxHashSet<Connection>,
}

/// Has the driver tell of its connections. Whoever is told already still is.
pub(crate) fn watch(options: &mut ClientOptions, registry: &Registry, client: &'static str) {
    let pool = Pool::new(registry, client);
    let others = options.cmap_event_handler.take();
    options.cmap_event_handler = Some(EventHandler::callback(move |event: CmapEvent| {
        pool.note(&event);
        if let Some(others) = &others {
            pass_on(others, event);
        }
    }));
}

/// What the driver itself does with a handler.
fn pass_on(handler: &EventHandler<CmapEvent>, event: CmapEvent) {
    match handler {
        EventHandler::Callback(callback) => callback(event),
        EventHandler::AsyncCallback(callback) => drop(tokio::spawn(callback(event))),
        EventHandler::TokioMpsc(sender) => {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(event).await });
        }
        _ => tracing::warn!("unsupported kind of handler for events of the connection pool"),
    }
}

impl Pool {
    fn new(registry: &Registry, client: &'static str) -> Self {
        let connections = |state| {
            let labels = [("client", client), ("state", state)];
            registry.gauge("linkup_mongodb_pool_connections", "Connections to MongoDB", &labels)
        };
        let label = [("client", client)];
        Self {
            open: connections("open"),
            checked_out: connections("checked_out"),
            wait: registry.histogram(
                "linkup_mongodb_pool_wait_seconds",
                "Wait for a connection to MongoDB",
                &label,
            ),
            failures: registry.counter(
                "linkup_mongodb_pool_failures_total",
                "Connections to MongoDB that could not be had",
                &label,
            ),
            connections: Mutex::default(),
        }
    }

    fn note(&self, event: &CmapEvent) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Connections { open, checked_out } = &mut *connections;
        match event {
            CmapEvent::ConnectionReady(ready) => {
                add(open, (ready.address.clone(), ready.connection_id), &self.open);
            }
            CmapEvent::ConnectionCheckedOut(out) => {
                add(checked_out, (out.address.clone(), out.connection_id), &self.checked_out);
                self.wait.record(out.duration.as_secs_f64());
            }
            CmapEvent::ConnectionCheckedIn(back) => {
                remove(checked_out, &(back.address.clone(), back.connection_id), &self.checked_out);
            }
            CmapEvent::ConnectionClosed(closed) => {
                let connection = (closed.address.clone(), closed.connection_id);
                remove(checked_out, &connection, &self.checked_out);
                remove(open, &connection, &self.open);
            }
            CmapEvent::ConnectionCheckoutFailed(_) => self.failures.increment(1),
            _ => {}
        }
    }
}

fn add(connections: &mut FxHashSet<Connection>, connection: Connection, gauge: &Gauge) {
    if connections.insert(connection) {
        gauge.increment(1.0);
    }
}

fn remove(connections: &mut FxHashSet<Connection>, connection: &Connection, gauge: &Gauge) {
    if connections.remove(connection) {
        gauge.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mongodb::bson::{deserialize_from_document, doc};

    use super::*;

    #[test]
    fn connections_are_counted_whatever_their_events_lack_and_others_are_told_too() {
        let (registry, told) = (Registry::new(), Arc::new(AtomicUsize::default()));
        let mut options = ClientOptions::default();
        let counter = told.clone();
        options.cmap_event_handler = Some(EventHandler::callback(move |_: CmapEvent| {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        watch(&mut options, &registry, "api");
        let Some(EventHandler::Callback(note)) = options.cmap_event_handler else { panic!("no handler") };
        let number = |id: i32| doc! {"connectionId": id};
        let ready = |id| CmapEvent::ConnectionReady(deserialize_from_document(number(id)).unwrap());
        let out = |id| CmapEvent::ConnectionCheckedOut(deserialize_from_document(number(id)).unwrap());
        let back = |id| CmapEvent::ConnectionCheckedIn(deserialize_from_document(number(id)).unwrap());
        let closed = |id: i32| {
            let event = doc! {"connectionId": id, "reason": "error"};
            CmapEvent::ConnectionClosed(deserialize_from_document(event).unwrap())
        };
        let failed = CmapEvent::ConnectionCheckoutFailed(
            deserialize_from_document(doc! {"reason": "connectionError"}).unwrap(),
        );
        let counts = || {
            ["open", "checked_out"].map(|state| {
                let labels = [("client", "api"), ("state", state)];
                registry.value("linkup_mongodb_pool_connections", &labels).unwrap()
            })
        };
        [ready(1), ready(2), out(1), out(2)].into_iter().for_each(|event| note(event));
        assert_eq!(counts(), [2.0, 2.0]);
        // One is given back twice, one breaks in use, and one never comes up.
        [back(1), back(1), closed(2), closed(3), failed].into_iter().for_each(|event| note(event));
        assert_eq!(counts(), [1.0, 0.0]);
        let value = |name: &str| registry.value(name, &[("client", "api")]).unwrap();
        assert_eq!(value("linkup_mongodb_pool_wait_seconds_count"), 2.0);
        assert_eq!(value("linkup_mongodb_pool_failures_total"), 1.0);
        assert_eq!(told.load(Ordering::Relaxed), 9);
    }
}
