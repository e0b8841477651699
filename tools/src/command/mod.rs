//! The subcommands, one file each.

pub mod bench;
pub mod bisect;
pub mod bundle;
pub mod chain;
pub mod ctl;
pub mod cursor;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod fingerprint;
pub mod prune;
pub mod repair;
pub mod replay;
pub mod report;
pub mod run;
pub mod slowest;
pub mod snapshot;
pub mod state;
mod stepper;
pub mod sweep;
pub mod tail;
pub mod top;
pub mod verify;
pub mod whatif;
