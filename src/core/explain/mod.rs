//! Why a name has the value it has on a bar: the engine itself, run over the part of the graph that the name
//! needs.
//!
//! Nothing here evaluates an expression. [`Tracer`] replays the raw log through the same joiner and engine as
//! the pipeline and keeps every node's value on the asked bar; [`Trace`] says in words what the detector did
//! with them. [`Census`] counts how often an event fires. Both are fed stretches of the log by whoever has a
//! store, so the room is pure and serves the command line and the daemon alike.
//!
//! | file | idea |
//! | --- | --- |
//! | `subject` | a name, and the part of the graph that it needs |
//! | `replay` | the joiner and the engine over that part |
//! | `trace` | every node's value on one bar |
//! | `blame` | what made a value unknown, false or true |
//! | `verdict` | what the detector did, in words |
//! | `show` | text and JSON of a trace |
//! | `census` | known rows and onsets per symbol |

mod blame;
mod census;
mod formula;
mod replay;
mod show;
mod subject;
mod trace;
mod verdict;

pub use census::{Census, Prevalence, SymbolPrevalence};
pub use replay::{History, Stretch};
pub use subject::{Kind, Subject};
pub use trace::{Trace, Tracer};
pub use verdict::{Outcome, Verdict};

use crate::clean::CleanError;
use crate::graph::PushError;
use crate::market::{BarIndex, Symbol};
use crate::spec::UnknownName;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The specs have no such name.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// A name without a value of its own.
    #[error("'{name}' has no value on a bar: name an event, a state, a feature or a source column")]
    NoValue {
        /// Name as the caller gave it.
        name: String,
    },
    /// A symbol without bars.
    #[error("there are no perp bars of {symbol}; there are bars of {}", list(known))]
    UnknownSymbol {
        /// Symbol as the caller gave it.
        symbol: Symbol,
        /// Those with bars.
        known: Vec<Symbol>,
    },
    /// A bar that is not stored.
    #[error("the bar {at} is not stored: the history runs from {first} to {last}")]
    Outside {
        /// Bar that was asked for.
        at: BarIndex,
        /// First bar of the history.
        first: BarIndex,
        /// Last bar of the history.
        last: BarIndex,
    },
    /// The source rules cannot be used.
    #[error(transparent)]
    Clean(#[from] CleanError),
    /// The engine refused rows.
    #[error(transparent)]
    Engine(#[from] PushError),
}

fn list(symbols: &[Symbol]) -> String {
    symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(", ")
}
