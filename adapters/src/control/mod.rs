//! Control: how operators speak to a running engine.
//!
//! ```text
//! pawl ctl J halt --one JSON line--> J/ctl.sock (owner only) --command--> ingress --> a step of the journal
//!                 <--one JSON line--                         <--answer--- the step's number
//! ```
//!
//! The socket's directory is reached through `/proc/self/fd`, so a long journal path does not matter.

mod client;
mod protocol;
mod server;

pub use client::{ControlError, ask};
pub use protocol::{Reply, Request};
pub use server::Server;
