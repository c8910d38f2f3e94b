//! Sections of the status about the exchange: its time, its answers, what is not final of its records, what
//! was refused.

use serde::Serialize;

use super::status::{optional_time, time};
use backtestd_binance::RestHealth;
use backtestd_core::market::{Kind, Symbol, Ts};

/// Whose time the daemon lives by.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClockStatus {
    /// Where the time comes from: always `exchange`, once it has answered.
    pub source: &'static str,
    /// The clock of this machine minus the exchange's, ms; null against a simulated exchange.
    pub offset_ms: Option<i64>,
    /// How far from the truth the last answer can be, ms.
    pub within_ms: i64,
    /// When the exchange was last asked, by its own clock.
    #[serde(serialize_with = "optional_time")]
    pub asked_at: Option<Ts>,
}

/// How bars built from aggregated trades compare with klines.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OpinionStatus {
    /// Bars of which every trade was seen, compared with their kline.
    pub compared: u64,
    /// Of these, equal in prices, volumes and number of trades.
    pub matched: u64,
    /// Of these, equal in value (price × quantity) too.
    pub matched_in_value: u64,
    /// Bars of which a trade may have been missed: not compared.
    pub incomplete: u64,
    /// The last difference, in words. Trades of the insurance fund are in klines and not among the trades.
    pub last_difference: Option<String>,
}

/// Who is followed by a rule.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UniverseStatus {
    /// The rule in words.
    pub rule: String,
    /// Contracts that are followed.
    pub members: u64,
    /// Who is on the way in: a second pipeline catches up with history beside the ticks.
    pub joining: Vec<Symbol>,
    /// Rows of history that it has run over.
    pub rows_done: u64,
    /// Rows of history that it has to run over.
    pub rows_total: u64,
    /// Who has left, newest first; their history stays.
    pub left: Vec<ChangeOfUniverse>,
    /// Who fits the rule and is not followed, and why.
    pub refused: Vec<ChangeOfUniverse>,
    /// When the exchange was last asked what it offers.
    #[serde(serialize_with = "optional_time")]
    pub looked_at: Option<Ts>,
}

/// A symbol that is not followed.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeOfUniverse {
    /// Its name at the exchange.
    pub symbol: Symbol,
    /// When it left.
    #[serde(serialize_with = "optional_time")]
    pub at: Option<Ts>,
    /// Why, in words.
    pub why: String,
}

impl ChangeOfUniverse {
    /// A symbol and a reason.
    #[must_use]
    pub fn of(symbol: &Symbol, at: Option<Ts>, why: &str) -> Self {
        Self { symbol: symbol.clone(), at, why: why.to_owned() }
    }
}

/// How the exchange answers requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RestStatus {
    /// `ok`, `failing`, `waiting` (it asked us to slow down) or `banned`.
    pub state: &'static str,
    /// Until when no request is sent.
    #[serde(serialize_with = "optional_time")]
    pub banned_until: Option<Ts>,
    /// Request weight of the futures host in this minute, as the exchange last said.
    pub weight: u32,
    /// Requests sent since the start.
    pub requests: u64,
    /// Of these, how many had no good answer.
    pub failures: u64,
    /// Answers that told this address to stop.
    pub stops: u64,
    /// The last failure, in words; null after a good answer.
    pub last_failure: Option<String>,
}

impl RestStatus {
    /// At the time `now` of a clock that runs `speed` times as fast as ours.
    #[must_use]
    pub fn of(health: RestHealth, now: Ts, speed: f64) -> Self {
        let wait = health.shut.into_iter().max().unwrap_or_default();
        let until = Ts(now.0 + (wait.as_secs_f64() * 1000.0 * speed) as i64);
        Self {
            state: health.state(),
            banned_until: (!wait.is_zero()).then_some(until),
            weight: health.used_weight,
            requests: health.requests,
            failures: health.failures,
            stops: health.stops,
            last_failure: health.last_failure,
        }
    }

    /// What is wrong, in words; none if nothing is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let why = self.last_failure.as_deref().unwrap_or("no reason given");
        match (self.state, self.banned_until) {
            ("ok" | "", _) => None,
            ("failing", _) => Some(format!("REST fails: {why}")),
            (state, Some(until)) => Some(format!("REST is {state} until {until}: {why}")),
            (state, None) => Some(format!("REST is {state}: {why}")),
        }
    }
}

/// The comparison with files of the exchange's public archive.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ArchiveStatus {
    /// `off`, `waiting` (for a file that is due), `comparing`, or `unreachable`.
    pub state: &'static str,
    /// Files compared since the start.
    pub files: u64,
    /// Answers since the start that a file is not there.
    pub absent: u64,
    /// Files since the start that do not fit, or are not those of their checksum.
    pub unreadable: u64,
    /// Records that they corrected since the start.
    pub corrected: u64,
    /// Records that they filled in since the start.
    pub filled: u64,
    /// The file that was compared last, before this start too.
    pub last: Option<LastFile>,
    /// Why the archive did not answer, or why a file did not fit, in words; null after a good answer.
    pub failure: Option<String>,
    /// How often the archive did not answer, since the start.
    pub failures: u64,
    /// When it is asked next.
    #[serde(serialize_with = "optional_time")]
    pub next_at: Option<Ts>,
}

/// A file of the archive that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastFile {
    /// Its path below the archive's root.
    pub path: String,
    /// When, by the exchange's clock.
    #[serde(serialize_with = "time")]
    pub at: Ts,
    /// Records that it corrected.
    pub corrected: u64,
    /// Records that it filled in.
    pub filled: u64,
}

/// Frames that were refused.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RefusedStatus {
    /// Frames since the start that could not be read or cannot be true; the newest lie in `refused/` of the
    /// state directory.
    pub frames: u64,
    /// Of these, how many found no room in the file.
    pub lost: u64,
    /// Why the last one was refused.
    pub last: Option<String>,
}

/// What is not final of a kind of record, over all symbols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapStatus {
    /// The kind: `bars`, `funding`, `open_interest`, `mark` or `long_short_ratio`.
    pub source: &'static str,
    /// Records that nobody has told yet and that are being asked for.
    pub missing: u64,
    /// Records that only a stream has told.
    pub unconfirmed: u64,
    /// Places for which the exchange has nothing, as far as it says; it is asked again.
    pub holes: u64,
}

impl GapStatus {
    /// Nothing is open.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { source: kind.name(), missing: 0, unconfirmed: 0, holes: 0 }
    }
}
