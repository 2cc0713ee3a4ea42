//! Events: encoded once for all sockets.

use std::sync::Arc;

use bytes::Bytes;
use protocol::UnixMicros;

use super::{Head, Item, Stamp, To, Wire};

/// An event for any number of sockets, encoded once.
///
/// The JSON bytes are shared by all of them; a clone of an `Event` and its place in a socket's queue cost a
/// reference count and a few bytes of frame head. Only in other namespaces than `/`, and where an
/// acknowledgement is asked for, it is copied.
#[derive(Clone, Debug)]
pub struct Event {
    json: Bytes,
    socketio: Head,
    plain: Head,
    attached: Option<Arc<Attached>>,
    stamp: Stamp,
}

#[derive(Debug)]
struct Attached {
    /// The packet that announces the frames, for the main namespace.
    packet: Item,
    frames: Vec<Item>,
}

impl Event {
    /// See [`Event::timed_for_many`].
    pub const MANY: u64 = Stamp::MANY;

    /// The event whose JSON array (`["name", …]`) is `json`. It must be valid JSON, which is not checked.
    #[must_use]
    pub fn new(json: Bytes) -> Self {
        let socketio = Head::text(b"42", json.len());
        let plain = Head::text(b"", json.len());
        Self { json, socketio, plain, attached: None, stamp: Stamp::NONE }
    }

    /// The same with binary attachments, for which `{"_placeholder":true,"num":n}` stand in `json`. On other protocols
    /// than Socket.IO the attachments are left out.
    #[must_use]
    pub fn with_attachments(json: Bytes, attachments: Vec<Bytes>) -> Self {
        let mut event = Self::new(json);
        if !attachments.is_empty() {
            let packet = Item::text(b"45", body("", attachments.len(), None, &event.json));
            let frames = attachments.into_iter().map(Item::binary).collect();
            event.attached = Some(Arc::new(Attached { packet, frames }));
        }
        event
    }

    /// The same, timed: its first frame on each socket counts in `linkup_message_delivery_seconds` and in the stage
    /// `socket` once it is written. The first server of all `received` what it tells of then, and this one when it
    /// `arrived`.
    #[must_use]
    pub fn timed(mut self, received: UnixMicros, arrived: UnixMicros) -> Self {
        self.stamp = Stamp::new(received, arrived);
        self
    }

    /// The same on a socket that stands for [`Event::MANY`], itself included: it counts as often.
    #[must_use]
    pub fn timed_for_many(mut self, received: UnixMicros, arrived: UnixMicros) -> Self {
        self.stamp = Stamp::new(received, arrived).for_many();
        self
    }

    /// The same, not timed: for what is kept, because its client is not there.
    #[must_use]
    pub fn untimed(mut self) -> Self {
        self.stamp = Stamp::NONE;
        self
    }

    /// The frame of the event, and those that must come right behind it.
    pub(in super::super) fn items(&self, to: To<'_>) -> (Item, &[Item]) {
        let mut item = match (to.wire, &self.attached) {
            (Wire::SocketIo, Some(attached)) if to.namespace.is_empty() => attached.packet.clone(),
            (Wire::SocketIo, None) if to.namespace.is_empty() => Item::new(self.socketio, self.json.clone()),
            (Wire::SocketIo, _) => return self.build(to.namespace, None),
            (Wire::Engine, _) => Item::text(b"4", self.json.clone()),
            (Wire::Plain | Wire::Raw, _) => Item::new(self.plain, self.json.clone()),
        };
        item.stamp = self.stamp;
        (item, self.frames(to.wire))
    }

    /// The same, with a number by which it is to be acknowledged, where the protocol has that.
    pub(in super::super) fn asking(&self, to: To<'_>, id: u64) -> (Item, &[Item]) {
        match to.wire {
            Wire::SocketIo => self.build(to.namespace, Some(id)),
            Wire::Plain | Wire::Engine | Wire::Raw => self.items(to),
        }
    }

    fn build(&self, namespace: &str, id: Option<u64>) -> (Item, &[Item]) {
        let frames = self.frames(Wire::SocketIo);
        let kind = if frames.is_empty() { b"42" } else { b"45" };
        let mut item = Item::text(kind, body(namespace, frames.len(), id, &self.json));
        item.stamp = self.stamp;
        (item, frames)
    }

