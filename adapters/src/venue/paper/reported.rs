//! `Reported`: what the account holds as far as the reports that were taken tell: what a statement says.
//!
//! The venue itself is ahead of it by the reports that wait. A request that never arrives is not part of it: no venue
//! lists an order that it never saw.

use pawl_engine::stateful;
use pawl_journal::record::{
    ExecutionKind, ExecutionReport, InstrumentId, Lots, OrderAction, OrderRequest, OrderType, Points,
    Reconciled, StatementItem,
};

/// Open orders and positions, as reported.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reported {
    open: Vec<Reconciled>,
    /// Net lots, by instrument.
    net: Box<[i64]>,
    /// Number of the last report that was taken.
    execution_sequence: u64,
}

stateful!(Reported { open, net, execution_sequence });

impl Reported {
    /// Nothing held of so many instruments.
    pub(super) fn new(instruments: usize, orders_max: usize) -> Self {
        Self {
            open: Vec::with_capacity(orders_max),
            net: vec![0; instruments].into_boxed_slice(),
            execution_sequence: 0,
        }
    }

    /// A request is on its way.
    pub(super) fn submit(&mut self, request: &OrderRequest) {
        if request.action != OrderAction::NEW {
            return;
        }
        self.open.push(Reconciled {
            client_order_id: request.client_order_id,
            price: if request.order_type == OrderType::LIMIT { request.price } else { Points(0) },
            lots: request.lots,
            item: StatementItem::ORDER,
            instrument: request.instrument,
            side: request.side,
            ..Reconciled::default()
        });
    }

    /// A report is taken.
    pub(super) fn take(&mut self, report: &ExecutionReport) {
        self.execution_sequence = report.execution_sequence;
        let fill = match report.kind {
            ExecutionKind::PARTIALLY_FILLED | ExecutionKind::FILLED => report.lots.0,
            _ => 0,
        };
        if let Some(net) = self.net.get_mut(usize::from(report.instrument.0)) {
            *net += report.side.sign() * fill;
        }
        // A second order of the same id is refused; it stands behind the first.
        let Some(index) = self.open.iter().rposition(|it| it.client_order_id == report.client_order_id)
        else {
            return;
        };
        let order = &mut self.open[index];
        order.filled_lots.0 += fill;
        match report.kind {
            ExecutionKind::ACCEPTED => order.venue_order_id = report.venue_order_id,
            ExecutionKind::REPLACED => {
                (order.price, order.lots) = (report.price, order.filled_lots + report.leaves_lots);
            }
            ExecutionKind::REJECTED
            | ExecutionKind::FILLED
            | ExecutionKind::CANCELLED
            | ExecutionKind::EXPIRED => {
                self.open.remove(index);
            }
            _ => {}
        }
    }

    /// Orders in the order in which they were requested, then positions that are not flat, then the end. The venue keeps
    /// no balance: its money is the engine's.
    pub(super) fn statement(&self) -> Vec<Reconciled> {
        let held = self.net.iter().zip(0_u16..).filter(|(net, _)| **net != 0);
        let positions = held.map(|(net, instrument)| Reconciled {
            lots: Lots(*net),
            item: StatementItem::POSITION,
            instrument: InstrumentId(instrument),
            ..Reconciled::default()
        });
        let end =
            Reconciled { item: StatementItem::END, instrument: InstrumentId::NONE, ..Reconciled::default() };
        let items = self.open.iter().copied().chain(positions).chain([end]);
        let execution_sequence = self.execution_sequence;
        items.map(|item| Reconciled { execution_sequence, ..item }).collect()
    }
}
