//! What a made-up session has to look like, and that it is the same everywhere.

use super::*;

fn session(settings: SyntheticSettings, symbol: &str) -> Vec<FeedTick> {
    let definition = Instrument::well_known(symbol).expect("well known");
    let mut feed = Synthetic::new(settings, InstrumentId(2), &definition).expect("valid");
    let ticks: Vec<_> = std::iter::from_fn(|| feed.next().expect("never fails")).collect();
    assert_eq!(feed.next().expect("never fails"), None);
    assert_eq!(feed.progress(), Some(1.0));
    ticks
}

/// FNV-1a over time, bid and ask.
fn digest(ticks: &[FeedTick]) -> u64 {
    ticks
        .iter()
        .flat_map(|tick| [tick.time.0, tick.bid.0, tick.ask.0])
        .flat_map(i64::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[test]
fn the_same_seed_gives_the_same_ticks_on_every_machine() {
    let eurusd = session(SyntheticSettings::default(), "EURUSD");
    let btcusd = session(SyntheticSettings::default(), "BTCUSD");
    assert_eq!((eurusd.len(), digest(&eurusd)), (59_215, 14_176_095_910_355_457_895));
    assert_eq!((btcusd.len(), digest(&btcusd)), (66_752, 12_508_420_663_629_091_917));
}

#[test]
fn a_session_has_about_the_ticks_and_the_gap_it_was_asked_for() {
    for (symbol, seed) in [("EURUSD", 1), ("EURUSD", 2), ("BTCUSD", 1), ("BTCUSD", 9)] {
        let settings = SyntheticSettings { seed, ..SyntheticSettings::default() };
        let ticks = session(settings, symbol);
        assert!((40_000..90_000).contains(&ticks.len()), "{symbol} {seed}: {}", ticks.len());
        let end = settings.start.0 + settings.duration.0;
        assert!(ticks.iter().all(|tick| (settings.start.0..end).contains(&tick.time.0)));
        assert!(ticks.iter().enumerate().all(|(index, tick)| tick.source_sequence == index as u64 + 1));
        let waits: Vec<i64> = ticks.windows(2).map(|pair| pair[1].time.0 - pair[0].time.0).collect();
        assert!(waits.iter().all(|wait| *wait >= Time::MILLISECOND), "times grow");
        let long: Vec<_> = waits.iter().filter(|wait| **wait > 60 * Time::SECOND).collect();
        assert!(matches!(long[..], [gap] if *gap >= settings.gap.0), "{symbol} {seed}: {long:?}");
        assert!(end - ticks[ticks.len() - 1].time.0 < 60 * Time::SECOND);
    }
}

#[test]
fn quotes_look_like_the_instrument() {
    for (symbol, spreads, mean_spread, prices) in
        [("EURUSD", 1..=20, 1.0..2.5, 1.0..1.2), ("BTCUSD", 20..=1_500, 100.0..350.0, 30_000.0..60_000.0)]
    {
        let digits = Instrument::well_known(symbol).expect("well known").digits;
        for seed in 0..3 {
            let ticks = session(SyntheticSettings { seed, ..SyntheticSettings::default() }, symbol);
            let spread = |tick: &FeedTick| tick.ask.0 - tick.bid.0;
            let mean = ticks.iter().map(spread).sum::<i64>() as f64 / ticks.len() as f64;
            let widest = ticks.iter().map(spread).max().expect("there are ticks");
            assert!(ticks.iter().all(|tick| spreads.contains(&spread(tick))), "{symbol} {seed}: {widest}");
            assert!(
                mean_spread.contains(&mean) && widest as f64 > 2.0 * mean,
                "{symbol} {seed}: {mean} {widest}"
            );
            let scale = libm::pow(10.0, f64::from(digits));
            assert!(
                ticks.iter().all(|tick| prices.contains(&(tick.bid.0 as f64 / scale))),
                "{symbol} {seed}"
            );
            let jump = ticks
                .windows(2)
                .map(|pair| (pair[1].bid.0 - pair[0].bid.0).abs() as f64 / pair[0].bid.0 as f64);
            assert!(jump.fold(0.0, f64::max) < 0.01, "no tick looks like a wrong price");
        }
    }
}

#[test]
fn ticks_come_in_bursts_and_quiet() {
    let ticks = session(SyntheticSettings { gap: Span(0), ..SyntheticSettings::default() }, "EURUSD");
    let start = SyntheticSettings::default().start.0;
    let mut counts = vec![0.0_f64; 4 * 3_600];
    for tick in &ticks {
        counts[((tick.time.0 - start) / Time::SECOND) as usize] += 1.0;
    }
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let variance =
        counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / counts.len() as f64;
    assert!(variance > 2.0 * mean, "ticks by pure chance have a variance of their mean, {mean}: {variance}");
    assert!(counts.contains(&0.0) && counts.iter().any(|count| *count > 5.0 * mean));
}

/// Correlation of the mid's last move, over `span` seconds, with its next one, over ten sessions.
fn predictability(span: usize) -> f64 {
    let (mut product, mut past, mut future) = (0.0, 0.0, 0.0);
    for seed in 0..10 {
        let seconds = 3_600;
        let settings = SyntheticSettings {
            seed,
            duration: Span::seconds(seconds as i64),
            ticks: 15_000,
            gap: Span(0),
            ..SyntheticSettings::default()
        };
        let mut mids: Vec<f64> = Vec::with_capacity(seconds);
        for tick in session(settings, "EURUSD") {
            let mid = (tick.bid.0 + tick.ask.0) as f64 / 2.0;
            let second = ((tick.time.0 - settings.start.0) / Time::SECOND) as usize;
            mids.resize(second, mids.last().copied().unwrap_or(mid));
            mids.push(mid);
        }
        for at in (100..mids.len() - span).step_by(span) {
            let (x, y) = (mids[at] - mids[at - span], mids[at + span] - mids[at]);
            product += x * y;
            past += x * x;
            future += y * y;
        }
    }
    product / (past * future).sqrt()
}

#[test]
fn there_is_a_little_to_learn_and_not_more() {
    let momentum = predictability(60);
    let reversion = predictability(2);
    assert!((0.05..0.3).contains(&momentum) && (-0.2..-0.03).contains(&reversion), "{momentum} {reversion}");
}

#[test]
fn going_on_after_a_restart_gives_the_ticks_that_follow() {
    let definition = Instrument::well_known("EURUSD").expect("well known");
    let settings = SyntheticSettings { ticks: 2_000, ..SyntheticSettings::default() };
    let whole = session(settings, "EURUSD");
    let mut feed = Synthetic::new(settings, InstrumentId(2), &definition).expect("valid");
    feed.skip_to(1_000).expect("inside");
    assert_eq!(feed.next().expect("never fails"), Some(whole[1_000]));
    assert!(feed.skip_to(1_000_000).expect_err("too far").to_string().contains("synthetic EURUSD"));
}

#[test]
fn settings_that_make_no_session_are_refused_by_name() {
    let definition = Instrument::well_known("EURUSD").expect("well known");
    let base = SyntheticSettings::default;
    for (settings, expected) in [
        (SyntheticSettings { duration: Span(0), ..base() }, "duration = 0s must"),
        (SyntheticSettings { start: Time(i64::MAX), ..base() }, "before the year 2262"),
        (SyntheticSettings { gap: Span::seconds(2 * 3_600 + 1), ..base() }, "gap = 7201s must"),
        (SyntheticSettings { gap: Span(-1), ..base() }, "gap = -1ns must"),
        (SyntheticSettings { gap_at: Ppm(-1), ..base() }, "gap_at = "),
        (SyntheticSettings { ticks: 0, ..base() }, "ticks = 0 must"),
        (SyntheticSettings { ticks: 10_000_000, ..base() }, "ticks = 10000000 must be between 1 and 1398000"),
    ] {
        let error = Synthetic::new(settings, InstrumentId(0), &definition).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
