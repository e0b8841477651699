//! The integration suite: one binary, real parts, the `pawl` command as a user runs it.

mod support;

mod allocation;
mod bad_input;
mod bench;
mod control;
mod demo;
mod determinism;
mod documents;
mod durability;
mod explain;
mod follow;
mod holes;
mod pruned;
mod python;
mod real_day;
mod repair;
mod resume;
mod retention;
mod tidy;
