//! The rule that says which contracts are followed where no list does (`symbols = rule`).

use super::ConfigError;
use super::typed::{Reader, items, symbols};
use backtestd_core::market::Symbol;

/// The setting of `symbols` that asks for a rule.
pub(super) const BY_RULE: &str = "rule";

/// Which contracts are followed.
#[derive(Clone, Debug, PartialEq)]
pub struct UniverseRule {
    /// Assets of their prices.
    pub quotes: Vec<String>,
    /// Contract types as the exchange writes them.
    pub contracts: Vec<String>,
    /// Least value that was traded within 24 hours for a symbol to join, quote currency.
    pub min_quote_volume: f64,
    /// A member leaves below this share of it, so that nobody comes and goes every day.
    pub keep_share: f64,
    /// Days since the contract began to trade.
    pub min_age_days: u32,
    /// Most members at once.
    pub max_symbols: usize,
    /// Which of them have spot bars.
    pub spot: SpotRule,
}

/// Which members have spot bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpotRule {
    /// Those of whose name there is a spot pair.
    Same,
    /// None of them.
    None,
    /// Those of a list.
    Listed(Vec<Symbol>),
}

impl UniverseRule {
    /// Reads the section `universe`, and `spot_symbols`.
    pub(super) fn read(r: &Reader<'_>) -> Result<Self, ConfigError> {
        let words = |text: &str| -> Vec<String> { items(text).map(str::to_ascii_uppercase).collect() };
        let some_words = |text: &str| Some(words(text)).filter(|list| !list.is_empty());
        let perpetuals = |text: &str| {
            some_words(text).filter(|list| list.iter().all(|contract| contract.ends_with("PERPETUAL")))
        };
        let amount = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite() && *x >= 0.0);
        Ok(Self {
            quotes: r.read("universe.quotes", "a list of assets (USDT,USDC)", some_words)?,
            contracts: r.read(
                "universe.contracts",
                "a list out of PERPETUAL, TRADIFI_PERPETUAL",
                perpetuals,
            )?,
            min_quote_volume: r.read("universe.min_quote_volume", "a number, 0 or more", amount)?,
            keep_share: r
                .read("universe.keep_share", "a number, 0 to 1", |t| amount(t).filter(|x| *x <= 1.0))?,
            min_age_days: r.read("universe.min_age_days", "a number of days, 0 to 36500", |t| {
                t.parse().ok().filter(|days| *days <= 36_500)
            })?,
            max_symbols: r.read("universe.max_symbols", "a number, 1 to 2000", |t| {
                t.parse().ok().filter(|n| (1..=2000).contains(n))
            })?,
            spot: r.read("spot_symbols", "'same', 'none', or a list of symbols", |t| match t {
                "same" => Some(SpotRule::Same),
                "none" | "" => Some(SpotRule::None),
                list => symbols(list).map(SpotRule::Listed),
            })?,
        })
    }

    /// The rule in words, for the status.
    #[must_use]
    pub fn in_words(&self) -> String {
        let age = match self.min_age_days {
            0 => String::new(),
            days => format!(", {days} days old"),
        };
        format!(
            "{} in {}, {} traded in 24 hours (leaving below {}){age}, at most {}",
            self.contracts.join(" or "),
            self.quotes.join(" or "),
            self.min_quote_volume,
            self.min_quote_volume * self.keep_share,
            self.max_symbols
        )
    }
}
