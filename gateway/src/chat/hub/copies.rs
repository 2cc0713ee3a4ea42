//! How an event is put into sockets' queues: timed, or not.
//!
//! To time a delivery takes a look at the clock and four atomic additions, a twentieth of what the whole delivery
//! takes. So where an event goes to many sockets, some of them stand for the rest, in turn, so that none is never
//! looked at.

use bytes::Bytes;
use protocol::UnixMicros;

use crate::transport::Event;

/// On so many sockets each delivery of an event is timed.
const EACH: u64 = 32;

/// One event, in the forms that differ by what is timed.
#[derive(Debug)]
pub(super) struct Copies {
    plain: Event,
    /// For the first sockets, and as one of many.
    timed: Option<[Event; 2]>,
    turn: u64,
}

impl Copies {
    /// An event that is not timed.
    pub(super) fn plain(json: Bytes) -> Self {
        Self { plain: Event::new(json), timed: None, turn: 0 }
    }

    /// An event that the first server `received` and this gateway got when it `arrived`. `turn` is another one each
    /// time.
    pub(super) fn timed(json: Bytes, received: UnixMicros, arrived: UnixMicros, turn: u64) -> Self {
        let plain = Event::new(json);
        let each = plain.clone().timed(received, arrived);
        let many = plain.clone().timed_for_many(received, arrived);
        Self { plain, timed: Some([each, many]), turn: turn % Event::MANY }
    }

    /// The one for the next socket, after so many others.
    pub(super) fn after(&self, sockets: u64) -> &Event {
        match &self.timed {
            Some([each, _]) if sockets < EACH => each,
            Some([_, many]) if sockets % Event::MANY == self.turn => many,
            _ => &self.plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Config, Socket, Wire};

    #[test]
    fn on_few_sockets_all_are_timed_and_on_many_some_stand_for_the_rest_in_turn() {
        let now = UnixMicros::now();
        let is_timed = |copies: &Copies, after| {
            let socket = Socket::detached(Wire::Plain, Config::default()).unwrap();
            socket.accept();
            socket.emit(copies.after(after));
            socket.timed() == 1
        };
        let mut seen = [0; 64];
        for turn in 100..108 {
            let copies = Copies::timed("[1]".into(), now, now, turn);
            let timed: Vec<u64> = (0..64).filter(|&after| is_timed(&copies, after)).collect();
            assert!((0..EACH).all(|after| timed.contains(&after)));
            assert_eq!(timed.len() as u64, EACH + (64 - EACH) / Event::MANY);
            timed.iter().for_each(|&after| seen[after as usize] += 1);
        }
        assert!(seen[..EACH as usize].iter().all(|&times| times == 8));
        assert!(seen[EACH as usize..].iter().all(|&times| times == 1), "each in its turn");
        assert!(!is_timed(&Copies::plain("[1]".into()), 0));
    }
}
