//! The position of an event in the total order that the change stream gives to all changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Where an event stands: the cluster time of its change, which change of that cluster time, and which
/// event of that change.
///
/// Since MongoDB 8.0 a multi-document insert is one oplog entry, so a whole batch of messages shares one
/// cluster time; the other two numbers keep the order total. A restarted streamer that reads the same
/// changes again gives them the same clocks.
///
/// As text (an event's *offset*): three hexadecimal numbers, `676f3c0000000002-1-0`. Clients treat it as opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Clock {
    /// MongoDB's timestamp: seconds in the upper half, increment in the lower.
    pub time: u64,
    /// Which change of that cluster time, from 0.
    pub change: u32,
    /// Which event of that change, from 0.
    pub event: u32,
}

/// Text that is not a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an offset")]
pub struct InvalidClock;

impl Clock {
    /// Before everything.
    pub const ZERO: Self = Self { time: 0, change: 0, event: 0 };

    /// After every event of the cluster time `time` and before every later one.
    #[must_use]
    pub const fn end_of(time: u64) -> Self {
        Self { time, change: u32::MAX, event: u32::MAX }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.time, self.change, self.event)
    }
}

impl FromStr for Clock {
    type Err = InvalidClock;

    fn from_str(text: &str) -> Result<Self, InvalidClock> {
        let mut parts = text.split('-');
        let mut part = || parts.next().filter(|p| !p.starts_with('+')).ok_or(InvalidClock);
        let (time, change, event) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(InvalidClock);
        }
        Ok(Self {
            time: u64::from_str_radix(time, 16).map_err(|_| InvalidClock)?,
            change: u32::from_str_radix(change, 16).map_err(|_| InvalidClock)?,
            event: u32::from_str_radix(event, 16).map_err(|_| InvalidClock)?,
        })
    }
}

impl Serialize for Clock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.time, self.change, self.event).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            let (time, change, event) = Deserialize::deserialize(deserializer)?;
            Ok(Self { time, change, event })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_junk_is_refused() {
        let clock = Clock { time: 0x676f_3c00_0000_0002, change: 300, event: 1 };
        assert_eq!(clock.to_string(), "676f3c0000000002-12c-1");
        assert_eq!(clock.to_string().parse(), Ok(clock));
        for junk in ["", "1-2", "1-2-3-4", "x-1-1", "+1-1-1", "1-1-fffffffff"] {
            assert_eq!(junk.parse::<Clock>(), Err(InvalidClock), "{junk}");
        }
    }

    #[test]
    fn order_is_by_time_then_change_then_event() {
        let at = |time, change, event| Clock { time, change, event };
        assert!(at(1, 9, 9) < at(2, 0, 0) && at(2, 0, 9) < at(2, 1, 0) && at(2, 1, 0) < Clock::end_of(2));
        assert!(Clock::end_of(2) < at(3, 0, 0));
    }
}
