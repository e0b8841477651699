//! The same input gives the same bytes: twice, from a clone, and in every build.

use pawl_engine::feature::COLUMNS_DEFAULT;
use pawl_journal::record::OutputHash;

use crate::driver::{Driver, Quote};

/// A seeded walk of two instruments with a timer every so often.
fn walk(driver: &mut Driver, steps: i64, mut each: impl FnMut(&Driver)) {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bids = [114_543_i64, 109_871];
    let mut time = 1_549_238_400_000_000_000_i64;
    for _ in 0..steps {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let noise = |shift: u32, below: u64| ((state >> shift) % below) as i64;
        time += 1_000_000 * (1 + noise(3, 3_000));
        let instrument = noise(20, 2) as u16;
        if noise(25, 20) == 0 {
            driver.timer(time);
        } else {
            let bid = &mut bids[usize::from(instrument)];
            *bid += noise(30, 21) - 10;
            driver.tick(instrument, Quote { time, bid: *bid, ask: *bid + noise(40, 12), volume: 0 });
        }
        each(driver);
    }
}

#[test]
fn the_same_input_twice_gives_the_same_bytes() {
    let run = || {
        let mut bytes = Vec::new();
        let mut driver = Driver::new(&["EURUSD", "USDJPY"], "1m", COLUMNS_DEFAULT);
        walk(&mut driver, 3_000, |driver| bytes.extend_from_slice(driver.step.bytes()));
        bytes
    };
    let first = run();
    assert!(first.len() > 3_000 * 100);
    assert_eq!(first, run());
}

#[test]
fn every_build_and_machine_gives_these_bits() {
    let mut hash = OutputHash::default();
    let mut driver = Driver::new(&["EURUSD", "USDJPY"], "1m", COLUMNS_DEFAULT);
    walk(&mut driver, 20_000, |driver| hash = hash.after(driver.step.view()));
    let state = driver.feature.state();
    assert!(state.instruments.iter().all(|instrument| instrument.ready));
    assert_eq!(hash.to_string(), "9e7c9237425a8e60");
}
