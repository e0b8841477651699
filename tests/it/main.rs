//! The integration suite: one binary, real parts, the `pawl` command as a user runs it.

mod support;

mod allocation;
mod bad_input;
mod bench;
mod bench_inference;
mod bisect;
mod bundle;
mod checkpoint;
mod control;
mod counters;
mod demo;
mod determinism;
mod diff;
mod documents;
mod durability;
mod explain;
mod export;
mod feeds;
mod follow;
mod holes;
mod killed;
mod machine;
mod pruned;
mod python;
mod real_day;
mod repair;
mod replay;
mod report;
mod resume;
mod retention;
mod slowest;
mod snapshot;
mod sweep;
mod tidy;
mod whatif;
