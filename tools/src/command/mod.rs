//! The subcommands, one file each.

pub mod chain;
pub mod ctl;
pub mod demo;
pub mod doctor;
pub mod replay;
pub mod run;
pub mod state;
pub mod tail;
pub mod verify;
