//! Names of instruments: the symbol, which contract on it, and the market where the name says it.
//!
//! One reader of names for paths, members of archives, symbol columns and flags. The pair `BTCUSDT` is the
//! perpetual or spot, as the market says. `BTCUSDT_250328` is a delivery contract and `BTCUSD_PERP` a COIN-M
//! one: other instruments with other prices and units, however alike the names are.

use std::fmt;

use super::{Market, Symbol, Ts, parse_date};

/// Which contract a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contract {
    /// The pair itself: the USD-M perpetual, or spot.
    Pair,
    /// A USD-M contract with a delivery date.
    Delivery(Ts),
    /// A contract margined in its base coin: a perpetual, or with a delivery date.
    CoinMargined(Option<Ts>),
    /// An option contract, which is never read.
    Option,
}

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// The exchange's own name: `BTCUSDT`, `BTCUSDT_250328`, `BTCUSD_PERP`.
    pub symbol: Symbol,
    /// Which contract of the pair it is.
    pub contract: Contract,
    /// The market, where the name says it (`BTC/USDT:USDT`, `BTCUSDT-PERP`).
    pub market: Option<Market>,
}

/// Quote assets by which a word is known as a pair. The first [`STABLE`] are coins that stand for a dollar:
/// only they are taken for a quote when they stand alone (`BTC_USDT`), because `BTC_ETH` is a list as often
/// as a pair.
const QUOTES: [&str; 9] = ["USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD1", "BTC", "ETH", "BNB"];
const STABLE: usize = 6;

impl Instrument {
    /// A pair without more knowledge.
    #[must_use]
    pub const fn pair(symbol: Symbol) -> Self {
        Self { symbol, contract: Contract::Pair, market: None }
    }

    /// Reads a text that is a name and nothing else. A single word of letters and digits is a pair even when
    /// its quote asset is not known here; anything else has to be understood.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.trim().to_uppercase();
        let name = upper.strip_prefix("BINANCE:").unwrap_or(&upper);
        let name = name.strip_suffix(".BINANCE").unwrap_or(name);
        if name.contains('/') {
            return unified(name);
        }
        if let Some(pair) = name.strip_suffix(".P") {
            return Self::parse(pair)?.on(Market::Perp);
        }
        let words: Vec<&str> = name.split(['-', '_', ' ']).collect();
        if let Some((found, used)) = read_words(&words) {
            return match words.get(used..) {
                Some([]) => Some(found),
                Some(["SPOT"]) => found.on(Market::Spot),
                _ => None,
            };
        }
        let is_word = words.len() == 1 && name.chars().all(char::is_alphanumeric);
        is_word.then(|| Symbol::new(name).ok().map(Self::pair)).flatten()
    }

    /// Looks for a name among the words of a longer one (a file's name). None when there is none, or when
    /// there are two different ones.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let shouted = text.chars().any(char::is_uppercase);
        let upper = text.to_uppercase();
        let text = if shouted { text } else { &upper };
        let words: Vec<&str> = text.split(['-', '_', '.', ' ', '=', '(', ')']).collect();
        let mut found: Option<Self> = None;
        let mut at = 0;
        while at < words.len() {
            let Some((here, used)) = read_words(&words[at..]).filter(|(i, _)| shouted || i.is_stable())
            else {
                at += 1;
                continue;
            };
            if found.as_ref().is_some_and(|before| before.symbol != here.symbol) {
                return None;
            }
            found = found.or(Some(here));
            at += used;
        }
        found
    }

    /// Why it cannot be stored as the perpetual or spot; None: it can.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let until = |at: Ts| at.to_string().chars().take(10).collect::<String>();
        Some(match self.contract {
            Contract::Pair => return None,
            Contract::Delivery(at) => format!("a contract with delivery on {}, not the perpetual", until(at)),
            Contract::CoinMargined(None) => {
                "a COIN-M perpetual: another contract, in another unit".to_owned()
            }
            Contract::CoinMargined(Some(at)) => {
                format!("a COIN-M contract with delivery on {}", until(at))
            }
            Contract::Option => "an option".to_owned(),
        })
    }

    /// The quote asset, where it is a known one.
    #[must_use]
    pub fn quote(symbol: &Symbol) -> Option<&'static str> {
        quote_of(symbol.as_str())
    }

    fn is_stable(&self) -> bool {
        self.contract != Contract::Pair || ends_stable(self.symbol.as_str())
    }

    fn on(self, market: Market) -> Option<Self> {
        match self.market {
            Some(known) if known != market => None,
            _ => Some(Self { market: Some(market), ..self }),
        }
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.symbol.fmt(f)
    }
}

