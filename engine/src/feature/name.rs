//! `Name`: reading a column from its name, and finding what a wrong name was meant to be.

use super::column::{CATALOGUE, Column, ColumnInfo, FACTOR_MAX, FACTOR_ONE, PERIOD_MAX, Parameter};
use super::error::FeatureError;

/// The column with this name.
///
/// # Errors
/// [`FeatureError`] naming the column: unknown, a number out of range, or not written as it is to be written.
pub(super) fn parse(name: &str) -> Result<Column, FeatureError> {
    let found = CATALOGUE.iter().find_map(|info| Some((info, numbers_of(info, name)?)));
    let Some((info, texts)) = found else {
        return Err(FeatureError::UnknownColumn { name: name.to_owned(), nearest: nearest(name) });
    };
    let wrong = |problem: String| FeatureError::ColumnParameter { name: name.to_owned(), problem };
    let mut numbers = [0; 3];
    for ((number, text), parameter) in numbers.iter_mut().zip(&texts).zip(info.parameters) {
        *number = match parameter {
            Parameter::Period(min) => period(text, *min),
            Parameter::Factor => factor(text),
        }
        .map_err(wrong)?;
    }
    let column = (info.build)(&numbers);
    if let Column::Macd(p) | Column::MacdSignal(p) | Column::MacdHistogram(p) = column
        && p.fast >= p.slow
    {
        return Err(wrong(format!(
            "the fast period {} must be below the slow period {}: write the shorter one first",
            p.fast, p.slow
        )));
    }
    Ok(column)
}

/// The number texts behind the stem if the name has the form of this row.
fn numbers_of<'a>(info: &ColumnInfo, name: &'a str) -> Option<Vec<&'a str>> {
    let rest = name.strip_prefix(info.stem)?;
    if info.parameters.is_empty() {
        return rest.is_empty().then(Vec::new);
    }
    let texts: Vec<_> = rest.strip_prefix('_')?.split('_').collect();
    let is_number =
        |text: &&str| text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(is_numeral);
    (texts.len() == info.parameters.len() && texts.iter().all(is_number)).then_some(texts)
}

