//! `Stamping`: a venue that notes when the gateway hands it an order.

use std::sync::mpsc::{Receiver, Sender, channel};

use pawl_adapters::venue::Paper;
use pawl_engine::port::Venue;
use pawl_engine::runtime::{Clock, Instant};
use pawl_engine::state::StateError;
use pawl_journal::record::{ExecutionReport, OrderAction, OrderRequest, Reconciled, Sequence, Tick, Time};

/// The step of each new order, and when the venue had it.
pub type Handed = Vec<(Sequence, Instant)>;

/// A paper venue that notes when the gateway hands it a new order, in memory that is there before.
pub struct Stamping {
    paper: Paper,
    clock: Clock,
    handed: Handed,
    tell: Sender<Handed>,
}

impl Stamping {
    /// Around a paper venue, with room for so many orders; the notes are told when the venue is dropped.
    pub fn new(paper: Paper, room: usize) -> (Self, Receiver<Handed>) {
        let (tell, told) = channel();
        let mut handed = vec![(Sequence(0), Instant::default()); room];
        handed.clear();
        (Self { paper, clock: Clock::new(), handed, tell }, told)
    }
}

impl Drop for Stamping {
    fn drop(&mut self) {
        // Whoever would listen has given up with an error of its own.
        let _ = self.tell.send(std::mem::take(&mut self.handed));
    }
}

impl Venue for Stamping {
    #[inline]
    fn submit(&mut self, request: &OrderRequest, time: Time) {
        let now = self.clock.now();
        if request.action == OrderAction::NEW {
            self.handed.push((request.client_order_id.sequence(), now));
        }
        self.paper.submit(request, time);
    }

    #[inline]
    fn on_tick(&mut self, tick: &Tick, time: Time) {
        self.paper.on_tick(tick, time);
    }

    #[inline]
    fn next_due(&mut self) -> Option<Time> {
        self.paper.next_due()
    }

    fn poll(&mut self, now: Time) -> Option<(Time, ExecutionReport)> {
        self.paper.poll(now)
    }

    fn latency_min(&self) -> i64 {
        self.paper.latency_min()
    }

    fn statement(&mut self) -> Option<Vec<Reconciled>> {
        self.paper.statement()
    }

    fn save(&mut self) -> Vec<u64> {
        self.paper.save()
    }

    fn restore(&mut self, words: &[u64]) -> Result<(), StateError> {
        self.paper.restore(words)
    }
}
