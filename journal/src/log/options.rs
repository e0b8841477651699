//! What an operator may choose about a journal.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::JournalError;

/// When a committed step is made durable, and what may leave the engine before it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Steps are released when committed; the kernel writes them back when it likes. A killed process loses
    /// nothing; a machine that loses power loses what was not written back yet (tens of seconds, no hard bound).
    /// Finished segments are synced in the background.
    #[default]
    PageCache,
    /// Steps are released when committed and synced at most this much later, in the background: what power loss
    /// takes is at most this interval and one sync. Where a sync takes longer than the interval, a step that is
    /// committed while one is under way waits for that one and the next.
    Async(Duration),
    /// Orders are released when they are durable, by group commit: power loss takes nothing that was released.
    Gated,
}

impl Durability {
    /// Shortest interval between two syncs.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(1);
    /// Longest interval between two syncs.
    pub const INTERVAL_MAX: Duration = Duration::from_secs(60);

    /// The mode's number in sync frames.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::PageCache => 1,
            Self::Async(_) => 2,
            Self::Gated => 3,
        }
    }
}

impl fmt::Display for Durability {
    /// As [`Self::from_str`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PageCache => f.write_str("page-cache"),
            Self::Async(interval) if interval.subsec_millis() == 0 => {
                write!(f, "async:{}s", interval.as_secs())
            }
            Self::Async(interval) => write!(f, "async:{}ms", interval.as_millis()),
            Self::Gated => f.write_str("gated"),
        }
    }
}

impl FromStr for Durability {
    type Err = JournalError;

    /// Reads `page-cache`, `gated` or `async:T`, where T is 1 ms to 60 s in whole `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let interval = |text: &str| {
            let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
            let number = number.parse().ok()?;
            let interval = match unit {
                "ms" => Duration::from_millis(number),
                "s" => Duration::from_secs(number),
                _ => return None,
            };
            (Self::INTERVAL_MIN..=Self::INTERVAL_MAX).contains(&interval).then_some(interval)
        };
        match text {
            "page-cache" => Some(Self::PageCache),
            "gated" => Some(Self::Gated),
            _ => text.strip_prefix("async:").and_then(interval).map(Self::Async),
        }
        .ok_or_else(|| JournalError::Durability { text: text.to_owned() })
    }
}

/// What an operator may choose about a journal. It may differ from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Bytes of each new segment file, all of them allocated when it is created: a multiple of 4096 from 1 MiB to
    /// 4 GiB. Default 64 MiB.
    pub segment_bytes: u64,
    /// When steps are made durable. Default [`Durability::PageCache`].
    pub durability: Durability,
}

impl JournalOptions {
    /// Smallest segment: a header, a seal and many times the largest step.
    pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
    /// Largest segment: an offset in it is a 32-bit number.
    pub const SEGMENT_BYTES_MAX: u64 = 1 << 32;

    /// Refuses what the format excludes.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        check_segment_bytes(self.segment_bytes)?;
        match self.durability {
            Durability::Async(interval)
                if !(Durability::INTERVAL_MIN..=Durability::INTERVAL_MAX).contains(&interval) =>
            {
                Err(JournalError::Durability { text: self.durability.to_string() })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a length that no segment has.
pub(super) fn check_segment_bytes(segment_bytes: u64) -> Result<(), JournalError> {
    let fits =
        (JournalOptions::SEGMENT_BYTES_MIN..=JournalOptions::SEGMENT_BYTES_MAX).contains(&segment_bytes);
    if fits && segment_bytes.is_multiple_of(4096) {
        Ok(())
    } else {
        Err(JournalError::SegmentBytes { segment_bytes })
    }
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, durability: Durability::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_read_as_it_is_written() {
        let read = |text: &str| text.parse::<Durability>();
        for text in ["page-cache", "gated", "async:1ms", "async:50ms", "async:2s", "async:60s"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(read("async:1000ms").unwrap(), Durability::Async(Duration::from_secs(1)));
        for text in
            ["", "async", "async:", "async:0ms", "async:61s", "async:5", "async:-1s", "async:1.5s", "Gated"]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("page-cache") && error.contains("async:50ms"), "{error}");
        }
    }
}
