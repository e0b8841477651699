//! The feature stage from outside: steps in, bars and vectors out, held against naive twins, TA-Lib and a real day.

mod bars;
mod determinism;
mod driver;
mod real_day;
mod settings;
mod talib;
mod twin;
mod twin_test;
mod warm_up;
