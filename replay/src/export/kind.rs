//! `ExportKind`: the files of an export, one for each kind of row.

use serde::Serialize;

/// What the rows of a file tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportKind {
    /// One row per tick.
    Ticks,
    /// One row per bar that closed.
    Bars,
    /// One row per feature vector, one column per feature.
    Features,
    /// One row per prediction of an agent.
    Predictions,
    /// One row per order, with its whole life.
    Orders,
    /// One row per fill that counted.
    Fills,
    /// One row per change of the account.
    Equity,
}

impl ExportKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Ticks, Self::Bars, Self::Features, Self::Predictions, Self::Orders, Self::Fills, Self::Equity];

    /// Its name, and that of its file before `.parquet`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Bars => "bars",
            Self::Features => "features",
            Self::Predictions => "predictions",
            Self::Orders => "orders",
            Self::Fills => "fills",
            Self::Equity => "equity",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name of its file.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}.parquet", self.name())
    }
}
