//! What does one hot operation take, and has that changed since the last time on this machine?
//!
//! Topology: one thread, one operation after the other, with criterion, which keeps what it measured in the target folder
//! and compares. A regression here shows where one of `pawl bench` comes from. The instruction counts of the same
//! operations do not depend on the machine's mood: `cargo xtask instructions`. Appends are left out, since each takes
//! room on the disk: `pawl bench journal` paces them and removes what it wrote.

use criterion::{Criterion, criterion_group, criterion_main};
use pawl_benches::operation::OPERATIONS;

fn operations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("operation");
    for operation in OPERATIONS.iter().filter(|it| it.name != "append") {
        let mut call = (operation.make)();
        (0..operation.warm_up).for_each(|_| call());
        group.bench_function(operation.name, |bencher| bencher.iter(&mut call));
    }
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
