//! Times and durations as people and scripts read them.
//!
//! A [`Time`] is RFC 3339 in UTC with milliseconds and `Z`; a [`Span`] is a whole number with one unit: `30s 5m 2h 7d`.

use crate::protocol::time::Millis;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// A moment, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Timestamp);

impl Time {
    /// The same moment on the clocks of `zone`.
    pub fn in_zone(self, zone: &TimeZone) -> Zoned {
        self.0.to_zoned(zone.clone())
    }
}

impl From<Millis> for Time {
    /// Moments past the year 9999, which RFC 3339 cannot write, become its last one.
    fn from(at: Millis) -> Self {
        let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
        Self(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
    }
}

impl From<Time> for Millis {
    fn from(time: Time) -> Self {
        Self(time.0.as_millisecond().try_into().unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Time {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A length of time as a person types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    count: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Span {
    /// So many seconds.
    pub const fn seconds(count: u32) -> Self {
        Self { count, unit: Unit::Seconds }
    }

    /// So many days.
    pub const fn days(count: u32) -> Self {
        Self { count, unit: Unit::Days }
    }
}

/// How long something lasts: a [`Span`], or `off` where it is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// For ever.
    Off,
    /// So long.
    For(Span),
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::For(span) => span.fmt(f),
        }
    }
}

/// The text is neither a [`Span`] nor `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{BadSpan}; or off")]
pub struct BadLasting;

impl FromStr for Lasting {
    type Err = BadLasting;
    fn from_str(text: &str) -> Result<Self, BadLasting> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::For).map_err(|BadSpan| BadLasting) }
    }
}

impl Serialize for Lasting {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lasting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl From<Duration> for Span {
    /// In the largest unit that it is a whole number of; parts of a second are left out.
    fn from(duration: Duration) -> Self {
        let seconds = duration.as_secs();
        let units = [(Unit::Days, 24 * 60 * 60), (Unit::Hours, 60 * 60), (Unit::Minutes, 60)];
        let whole = units.into_iter().find(|(_, long)| seconds > 0 && seconds.is_multiple_of(*long));
        let (unit, long) = whole.unwrap_or((Unit::Seconds, 1));
        Self { count: (seconds / long).try_into().unwrap_or(u32::MAX), unit }
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        let seconds = match span.unit {
            Unit::Seconds => 1,
            Unit::Minutes => 60,
            Unit::Hours => 60 * 60,
            Unit::Days => 24 * 60 * 60,
        };
        Self::from_secs(u64::from(span.count) * seconds)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Seconds => 's',
            Unit::Minutes => 'm',
            Unit::Hours => 'h',
            Unit::Days => 'd',
        };
        write!(f, "{}{unit}", self.count)
    }
}

/// The text is not a whole number followed by `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a whole number and s, m, h or d: 30s, 5m, 7d")]
pub struct BadSpan;

impl FromStr for Span {
    type Err = BadSpan;
    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let unit = match text.chars().last().ok_or(BadSpan)? {
            's' => Unit::Seconds,
            'm' => Unit::Minutes,
            'h' => Unit::Hours,
            'd' => Unit::Days,
            _ => return Err(BadSpan),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadSpan);
        }
        Ok(Self { count: digits.parse().map_err(|_| BadSpan)?, unit })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        let time = Time::from(Millis(1_700_000_000_000));
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.000Z");
        assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        assert_eq!(Millis::from(time), Millis(1_700_000_000_000));
        assert_eq!(Time::from(Millis(1_700_000_000_007)).to_string(), "2023-11-14T22:13:20.007Z");
    }

    #[test]
    fn a_time_past_what_can_be_written_is_the_last_one() {
        assert!(Time::from(Millis::MAX).to_string().starts_with("9999-12-"));
        assert!(Time::from(Millis(u64::MAX)).to_string().starts_with("9999-12-"));
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604_800), ("0s", 0)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(Duration::from(span), Duration::from_secs(seconds));
            assert_eq!(span.to_string(), text);
            assert_eq!(Span::from(Duration::from(span)), span);
        }
        assert_eq!("off".parse(), Ok(Lasting::Off));
        assert_eq!("2h".parse::<Lasting>().unwrap().to_string(), "2h");
        for bad in ["", "s", "7", "7 d", "-7d", "+7d", "7w", "1.5h", "99999999999d", "7일", "일"] {
            assert_eq!(bad.parse::<Span>(), Err(BadSpan), "{bad}");
        }
    }
}
