//! `Outbox`: reports on their way back, numbered, and in the order in which they were made.

use std::collections::VecDeque;

use pawl_engine::stateful;
use pawl_journal::record::{ExecutionReport, Time};

/// Reports on their way back. None overtakes another: a report is due when its own time has come and every one
/// before it was due.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outbox {
    reports: VecDeque<(Time, ExecutionReport)>,
    due_last: Time,
    sequence: u64,
}

stateful!(Outbox { reports, due_last, sequence });

impl Outbox {
    pub(super) fn with_capacity(reports: usize) -> Self {
        Self { reports: VecDeque::with_capacity(reports), due_last: Time(i64::MIN), sequence: 0 }
    }

    /// Sends a report that is due at this time, and numbers it.
    pub(super) fn send(&mut self, due: Time, report: ExecutionReport) {
        self.sequence += 1;
        self.due_last = self.due_last.max(due);
        self.reports
            .push_back((self.due_last, ExecutionReport { execution_sequence: self.sequence, ..report }));
    }

    /// When a report that is sent now and due at `due` would arrive, or an earlier one that waits.
    pub(super) fn next_due(&self, due: Option<Time>) -> Option<Time> {
        self.reports.front().map(|(due, _)| *due).or_else(|| due.map(|due| due.max(self.due_last)))
    }

    /// Takes the next report that is due at or before `now`.
    pub(super) fn take(&mut self, now: Time) -> Option<(Time, ExecutionReport)> {
        if self.reports.front()?.0 <= now { self.reports.pop_front() } else { None }
    }

    /// Number of the report that was sent last; 0 if none was.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many reports wait.
    pub(super) fn waiting(&self) -> usize {
        self.reports.len()
    }
}