/// The unified form of libraries: `BTC/USDT`, `BTC/USDT:USDT`, `BTC/USD:BTC-250328`.
fn unified(name: &str) -> Option<Instrument> {
    let (base, rest) = name.split_once('/')?;
    let (quote, settle) = rest.split_once(':').map_or((rest, None), |(quote, settle)| (quote, Some(settle)));
    if ![base, quote].iter().all(|a| !a.is_empty() && a.chars().all(char::is_alphanumeric)) {
        return None;
    }
    let pair = Symbol::new(&format!("{base}{quote}")).ok()?;
    let Some(settle) = settle else { return Some(Instrument::pair(pair)) };
    let mut parts = settle.split('-');
    let (coin, date) = (parts.next()?, parts.next());
    if parts.next().is_some() {
        return Some(Instrument { symbol: pair, contract: Contract::Option, market: None });
    }
    let until = match date {
        Some(text) => Some(delivery_date(text)?),
        None => None,
    };
    if coin == base && coin != quote {
        return coin_margined(&pair, until);
    }
    if coin != quote {
        return None;
    }
    match until {
        Some(until) => delivery(&pair, until),
        None => Instrument::pair(pair).on(Market::Perp),
    }
}

/// Reads a name at the start of `words`; also says how many of them it takes.
fn read_words(words: &[&str]) -> Option<(Instrument, usize)> {
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let first = word(0);
    let named = !first.is_empty() && first.chars().all(|c| c.is_alphanumeric() && !c.is_lowercase());
    if !named {
        return None;
    }
    let quote = word(1);
    let is_coin_pair = quote == "USD" && word(2) == first;
    if is_coin_pair || (QUOTES[..STABLE].contains(&quote) && !ends_stable(first)) {
        let pair = Symbol::new(&format!("{first}{quote}")).ok()?;
        return Some(if is_coin_pair {
            let until = delivery_date(word(3));
            (coin_margined(&pair, until)?, 3 + usize::from(until.is_some()))
        } else if word(2) == quote {
            contract(pair, word(3), 3, Some(Market::Perp))
        } else {
            contract(pair, word(2), 2, None)
        });
    }
    let is_suffix = |text: &str| text == "PERP" || delivery_date(text).is_some();
    let is_coin = first.len() > 3 && first.ends_with("USD") && is_suffix(word(1));
    (is_coin || (first.len() > 4 && quote_of(first).is_some()))
        .then(|| Symbol::new(first).ok().map(|pair| contract(pair, word(1), 1, None)))
        .flatten()
}

/// The contract that the word behind a pair says: `PERP`, a delivery date, or nothing of the kind.
fn contract(pair: Symbol, suffix: &str, used: usize, market: Option<Market>) -> (Instrument, usize) {
    let is_coin = pair.as_str().ends_with("USD") && !pair.as_str().ends_with("FDUSD");
    let plain = Instrument { symbol: pair.clone(), contract: Contract::Pair, market };
    let until = delivery_date(suffix);
    let found = match (suffix, until) {
        // No USD-M contract is called so: BNBUSD is BNB in USD here, not BN in BUSD.
        ("PERP", _) if is_coin => coin_margined(&pair, None),
        ("PERP" | "SWAP", _) => plain.clone().on(Market::Perp),
        (_, Some(until)) if is_coin => coin_margined(&pair, Some(until)),
        (_, Some(until)) => delivery(&pair, until),
        _ => None,
    };
    found.map_or((plain, used), |found| (found, used + 1))
}

fn delivery(pair: &Symbol, until: Ts) -> Option<Instrument> {
    let symbol = Symbol::new(&format!("{pair}_{}", short_date(until))).ok()?;
    Some(Instrument { symbol, contract: Contract::Delivery(until), market: None })
}

fn coin_margined(pair: &Symbol, until: Option<Ts>) -> Option<Instrument> {
    let suffix = until.map_or_else(|| "PERP".to_owned(), short_date);
    let symbol = Symbol::new(&format!("{pair}_{suffix}")).ok()?;
    Some(Instrument { symbol, contract: Contract::CoinMargined(until), market: None })
}