const fn is_numeral(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

fn period(text: &str, min: u32) -> Result<u32, String> {
    let wrong = || format!("the period {text} must be a whole number between {min} and {PERIOD_MAX}");
    let number = text.parse().ok().filter(|number| (min..=PERIOD_MAX).contains(number)).ok_or_else(wrong)?;
    if text.starts_with('0') {
        return Err(format!("write the period {text} without leading zeros, as {number}"));
    }
    Ok(number)
}

fn factor(text: &str) -> Result<u32, String> {
    let wrong = || {
        format!(
            "the factor {text} must be above 0 and at most {} with up to three decimals",
            FACTOR_MAX / FACTOR_ONE
        )
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || fraction.contains('.') || whole.len() > 4 {
        return Err(wrong());
    }
    let number: u32 = format!("{whole}{fraction:0<3}").parse().map_err(|_| wrong())?;
    if number == 0 || number > FACTOR_MAX {
        return Err(wrong());
    }
    let plain = factor_text(number);
    if plain != text {
        return Err(format!("write the factor {text} as {plain}"));
    }
    Ok(number)
}

fn factor_text(factor: u32) -> String {
    let text = format!("{}.{:03}", factor / FACTOR_ONE, factor % FACTOR_ONE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The name somebody most likely meant: the nearest stem, with the numbers given if they fit.
fn nearest(name: &str) -> Option<String> {
    let stem = |text: &str| -> String {
        let lower = text.to_ascii_lowercase();
        lower
            .split(|c: char| !c.is_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join("_")
    };
    let meant = stem(name);
    let score = |info: &ColumnInfo| match abbreviates(&meant, info.stem) {
        true => usize::from(meant != info.stem),
        false => distance(&meant, info.stem),
    };
    let (distance, info) = CATALOGUE
        .iter()
        .map(|info| (score(info), info))
        .min_by_key(|(distance, _)| *distance)
        .expect("the catalogue has rows");
    if distance > info.stem.len().max(2) / 2 {
        return None;
    }
    let numbers: Vec<_> = name.split(|c: char| !c.is_ascii_digit()).filter(|text| !text.is_empty()).collect();
    let candidate = [&[info.stem], &numbers[..]].concat().join("_");
    let fits = numbers.len() == info.parameters.len() && parse(&candidate).is_ok();
    Some(if fits { candidate } else { info.example.to_owned() })
}

/// Whether every word of `short` begins the word of `stem` in its place: `macd_hist` is short for `macd_histogram`.
fn abbreviates(short: &str, stem: &str) -> bool {
    let words = || short.split('_').zip(stem.split('_'));
    short.split('_').count() == stem.split('_').count()
        && words().all(|(part, word)| !part.is_empty() && word.starts_with(part))
}

/// Insertions, deletions and substitutions between two texts (Levenshtein, 1966).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substitute = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::column::{Bollinger, COLUMNS_DEFAULT, MacdPeriods};

    #[test]
    fn every_row_of_the_catalogue_reads_its_own_example() {
        for info in CATALOGUE {
            assert!(info.pattern.starts_with(info.stem), "{}", info.pattern);
            assert_eq!(info.pattern.matches(|c: char| c.is_ascii_uppercase()).count(), info.parameters.len());
            let column = parse(info.example).unwrap_or_else(|error| panic!("{error}"));
            let other = CATALOGUE.iter().filter(|row| numbers_of(row, info.example).is_some()).count();
            assert_eq!(other, 1, "{} is one column only: {column:?}", info.example);
        }
        for name in COLUMNS_DEFAULT {
            assert!(parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn numbers_in_a_name_become_parameters() {
        assert_eq!(parse("return_4096"), Ok(Column::Return(4096)));
        assert_eq!(
            parse("macd_signal_3_10_16"),
            Ok(Column::MacdSignal(MacdPeriods { fast: 3, slow: 10, signal: 16 }))
        );
        assert_eq!(
            parse("bollinger_b_20_2.5"),
            Ok(Column::BollingerB(Bollinger { period: 20, factor: 2_500 }))
        );
    }

    #[test]
    fn a_wrong_number_is_refused_with_the_way_out() {
        for (name, hint) in [
            ("sma_0", "between 1 and 4096"),
            ("sma_4097", "between 1 and 4096"),
            ("sma_99999999999", "between 1 and 4096"),
            ("sma_1.5", "whole number"),
            ("sma_010", "as 10"),
            ("spread_z_1", "between 2 and 4096"),
            ("macd_26_12_9", "must be below"),
            ("macd_12_12_9", "must be below"),
            ("bollinger_b_20_0", "above 0"),
            ("bollinger_b_20_11", "at most 10"),
            ("bollinger_b_20_2.0", "as 2"),
            ("bollinger_b_20_2.0001", "three decimals"),
            ("bollinger_b_20_2.1.1", "three decimals"),
            ("bollinger_b_20_99999999999", "at most 10"),
        ] {
            let text = parse(name).expect_err(name).to_string();
            assert!(text.contains(&format!("`{name}`")) && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_known_one() {
        for (name, expected) in [
            ("smma_10", Some("sma_10")),
            ("SMA_10", Some("sma_10")),
            ("rsi14", Some("rsi_14")),
            ("sma", Some("sma_10")),
            ("return", Some("return_5")),
            ("macd", Some("macd_12_26_9")),
            ("macd_hist_12_26_9", Some("macd_histogram_12_26_9")),
            ("spraed", Some("spread")),
            ("boll_b_20_2", Some("bollinger_b_20_2")),
            ("mid_5", Some("mid")),
            ("tick_sma_50_2", Some("tick_sma_20")),
            ("astrology_of_the_moon_7", None),
        ] {
            let Err(FeatureError::UnknownColumn { nearest, .. }) = parse(name) else {
                panic!("{name} is unknown")
            };
            assert_eq!(nearest.as_deref(), expected, "{name}");
        }
    }
}
