//! `FeatureError`: why the feature stage cannot be built.

use pawl_journal::record::FEATURE_COLUMNS_MAX;

use super::column::CATALOGUE;

/// Why the feature stage cannot be built. Every message names the setting and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// No column has this name.
    #[error("features.columns: there is no column `{name}`{}; known are {}", did_you_mean(nearest.as_deref()), known())]
    UnknownColumn {
        /// The name found.
        name: String,
        /// The known name nearest to it, if one is near.
        nearest: Option<String>,
    },
    /// A number in a column's name is out of range or badly written.
    #[error("features.columns: `{name}`: {problem}")]
    ColumnParameter {
        /// The name found.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A column is there twice.
    #[error("features.columns: `{name}` is listed twice, as columns {first} and {second}: remove one")]
    DuplicateColumn {
        /// The name found twice.
        name: String,
        /// Its first place, from 1.
        first: usize,
        /// Its second place, from 1.
        second: usize,
    },
    /// More columns than a record holds.
    #[error(
        "features.columns: {count} columns are more than the {FEATURE_COLUMNS_MAX} a vector holds; the first too many \
         is `{name}`: remove {}", count - FEATURE_COLUMNS_MAX
    )]
    TooManyColumns {
        /// How many there are.
        count: usize,
        /// The first that has no place.
        name: String,
    },
    /// The interval of bars is not one.
    #[error(
        "features.bars: `{text}` is not a bar interval: {problem}; write a duration such as \"1m\" (1ms to 1d) or a \
         number of ticks such as \"100 ticks\" (1 to 1000000)"
    )]
    Bars {
        /// The text found.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

fn known() -> String {
    CATALOGUE.iter().map(|info| info.pattern).collect::<Vec<_>>().join(", ")
}
