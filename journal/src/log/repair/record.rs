//! The record of a repair: a JSON file beside the journal that says what was done, why, and who accepted it.
//!
//! Invariants: it is there whole or not at all; it says `begun` before the first change and `done` behind the last one,
//! so one that says `begun` is of a repair that was interrupted, and a later record tells how it went on.

use serde::Serialize;

use crate::record::Time;

use super::{Consent, RepairPlan, now};
use crate::log::cut::Quarantined;
use crate::log::storage::Storage;

/// What the file holds.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    state: &'static str,
    pawl: &'static str,
    begun: String,
    done: Option<String>,
    accepted_by: &'static str,
    findings: Vec<RecordedFinding>,
    kept_until: u64,
    kept_until_ns: i64,
    begins_at: Option<u64>,
    lost: Option<RecordedLoss>,
    mended: Vec<RecordedMend>,
    quarantined: Vec<Quarantined>,
}

#[derive(Debug, Serialize)]
struct RecordedFinding {
    file: String,
    offset: u64,
    sequence: u64,
    what: String,
}

#[derive(Debug, Serialize)]
struct RecordedLoss {
    first: u64,
    last: Option<u64>,
    may_be_more: bool,
    last_ns: Option<i64>,
}

#[derive(Debug, Serialize)]
struct RecordedMend {
    file: String,
    how: String,
}

impl Record {
    /// The record of a repair that begins.
    pub(super) fn new<S: Storage>(plan: &RepairPlan<S>, consent: Consent, begun: Time) -> Self {
        let findings = plan.findings.iter().map(|finding| RecordedFinding {
            file: finding.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            offset: finding.offset,
            sequence: finding.sequence.0,
            what: finding.what.to_string(),
        });
        let lost = plan.loss.as_ref().map(|loss| RecordedLoss {
            first: loss.first.0,
            last: loss.last.map(|last| last.0),
            may_be_more: loss.is_open,
            last_ns: loss.last_time.map(|time| time.0),
        });
        Self {
            state: "begun",
            pawl: env!("CARGO_PKG_VERSION"),
            begun: utc(begun, true),
            done: None,
            accepted_by: match consent {
                _ if !plan.needs_consent => "nobody: nothing was given up that a writer would not give up",
                Consent::None => "nobody",
                Consent::Terminal => "terminal",
                Consent::Flag => "--accept-loss",
            },
            findings: findings.collect(),
            kept_until: plan.kept_until.0,
            kept_until_ns: plan.kept_until_time.0,
            begins_at: plan.begins_at.map(|first| first.0),
            lost,
            mended: plan
                .mended
                .iter()
                .map(|(file, how)| RecordedMend { file: file.clone(), how: how.clone() })
                .collect(),
            quarantined: plan.quarantined.clone(),
        }
    }

    /// Everything was done, and this is in quarantine.
    pub(super) fn done(&mut self, quarantined: &[Quarantined]) {
        self.state = "done";
        self.done = Some(utc(now(), true));
        self.quarantined = quarantined.to_vec();
    }

    /// The bytes of the file.
    pub(super) fn file(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("text and numbers are JSON");
        text.push(b'\n');
        text
    }
}

/// The name of the record of a repair that began at this time. Names sort as the times do.
pub(super) fn record_name(begun: Time) -> String {
    format!("repairs/{}.json", utc(begun, false))
}

/// A time from 1970 on in UTC, ISO 8601: with separators, or without for a file's name.
fn utc(time: Time, separated: bool) -> String {
    let nanoseconds = time.0.unsigned_abs();
    let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute, second) = (days + 1, second / 3_600, second / 60 % 60, second % 60);
    if separated {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
    } else {
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{fraction:09}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        // From `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (68_169_599, "1972-02-28T23:59:59"),
            (68_169_600, "1972-02-29T00:00:00"),
            (951_868_799, "2000-02-29T23:59:59"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_549_238_400, "2019-02-04T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(utc(Time(seconds * 1_000_000_000 + 5), true), format!("{text}.000000005Z"));
        }
        assert_eq!(record_name(Time(1_549_238_400_000_000_000)), "repairs/20190204T000000.000000000Z.json");
    }
}
