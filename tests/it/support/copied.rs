//! Copies of journals: all of one or its first steps, with other records in the place of some.

use std::path::Path;

use pawl_journal::log::{Appender, JournalOptions, Reader, SealReason};
use pawl_journal::record::{Record, Sequence, Step, Verdict};

/// Copies a journal; `change` may push another record in place of one, and says so.
pub fn changed(from: &Path, to: &Path, change: impl FnMut(u64, &Record<'_>, &mut Step) -> bool) {
    copied(from, to, &JournalOptions::default(), Sequence(u64::MAX), change);
}

/// Copies the steps of a journal up to `last` into another one with these options; `change` as in [`changed`].
pub fn copied(
    from: &Path,
    to: &Path,
    options: &JournalOptions,
    last: Sequence,
    mut change: impl FnMut(u64, &Record<'_>, &mut Step) -> bool,
) {
    let mut reader = Reader::open(from).expect("a journal");
    let mut appender = Appender::create_or_open(to, options).expect("a new journal");
    let mut step = Step::new();
    while let Some(frame) = reader.next().expect("readable") {
        let recorded = frame.step();
        if recorded.sequence() > last {
            break;
        }
        step.begin(recorded.sequence(), recorded.time());
        if recorded.has_orders() {
            step.mark_orders();
        }
        for record in recorded.records() {
            if !change(recorded.sequence().0, &record, &mut step) {
                step.push_record(&record);
            }
        }
        appender.append(&step).expect("appended");
    }
    appender.seal(SealReason::Ended).expect("sealed");
}

/// A copy in which the first verdict wants twice as much; the step it is in.
pub fn with_another_verdict(from: &Path, to: &Path) -> u64 {
    let mut at = 0;
    changed(from, to, |sequence, record, step| match record.get::<Verdict>() {
        Some(verdict) if at == 0 => {
            at = sequence;
            step.push(&Verdict { wanted_lots: verdict.wanted_lots + verdict.wanted_lots, ..*verdict });
            true
        }
        _ => false,
    });
    at
}
