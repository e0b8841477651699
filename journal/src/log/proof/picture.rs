//! The picture: what a journal on a simulated machine looks like, for the person who reads a violation.

use std::fmt::Write as _;

use crate::log::directory::Directory;
use crate::log::header::Fields;
use crate::log::segment::{Head, Segment, read_head};
use crate::log::storage::simulated::Simulated;
use crate::log::walk::{Seen, Walk};

/// Every file, a line each: what its header says, and where its frames end.
pub(super) fn picture(storage: &Simulated) -> String {
    let mut text = String::new();
    let names: Vec<String> = storage.machine().names().map(str::to_owned).collect();
    for name in names {
        let bytes = super::check::content(&storage.machine(), &name).len();
        let _ = write!(text, "\n    {name}: {bytes} bytes");
        if let Ok(Some(Head::Whole { fields, .. })) = read_head(storage, &name, None) {
            let Fields { index, first_sequence, epoch, durable_sequence, .. } = fields;
            let (before, used) = (fields.predecessor_first_sequence, fields.predecessor_used_bytes);
            let _ = write!(
                text,
                ", index {index} from {first_sequence} in epoch {epoch} behind {before} ({used}), durable {durable_sequence}"
            );
            if let Ok(Some(segment)) = Segment::open(&Directory::new(storage.clone()), first_sequence) {
                let _ = write!(text, ", {}", end(&segment));
            }
        }
    }
    text
}

/// How the frames of a segment end.
fn end(segment: &Segment<Simulated>) -> String {
    let mut walk = Walk::start(segment);
    let how = loop {
        match walk.advance(segment) {
            Ok(Some(Seen::Seal(seal))) => break format!("a seal, reason {}", seal.reason),
            Ok(Some(_)) => {}
            Ok(None) => break "nothing".to_owned(),
            Err(damage) => break damage.to_string(),
        }
    };
    format!("before step {} at {}: {how}", walk.next, walk.offset)
}
