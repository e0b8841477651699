//! The integration suite: one binary, real parts, the `pawl` command as a user runs it.

mod support;

mod allocation;
mod bad_input;
mod control;
mod demo;
mod determinism;
mod documents;
mod explain;
mod follow;
mod real_day;
mod resume;
mod tidy;
