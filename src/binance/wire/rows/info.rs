//! What is listed, with its steps, and the limits in force.

use serde::Deserialize;

use super::read;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::{Symbol, Ts};

/// `/exchangeInfo` of either market.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeInfo {
    /// Request limits in force.
    pub rate_limits: Vec<RateLimit>,
    /// All contracts or pairs.
    pub symbols: Vec<SymbolInfo>,
}

impl ExchangeInfo {
    /// Request weight per minute and address, if stated.
    #[must_use]
    pub fn weight_per_minute(&self) -> Option<u32> {
        self.rate_limits
            .iter()
            .find(|limit| limit.kind == "REQUEST_WEIGHT" && limit.interval_s == 60)
            .map(|limit| limit.limit)
    }
}

/// One request limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `REQUEST_WEIGHT`, `ORDERS`, `RAW_REQUESTS`, …
    pub kind: String,
    /// Length of the counting window.
    pub interval_s: u32,
    /// Highest count in a window.
    pub limit: u32,
}

/// What is known about a contract or pair.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolInfo {
    /// Name of the contract or pair.
    pub symbol: Symbol,
    /// Status as written; values that nobody documented will come.
    pub status: String,
    /// `PERPETUAL`, `TRADIFI_PERPETUAL`, `CURRENT_QUARTER`, …; empty for spot.
    pub contract_type: String,
    /// Asset of the prices; empty if not stated.
    pub quote_asset: String,
    /// When the contract began to trade; `None` if not stated (spot).
    pub onboard: Option<Ts>,
    /// Price step from the filters, quote currency; NaN if not stated. (Not derived from `pricePrecision`:
    /// that is another thing.)
    pub tick_size: f64,
    /// Quantity step, base units; NaN if not stated.
    pub step_size: f64,
    /// Least value of an order, quote currency; NaN if not stated.
    pub min_notional: f64,
    /// Lowest and highest price at which an order may rest, by the mark price (`PERCENT_PRICE` of contracts).
    pub price_band: Option<(f64, f64)>,
}

impl SymbolInfo {
    /// Whether orders match now.
    #[must_use]
    pub fn is_trading(&self) -> bool {
        self.status == "TRADING"
    }

    /// Whether it is a perpetual (of coins or of anything else).
    #[must_use]
    pub fn is_perpetual(&self) -> bool {
        self.contract_type.ends_with("PERPETUAL")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawExchangeInfo<'a> {
    #[serde(borrow)]
    rate_limits: Vec<RawRateLimit<'a>>,
    #[serde(borrow)]
    symbols: Vec<RawSymbol<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRateLimit<'a> {
    #[serde(borrow)]
    rate_limit_type: Scalar<'a>,
    #[serde(borrow)]
    interval: Scalar<'a>,
    #[serde(borrow)]
    interval_num: Scalar<'a>,
    #[serde(borrow)]
    limit: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSymbol<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    status: Scalar<'a>,
    #[serde(borrow, default)]
    contract_type: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    quote_asset: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    onboard_date: Option<Scalar<'a>>,
    #[serde(borrow)]
    filters: Vec<RawFilter<'a>>,
}

/// Filters share one list; each has a few of these fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter<'a> {
    #[serde(borrow)]
    filter_type: Scalar<'a>,
    #[serde(borrow, default)]
    tick_size: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    step_size: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    notional: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    min_notional: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    multiplier_down: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    multiplier_up: Option<Scalar<'a>>,
}

/// `/fapi/v1/exchangeInfo` or `/api/v3/exchangeInfo`.
///
/// # Errors
/// When the body is not such an object.
pub fn parse_exchange_info(body: &[u8]) -> Result<ExchangeInfo, WireError> {
    let raw: RawExchangeInfo<'_> = read(body, "exchangeInfo response")?;
    let rate_limits = raw.rate_limits.iter().map(rate_limit).collect::<Result<_, _>>()?;
    let symbols = raw.symbols.iter().map(symbol_info).collect::<Result<_, _>>()?;
    Ok(ExchangeInfo { rate_limits, symbols })
}

fn rate_limit(raw: &RawRateLimit<'_>) -> Result<RateLimit, WireError> {
    const WHAT: &str = "exchangeInfo rate limit";
    const WINDOW: &str = "SECOND, MINUTE, HOUR or DAY";
    let unit_s: u32 = match raw.interval.text(WHAT, "interval")? {
        "SECOND" => 1,
        "MINUTE" => 60,
        "HOUR" => 3600,
        "DAY" => 86_400,
        other => return Err(WireError::field(WHAT, "interval", other, WINDOW)),
    };
    let positive = |value: &Scalar<'_>, field| {
        let number = value.integer(WHAT, field)?;
        u32::try_from(number)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| WireError::field(WHAT, field, number.to_string(), "a positive number"))
    };
    Ok(RateLimit {
        kind: raw.rate_limit_type.text(WHAT, "rateLimitType")?.to_owned(),
        interval_s: unit_s.saturating_mul(positive(&raw.interval_num, "intervalNum")?),
        limit: positive(&raw.limit, "limit")?,
    })
}

fn symbol_info(raw: &RawSymbol<'_>) -> Result<SymbolInfo, WireError> {
    const WHAT: &str = "exchangeInfo symbol";
    let mut info = SymbolInfo {
        symbol: raw.symbol.symbol(WHAT, "symbol")?,
        status: raw.status.text(WHAT, "status")?.to_owned(),
        contract_type: match &raw.contract_type {
            Some(text) => text.text(WHAT, "contractType")?.to_owned(),
            None => String::new(),
        },
        quote_asset: match &raw.quote_asset {
            Some(text) => text.text(WHAT, "quoteAsset")?.to_owned(),
            None => String::new(),
        },
        onboard: raw.onboard_date.as_ref().map(|date| date.time(WHAT, "onboardDate")).transpose()?,
        tick_size: f64::NAN,
        step_size: f64::NAN,
        min_notional: f64::NAN,
        price_band: None,
    };
    for filter in &raw.filters {
        let number = |value: &Option<Scalar<'_>>, field| match value {
            Some(value) => value.amount(WHAT, field),
            None => Ok(f64::NAN),
        };
        match filter.filter_type.text(WHAT, "filterType")? {
            "PRICE_FILTER" => info.tick_size = number(&filter.tick_size, "tickSize")?,
            "LOT_SIZE" => info.step_size = number(&filter.step_size, "stepSize")?,
            // Contracts write `notional`, spot pairs `minNotional`.
            "MIN_NOTIONAL" | "NOTIONAL" if filter.notional.is_some() => {
                info.min_notional = number(&filter.notional, "notional")?;
            }
            "MIN_NOTIONAL" | "NOTIONAL" => info.min_notional = number(&filter.min_notional, "minNotional")?,
            "PERCENT_PRICE" => {
                let down = number(&filter.multiplier_down, "multiplierDown")?;
                let up = number(&filter.multiplier_up, "multiplierUp")?;
                info.price_band = (down < 1.0 && up > 1.0).then_some((down, up));
            }
            _ => {}
        }
    }
    Ok(info)
}
