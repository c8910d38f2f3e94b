//! The language of the fixtures: one event, an example on which it fires and a near miss on which it stays
//! quiet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd_core::market::BarIndex;
use backtestd_store::load_yaml;
use serde::Deserialize;

/// Offset 0 of every script: Thursday 2025-03-06, 12:00 UTC.
pub(crate) const ZERO: BarIndex = BarIndex(5_804_208);
/// Calm bars of every script before offset 0.
pub(crate) const CALM: i64 = 48;
/// Calm bars after the last edit, unless a script says how far it goes.
const TAIL: i64 = 12;

/// A file of `tests/events/fixtures`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    /// The event.
    pub event: String,
    /// An example of it.
    pub positive: Script,
    /// A near miss.
    pub negative: Script,
}

/// What happens to the calm market, and what is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// Why this is, or is not, the event.
    pub why: String,
    /// Whose onsets are looked at.
    #[serde(default = "main_symbol")]
    pub symbol: String,
    /// What differs from the calm market; later edits win.
    pub edits: Vec<Edit>,
    /// Last bar of the script.
    pub until: Option<i64>,
    /// The onset of a positive example.
    pub expect: Option<Expect>,
    /// Bars on which a near miss must be quiet, where the event has a right to occur elsewhere in the script.
    pub quiet: Option<At>,
}

/// The onset that a positive example must have, and the only one from offset 0 on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Bar.
    pub at: i64,
    /// Side.
    pub direction: i8,
    /// Range of the severity.
    pub severity: (f64, f64),
}

fn main_symbol() -> String {
    "SOLUSDT".to_owned()
}

/// Bars of an edit: `3`, or `0..11` with both ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum At {
    /// One bar.
    Bar(i64),
    /// `first..last`.
    Range(String),
}

impl At {
    /// First and last bar.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        match self {
            Self::Bar(bar) => (*bar, *bar),
            Self::Range(text) => {
                let (a, b) = text.split_once("..").unwrap_or_else(|| panic!("'{text}' is not first..last"));
                (a.parse().unwrap(), b.parse().unwrap())
            }
        }
    }
}

/// A value for every bar of the edit, or several in turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    /// The same on every bar.
    One(f64),
    /// In turn, over and over.
    Cycle(Vec<f64>),
}

impl Values {
    fn nth(&self, n: i64) -> f64 {
        match self {
            Self::One(value) => *value,
            Self::Cycle(values) => values[n.unsigned_abs() as usize % values.len()],
        }
    }
}

/// What differs on some bars.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Edit {
    at: At,
    /// `all` for every symbol; without it the script's own.
    symbol: Option<String>,
    #[serde(flatten)]
    knobs: BTreeMap<Knob, Values>,
}

/// What an edit may set. Sigma is the market's usual one-bar volatility; `_x` is a multiple of what the bar
/// would have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Knob {
    /// Log return of the bar.
    ReturnSigma,
    /// Wick above the body.
    HighSigma,
    /// Wick below the body.
    LowSigma,
    VolumeX,
    TakerBuyShare,
    SpreadX,
    /// The widest quote of the bar.
    SpreadMaxX,
    BidDepthX,
    AskDepthX,
    /// Change of ln(open interest); described by the close of the bar and so known one bar later.
    OiChange,
    /// Rate of a settlement at the close of the bar, if that is a funding time; per 8 h.
    FundingBps,
    /// What the mark stream predicts, per 8 h.
    PredictedBps,
    PerpOverIndexBps,
    PerpOverSpotBps,
    MarkOverIndexBps,
    LiqLongUsd,
    LiqShortUsd,
    TickSize,
    TakerFeeBps,
}

/// The edits that meet on one bar of one symbol.
pub(crate) type Cell = BTreeMap<Knob, f64>;

impl Script {
    /// The last bar.
    pub(crate) fn last(&self) -> i64 {
        let edited = self.edits.iter().map(|e| e.at.bounds().1).max().unwrap_or(0);
        self.until.unwrap_or(edited + TAIL)
    }

    /// What the edits say about one bar; of two the later wins.
    pub(crate) fn cell(&self, symbol: &str, offset: i64) -> Cell {
        let mut cell = Cell::new();
        for edit in &self.edits {
            let (from, to) = edit.at.bounds();
            let whose = edit.symbol.as_deref().unwrap_or(&self.symbol);
            if (from..=to).contains(&offset) && (whose == symbol || whose == "all") {
                cell.extend(edit.knobs.iter().map(|(knob, values)| (*knob, values.nth(offset - from))));
            }
        }
        cell
    }
}

/// The folder of fixtures.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events/fixtures")
}

/// The fixture of an event, if there is one.
pub(crate) fn fixture(event: &str) -> Option<Fixture> {
    let path = folder().join(format!("{}.yaml", event.to_lowercase()));
    path.exists().then(|| load_yaml(&path).unwrap_or_else(|e| panic!("{e}")))
}
