//! Points in time, as the frontend reads them.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970, MongoDB's resolution. ISO 8601 with milliseconds in JSON
/// (`2026-11-23T04:26:30.123Z`), as JavaScript's `Date` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `millis` milliseconds after 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Now, by the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64))
    }

    /// Reads ISO 8601 (`2026-11-23T04:26:30.123Z`, fraction optional, or with an offset: `2026-11-23T05:26:30+01:00`);
    /// `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (local, offset) = match offset_of(text) {
            Some((local, offset)) => (Cow::Owned(format!("{local}Z")), offset),
            None => (Cow::Borrowed(text), 0),
        };
        // Behind a fraction the parser looks no further than to a plus.
        let time = humantime::parse_rfc3339(&local).ok().filter(|_| !local.contains('+'))?;
        let millis = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
        Some(Self(millis - offset)).filter(|time| time.0 >= 0)
    }
}

/// Microseconds since 1970, by the system's clock: for measuring how long something took that began in another process.
/// The hosts' clocks must agree, so it is never used to order anything. A plain number wherever it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMicros(i64);

impl UnixMicros {
    /// The point `micros` microseconds after 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Now, by the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64))
    }

    /// How long before `later` this was; nothing where the clocks say that it was after it.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(later.0.saturating_sub(self.0).try_into().unwrap_or(0))
    }
}

/// A time without its offset (`+01:00`), and that offset in milliseconds.
fn offset_of(text: &str) -> Option<(&str, i64)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| plain)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let sign = match offset.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some((local, sign * (hours * 60 + minutes) * 60_000))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The year 9999 is the last that the format can hold; nothing before 1970 is ever stored.
        let millis = self.0.clamp(0, 253_402_300_799_999) as u64;
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a date in ISO 8601"))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "description": "A point in time, to the millisecond."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let time = Timestamp::from_millis(1_795_407_990_123);
        assert_eq!(time.to_string(), "2026-11-23T04:26:30.123Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert_eq!(Timestamp::parse("2026-11-23T05:56:30.123+01:30"), Some(time));
        assert_eq!(Timestamp::parse("2026-11-22T23:26:30.123-05:00"), Some(time));
        for other in [
            "yesterday",
            "",
            "2026-11-23T04:26:30+1:00",
            "2026-11-23T04:26:30+24:00",
            "+01:00",
            "é+01:00",
            "2026-11-23T04:26:30.1+abcdZ",
            "2026-11-23T04:26:30.1+9:99+01:00",
        ] {
            assert_eq!(Timestamp::parse(other), None, "{other}");
        }
    }
}
