//! The rest of the exchange: as many contracts as the real one lists, of as many kinds, drawn from a seed.

use backtestd_core::market::{Draws, Symbol, derive};

use super::scenario::{Contract, Scenario, SymbolScenario};

/// Names that are not ASCII, as some of the real ones are not.
const FAR_NAMES: [&str; 3] = ["好运连连USDT", "满仓干USDT", "招财猫USDT"];
/// Of seven traded contracts one is of a share or a commodity; of twenty one is settled in another coin.
const TRADIFI_OF: usize = 7;
const OTHER_QUOTE_OF: usize = 20;
/// For a hundred traded contracts so many are settled; and so many are announced, whatever the size.
const SETTLED_PERCENT: usize = 18;
const ANNOUNCED: usize = 2;

impl Scenario {
    /// Lists contracts until `trading` of them trade, and beside them what else stands in exchangeInfo:
    /// settled ones, announced ones, delivery contracts. They have no planted edges of their own and no spot
    /// pairs.
    pub fn crowd(&mut self, seed: u64, trading: usize) {
        let mut draws = Draws::numbered(derive(seed, "crowd"), 0);
        let missing = trading.saturating_sub(self.symbols.len());
        for n in 0..missing {
            let mut listing = drawn(&mut draws, n);
            if let Some(name) = FAR_NAMES.get(n) {
                listing.name = named(name);
            } else if n % TRADIFI_OF == TRADIFI_OF - 1 {
                listing.contract = Contract::Tradifi;
            }
            self.symbols.push(listing);
        }
        let resting = |contract, name: &str, draws: &mut Draws| SymbolScenario {
            name: named(name),
            contract,
            ..drawn(draws, 0)
        };
        for n in 0..trading * SETTLED_PERCENT / 100 {
            self.symbols.push(resting(Contract::Settled, &format!("OLD{n}USDT"), &mut draws));
        }
        for n in 0..ANNOUNCED {
            self.symbols.push(resting(Contract::Announced, &format!("SOON{n}USDT"), &mut draws));
        }
        for pair in ["BTCUSDT", "ETHUSDT"] {
            for (contract, day) in [(Contract::CurrentQuarter, "260327"), (Contract::NextQuarter, "260626")] {
                self.symbols.push(resting(contract, &format!("{pair}_{day}"), &mut draws));
            }
        }
    }
}

fn named(name: &str) -> Symbol {
    #[expect(clippy::expect_used, reason = "the names of this file are letters and digits")]
    Symbol::new(name).expect("letters and digits")
}

/// A contract of ordinary size: price, steps and turnover over the ranges that the real ones span.
fn drawn(draws: &mut Draws, n: usize) -> SymbolScenario {
    let quote = if n % OTHER_QUOTE_OF == OTHER_QUOTE_OF - 1 { "USDC" } else { "USDT" };
    let price = libm::exp(draws.between(-6.0, 6.0));
    // Four or five significant digits, as the real ticks leave.
    let tick_decimals = (4.0 - libm::log10(price)).round().clamp(1.0, 8.0) as usize;
    let lot_decimals = libm::log10(price).round().clamp(0.0, 3.0) as usize;
    let turnover = libm::exp(draws.between(11.0, 15.0));
    SymbolScenario {
        name: named(&format!("C{n:03}{quote}")),
        price,
        tick_decimals,
        price_decimals: (tick_decimals + usize::from(draws.uniform() < 0.2)).min(8),
        lot_decimals,
        beta: draws.between(0.5, 1.6),
        own_sigma_bps: draws.between(10.0, 30.0),
        turnover,
        open_interest: 40.0 * turnover / price,
        spot: None,
        contract: Contract::Perpetual,
        quote: quote.to_owned(),
        funding_hours: if draws.uniform() < 0.6 { 4 } else { 8 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_has_the_size_that_is_asked_for_and_many_kinds() {
        let mut scenario = Scenario::default();
        scenario.crowd(7, 600);
        let count = |kind| scenario.symbols.iter().filter(|s| s.contract == kind).count();
        assert_eq!(count(Contract::Perpetual) + count(Contract::Tradifi), 600);
        assert_eq!((count(Contract::Settled), count(Contract::Announced)), (108, 2));
        assert!(count(Contract::Tradifi) > 70 && count(Contract::NextQuarter) == 2);
        assert!(scenario.symbols.iter().any(|s| s.quote == "USDC"));
        assert!(scenario.symbols.iter().any(|s| !s.name.as_str().is_ascii()));
        assert!(scenario.symbols.iter().any(|s| s.funding_hours == 4));
        let mut names: Vec<&Symbol> = scenario.symbols.iter().map(|s| &s.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), scenario.symbols.len());
    }
}
