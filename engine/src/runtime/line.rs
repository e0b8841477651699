//! The line: how an envelope gets from the edge to the core, or to the threads that share its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pawl_journal::log::JournalError;

use super::clock::Clock;
use super::core::Core;
use super::ring::{Envelope, Publisher};
use super::staged::{self, StagedPublisher};

/// How an envelope reaches the core.
pub(crate) enum Line {
    /// The core is here.
    Single(Box<Core>),
    /// The core is on its own thread, behind the ring.
    Fused {
        /// The ring's writing end.
        publisher: Publisher,
        /// Set when the pipeline thread has ended before its time.
        broken: Arc<AtomicBool>,
    },
    /// Each stage is on its own thread, one behind the other on the ring.
    Staged {
        /// The ring's writing end.
        publisher: StagedPublisher,
        /// Set when one of the threads has ended before its time.
        broken: Arc<AtomicBool>,
    },
}

impl Line {
    /// While the edge waits: lets the journal have what it asked of its writer, if that is on this thread.
    #[inline]
    pub(super) fn tend(&mut self) -> Result<(), JournalError> {
        match self {
            Self::Single(core) => core.tend(),
            Self::Fused { .. } | Self::Staged { .. } => Ok(()),
        }
    }

    /// Hands an envelope to the core; `false` if there is no room for it now.
    #[inline]
    pub(super) fn send(&mut self, envelope: &mut Envelope, clock: &Clock) -> Result<bool, JournalError> {
        match self {
            // There is no ring to wait in: what is published is taken.
            Self::Single(core) => core.process(envelope, |_| envelope.published).map(|()| true),
            Self::Fused { publisher, .. } => {
                envelope.published = clock.now();
                Ok(publisher.try_publish(envelope))
            }
            Self::Staged { publisher, .. } => {
                envelope.published = clock.now();
                Ok(staged::publish(publisher, envelope))
            }
        }
    }

    /// Whether nobody reads the ring any more.
    #[inline]
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Single(_) => false,
            Self::Fused { broken, .. } | Self::Staged { broken, .. } => broken.load(Ordering::Acquire),
        }
    }
}
