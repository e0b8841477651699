//! What one side came to: counted on the way, from its own records.

use pawl_journal::record::{
    EquityChanged, ExecutionKind, ExecutionReport, Kind, Micros, OrderAction, OrderRequest, Record, StepRef,
};

use super::finding::Place;

/// Kind codes are below this.
const CODES: usize = 128;

/// What one side came to.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Its first step.
    pub first: Option<Place>,
    /// Its last step.
    pub last: Option<Place>,
    /// Steps, starts and ends of runs included.
    pub steps: u64,
    /// Runs that began.
    pub runs: u64,
    /// New orders sent.
    pub orders: u64,
    /// Fills, partial ones included.
    pub fills: u64,
    /// Commission paid, account currency.
    pub commission: Micros,
    /// Opening balance.
    pub opening: Micros,
    /// The account as its last record tells it; none if there is no such record.
    pub account: Option<EquityChanged>,
    records: [u64; CODES],
}

impl Tally {
    pub(super) const fn new(opening: Micros) -> Self {
        Self {
            first: None,
            last: None,
            steps: 0,
            runs: 0,
            orders: 0,
            fills: 0,
            commission: Micros(0),
            opening,
            account: None,
            records: [0; CODES],
        }
    }

    /// Records of this kind.
    #[must_use]
    pub fn records(&self, kind: Kind) -> u64 {
        self.records.get(usize::from(kind.code())).copied().unwrap_or(0)
    }

    /// Profit less loss and commission, open positions at their last valuation. As of the last record of the account.
    #[must_use]
    pub fn net(&self) -> Micros {
        self.account.map_or(Micros(0), |account| account.equity - self.opening)
    }

    /// Deepest fall of the equity from its peak, in millionths of the peak.
    #[must_use]
    pub fn drawdown_ppm_max(&self) -> i64 {
        self.account.map_or(0, |account| account.drawdown_ppm_max)
    }

    pub(super) fn count(&mut self, step: StepRef<'_>) {
        self.steps += 1;
        self.last = Some(Place::of(step));
        self.first = self.first.or(self.last);
        for record in step.records() {
            if let Some(count) = self.records.get_mut(usize::from(record.header().kind)) {
                *count += 1;
            }
            self.record(&record);
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        match record.kind() {
            Some(Kind::RunStarted) => self.runs += 1,
            Some(Kind::OrderRequest) => {
                let new = record.get::<OrderRequest>().is_some_and(|it| it.action == OrderAction::NEW);
                self.orders += u64::from(new);
            }
            Some(Kind::ExecutionReport) => {
                let Some(report) = record.get::<ExecutionReport>() else { return };
                if matches!(report.kind, ExecutionKind::FILLED | ExecutionKind::PARTIALLY_FILLED) {
                    self.fills += 1;
                    self.commission += report.commission;
                }
            }
            Some(Kind::EquityChanged) => self.account = record.get::<EquityChanged>().copied(),
            _ => {}
        }
    }
}
