//! The bar columns of whole steps against TA-Lib's, warm-up included. `tools/vectors` writes the files.

use crate::driver::{Driver, Quote};

const FILES: &[(&str, &str)] = &[
    ("walk", include_str!("../data/feature/talib_walk.csv")),
    ("flat", include_str!("../data/feature/talib_flat.csv")),
];

#[test]
fn bar_columns_agree_with_ta_lib_from_the_first_warm_bar_on() {
    for (name, file) in FILES {
        let mut lines = file.lines();
        let columns: Vec<&str> = lines.next().expect("a header").split(',').skip(5).collect();
        // XAUUSD has two digits, as the vectors have.
        let mut driver = Driver::new(&["XAUUSD"], "4 ticks", &columns);
        let mut compared = 0;
        for (bar, line) in lines.enumerate() {
            let cells: Vec<&str> = line.split(',').collect();
            let [open, high, low, close, volume] =
                std::array::from_fn(|i| cells[i].parse::<i64>().expect("an integer"));
            let mut values = Vec::new();
            for (bid, volume) in [(open, volume), (high, 0), (low, 0), (close, 0)] {
                values = driver.tick(0, Quote { time: bar as i64, bid, ask: bid + 1, volume }).values;
            }
            for ((column, cell), value) in columns.iter().zip(&cells[5..]).zip(values) {
                if cell.is_empty() {
                    let warm = driver.feature.state().instruments[0]
                        .values
                        .iter()
                        .any(|v| v.column == *column && v.warm);
                    let coincide = *name == "flat" && column.starts_with("bollinger");
                    assert!(!warm || coincide, "{name}: TA-Lib has no {column} on bar {bar}");
                    continue;
                }
                let expected: f64 = cell.parse().expect("a number");
                let error = (f64::from(value) - expected).abs();
                // TA-Lib's sums of floats leave residues of the price's rounding where the answer is zero.
                assert!(
                    error <= 1e-6 * expected.abs() + 1e-10,
                    "{name}: {column} on bar {bar}: {value} is not {expected}"
                );
                compared += 1;
            }
        }
        assert!(compared > 3_500, "{name}: only {compared} values to compare");
    }
}
