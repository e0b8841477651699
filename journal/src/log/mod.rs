//! The bytes of the journal: a directory of fixed-size mapped segments with one writer and any number of readers.
//!
//! ```text
//!  Step --Appender--> | header | frame | frame | ... | seal |   00000000000000000001.pawl
//!                     | header | frame | frame | 0 0 0 ...      00000000000000233017.pawl   <- being written
//!                                        |       |
//!                        Reader, Tailer -+       +- first word 0: nothing here yet
//! ```
//!
//! Rooms: [`Appender`] writes, [`Reader`] walks, [`Tailer`] follows, [`verify`] checks. Inside, `region` holds the
//! bytes of one file, `directory` the names, `header`, `frame` and `control` the format, `walk` the only code that
//! decides whether a frame is whole. The format is drawn byte for byte in `FORMAT.md`.
//!
//! Invariants: a committed frame never changes; nothing is ever written behind the back of the one writer, who
//! holds the lock; a segment that a crash left behind is sealed, never appended to.

mod appender;
mod control;
mod cursor;
mod directory;
mod error;
mod frame;
mod header;
mod layout;
mod lock;
mod options;
mod reader;
mod recovery;
mod region;
mod segment;
mod tailer;
mod verify;

mod walk;
mod writer;

pub use appender::{Appender, Recovered, SealReason};
pub use directory::file_system_of;
pub use error::{Damage, HeaderDamage, JournalError};
pub use frame::Frame;
pub use options::JournalOptions;
pub use reader::Reader;
pub use tailer::{From, Tailer};
pub use verify::{Finding, Verified, verify};
