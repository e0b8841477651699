//! Runs one hot operation so that callgrind counts its instructions: `instructions NAME CALLS`, or `instructions list`.
//!
//! What counts is between entering and leaving [`counted`], which `cargo xtask instructions` tells callgrind by its name.

use std::process::ExitCode;

use pawl_benches::operation::OPERATIONS;

/// The part that counts.
#[inline(never)]
fn counted(operation: &mut dyn FnMut(), calls: u64) {
    for _ in 0..calls {
        operation();
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [list] if list == "list" => {
            OPERATIONS.iter().for_each(|it| println!("{}", it.name));
            ExitCode::SUCCESS
        }
        [name, calls] => {
            let operation = OPERATIONS.iter().find(|it| it.name == *name);
            let (Some(operation), Ok(calls)) = (operation, calls.parse()) else {
                eprintln!("instructions: there is no operation {name}, or {calls} is no number of calls");
                return ExitCode::from(2);
            };
            let mut call = (operation.make)();
            (0..operation.warm_up).for_each(|_| call());
            counted(&mut *call, calls);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("instructions: write a name and a number of calls, or `list`");
            ExitCode::from(2)
        }
    }
}
