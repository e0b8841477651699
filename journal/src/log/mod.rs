//! The bytes of the journal: a directory of fixed-size mapped segments with one writer and any number of readers.
//!
//! ```text
//!  Step --Appender--> | header | frame | frame | ... | seal |   00000000000000000001.pawl
//!                     | header | frame | frame | 0 0 0 ...      00000000000000233017.pawl   <- being written
//!                                        |       |
//!                        Reader, Tailer -+       +- first word 0: nothing here yet
//! ```
//!
//! Rooms: [`Claim`] takes and recovers, [`Appender`] writes, [`Reader`] walks, [`Tailer`] follows, [`verify`] checks, [`repair`] makes a damaged
//! journal usable again. Inside, `region` holds the bytes of one file, `directory` the names, `header`, `frame` and
//! `control` the format, `walk` the only code that decides whether a frame is whole. The format is drawn byte for byte
//! in `FORMAT.md`.
//!
//! Invariants: a committed frame never changes; nothing is ever written behind the back of the one writer, who
//! holds the lock; a segment that a crash left behind is sealed, never appended to.

mod appender;
mod background;
mod beside;
mod claim;
mod control;
mod cursor;
mod cut;
mod directory;
mod error;
mod flusher;
mod follower;
mod frame;
mod header;
mod index;
mod layout;
mod lineage;
mod options;
mod pace;
mod plain;
mod planted;
#[cfg(test)]
mod proof;
mod pruned;
mod reader;
mod recovery;
mod region;
pub mod repair;
mod retention;
mod run_start;
mod segment;
mod shared;
mod slice;
mod storage;
mod supplier;
mod tailer;
mod traversal;
mod verified;
mod verify;
mod walk;
mod watermark;
mod writer;

pub use appender::{Appender, Recovered, SealReason};
pub use claim::Claim;
pub use cursor::{Cursor, CursorEntry, CursorPlace};
pub use cut::Quarantined;
pub use directory::is_segment_name;
pub use error::{CursorDamage, Damage, HeaderDamage, JournalError};
pub use follower::{Follower, FollowerEntry};
pub use frame::Frame;
pub use lineage::Origin;
pub use options::{Durability, JournalOptions};
pub use pruned::{Pruned, pruned};
pub use reader::Reader;
pub use retention::{GoingSegment, HeldBack, Hold, PrunePlan, Retention};
pub use run_start::run_start;
pub use shared::{SharedWords, writer_alive};
pub use slice::{Slice, SliceFile, slice};
pub use storage::file_system_of;
pub use tailer::{From, Tailer};
pub use verified::{DurableSource, Finding, Verified};
pub use verify::verify;
pub use watermark::{JournalStatistics, Supply, Watermarks};
