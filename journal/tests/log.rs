//! The log as its users see it: one file of situations per room.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

#[path = "log/support.rs"]
mod support;

#[path = "log/write_and_read.rs"]
mod write_and_read;

#[path = "log/crash.rs"]
mod crash;

#[path = "log/damage.rs"]
mod damage;

#[path = "log/durable.rs"]
mod durable;

#[path = "log/follow.rs"]
mod follow;

#[path = "log/refuse.rs"]
mod refuse;

#[path = "log/slice.rs"]
mod slice;