    fn frames(&self, wire: Wire) -> &[Item] {
        match &self.attached {
            Some(attached) if wire == Wire::SocketIo => &attached.frames,
            _ => &[],
        }
    }
}

/// What stands behind the type of a packet: `[<attachments>-][/namespace,][<id>]<json>`.
pub(super) fn body(namespace: &str, attachments: usize, id: Option<u64>, json: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(namespace.len() + json.len() + 24);
    if attachments > 0 {
        body.extend_from_slice(format!("{attachments}-").as_bytes());
    }
    body.extend_from_slice(namespace.as_bytes());
    if let Some(id) = id {
        body.extend_from_slice(id.to_string().as_bytes());
    }
    body.extend_from_slice(json);
    body
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MAIN, bytes, to};
    use super::*;

    const CUSTOM: To<'static> = To { wire: Wire::SocketIo, namespace: "/custom," };

    #[test]
    fn an_event_is_shared_and_framed_for_every_protocol() {
        let json = Bytes::from_static(br#"["a",{}]"#);
        let event = Event::new(json.clone());
        let frame = |to| bytes(&event.items(to).0);
        assert_eq!(frame(MAIN), b"\x81\x0a42[\"a\",{}]");
        assert_eq!(frame(to(Wire::Plain)), b"\x81\x08[\"a\",{}]");
        assert_eq!(frame(to(Wire::Engine)), b"\x81\x094[\"a\",{}]");
        assert_eq!(frame(CUSTOM), b"\x81\x1242/custom,[\"a\",{}]");
        for wire in [Wire::SocketIo, Wire::Plain, Wire::Engine] {
            assert_eq!(event.items(to(wire)).0.parts()[1].as_ptr(), json.as_ptr());
        }
        assert_eq!(bytes(&event.asking(MAIN, 7).0), b"\x81\x0b427[\"a\",{}]");
        assert_eq!(bytes(&event.asking(CUSTOM, 12).0), b"\x81\x1442/custom,12[\"a\",{}]");
        assert_eq!(bytes(&event.asking(to(Wire::Plain), 7).0), b"\x81\x08[\"a\",{}]");
    }

    #[test]
    fn attachments_are_announced_and_follow() {
        let json = Bytes::from_static(br#"["a"]"#);
        let event = Event::with_attachments(json, vec![Bytes::from_static(b"\x01\x02"), Bytes::new()]);
        for (to, packet) in [(MAIN, "452-[\"a\"]"), (CUSTOM, "452-/custom,[\"a\"]")] {
            let (item, frames) = event.items(to);
            assert_eq!(&bytes(&item)[2..], packet.as_bytes());
            assert_eq!(frames.iter().map(bytes).collect::<Vec<_>>(), [&b"\x82\x02\x01\x02"[..], b"\x82\x00"]);
        }
        assert_eq!(&bytes(&event.asking(MAIN, 3).0)[2..], b"452-3[\"a\"]");
        let (item, frames) = event.items(to(Wire::Plain));
        assert_eq!((&bytes(&item)[2..], frames.len()), (&b"[\"a\"]"[..], 0));
    }

    #[test]
    fn a_stamp_is_on_every_form_of_an_event_and_on_no_attachment() {
        let now = UnixMicros::now();
        let plain = Event::new(Bytes::from_static(b"[1]")).timed(now, now);
        let attached =
            Event::with_attachments(Bytes::from_static(b"[1]"), vec![Bytes::new()]).timed(now, now);
        for event in [plain, attached] {
            for to in [MAIN, CUSTOM, to(Wire::Plain), to(Wire::Engine)] {
                let is_measured = |(item, rest): (Item, &[Item])| {
                    assert!(rest.iter().all(|item| !item.stamp().is_measured()));
                    item.stamp().is_measured()
                };
                assert!(is_measured(event.items(to)) && is_measured(event.asking(to, 7)), "{to:?}");
                assert!(!is_measured(event.clone().untimed().items(to)), "{to:?}");
            }
        }
    }
}
