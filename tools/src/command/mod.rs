//! The subcommands, one file each.

pub mod bench;
pub mod chain;
pub mod ctl;
pub mod cursor;
pub mod demo;
pub mod doctor;
pub mod prune;
pub mod repair;
pub mod replay;
pub mod run;
pub mod state;
pub mod tail;
pub mod verify;