/// `yymmdd`, the way contracts carry their date.
fn delivery_date(text: &str) -> Option<Ts> {
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    parse_date(&format!("20{}-{}-{}", &text[..2], &text[2..4], &text[4..])).ok()
}

fn short_date(at: Ts) -> String {
    at.compact().get(2..8).unwrap_or_default().to_owned()
}

fn quote_of(name: &str) -> Option<&'static str> {
    QUOTES.iter().copied().filter(|q| name.len() > q.len() && name.ends_with(q)).max_by_key(|q| q.len())
}

fn ends_stable(name: &str) -> bool {
    quote_of(name).is_some_and(|q| QUOTES[..STABLE].contains(&q))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: Option<Instrument>) -> String {
        found.map_or_else(
            || "-".to_owned(),
            |i| {
                let market = i.market.map_or_else(String::new, |m| format!(" {m}"));
                match i.contract {
                    Contract::Pair => format!("{i}{market}"),
                    Contract::Delivery(_) => format!("{i} delivery"),
                    Contract::CoinMargined(_) => format!("{i} coin"),
                    Contract::Option => format!("{i} option"),
                }
            },
        )
    }

    #[test]
    fn a_name_is_read_whole_or_not_at_all() {
        for (text, want) in [
            ("BTCUSDT", "BTCUSDT"),
            ("btcusdt", "BTCUSDT"),
            ("BTCUSDT_250328", "BTCUSDT_250328 delivery"),
            ("BTCUSD_PERP", "BTCUSD_PERP coin"),
            ("BNBUSD_PERP", "BNBUSD_PERP coin"),
            ("DOTUSD_250328", "DOTUSD_250328 coin"),
            ("BTC/USDT", "BTCUSDT"),
            ("BTC/USDT:USDT", "BTCUSDT perp"),
            ("BTC/USD:BTC", "BTCUSD_PERP coin"),
            ("BTC/USDT:USDT-250328", "BTCUSDT_250328 delivery"),
            ("BTC/USDT:USDT-250328-100000-C", "BTCUSDT option"),
            ("BTC_USDT_USDT", "BTCUSDT perp"),
            ("BTC-USDT", "BTCUSDT"),
            ("STETH_USDT_USDT", "STETHUSDT perp"),
            ("BTCUSDT-PERP.BINANCE", "BTCUSDT perp"),
            ("BTCUSDT.P", "BTCUSDT perp"),
            ("1000PEPEUSDT", "1000PEPEUSDT"),
            ("币安人生USDT", "币安人生USDT"),
            ("BTC", "BTC"),
            ("BTCU", "BTCU"),
            ("BTCUSDT_2025", "-"),
            ("FOO_BAR", "-"),
            ("", "-"),
            ("BTC/USDT:EUR", "-"),
        ] {
            assert_eq!(shown(Instrument::parse(text)), want, "{text}");
        }
    }

    #[test]
    fn a_name_is_found_among_the_words_of_a_file() {
        for (text, want) in [
            ("BTCUSDT-5m-2025-01", "BTCUSDT"),
            ("BTCUSDT_250328-5m-2025-01", "BTCUSDT_250328 delivery"),
            ("BNBUSD_PERP-5m-2025-01", "BNBUSD_PERP coin"),
            ("perp_BTCUSDT_5m_ohlcv_2025_2026", "BTCUSDT"),
            ("STETH_USDT_USDT-5m-futures", "STETHUSDT perp"),
            ("BTC_USDT-5m", "BTCUSDT"),
            ("Binance_BTCUSDT_1h", "BTCUSDT"),
            ("btcusdt_5m", "BTCUSDT"),
            ("perp_funding_BTC_ETH_2019_2026", "-"),
            ("BTCUSDT_ETHUSDT_5m", "-"),
            ("BTCUSDT_202501", "BTCUSDT"),
            ("backtest_results", "-"),
            ("ohlcv_5m", "-"),
        ] {
            assert_eq!(shown(Instrument::find(text)), want, "{text}");
        }
    }

    #[test]
    fn only_the_pair_itself_can_be_stored() {
        assert_eq!(Instrument::parse("BTCUSDT").unwrap().problem(), None);
        let problem = Instrument::parse("BTCUSDT_250328").unwrap().problem().unwrap();
        assert_eq!(problem, "a contract with delivery on 2025-03-28, not the perpetual");
        assert!(Instrument::parse("BTCUSD_PERP").unwrap().problem().unwrap().contains("COIN-M"));
    }
}
