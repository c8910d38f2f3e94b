//! REST bodies.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::WireError;
use super::scalar::Scalar;
use crate::market::{Bar, BarIndex, Market, OpenInterest, Symbol, Ts};

/// Length of the open-interest history's grid (the 5-minute period is the only one asked for).
const OPEN_INTEREST_GRID_MS: i64 = crate::market::BAR_MS;

/// Reads a body that borrows from it.
fn read<'de, T: Deserialize<'de>>(body: &'de [u8], what: &'static str) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|e| WireError::shape(what, &e, body))
}

/// One row of `/klines`, `/markPriceKlines` and their kin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlineRow {
    /// Open time.
    pub open_ts: Ts,
    /// Close time as sent: open of the next bar minus 1 ms.
    pub close_ts: Ts,
    /// Values; the slot holds `open_ts`. In mark and index rows the volume columns mean nothing.
    pub bar: Bar,
}

#[derive(Deserialize)]
struct RawRow<'a>(#[serde(borrow)] [Scalar<'a>; 12]);

/// `/fapi/v1/klines`, `/api/v3/klines` and the mark, index and premium rows: arrays of exactly 12.
///
/// `signed` prices (the premium index) may be negative; all others are refused when they are.
///
/// # Errors
/// When the body is not such an array or a value cannot be what its column means.
pub fn parse_klines(body: &[u8], prices: Prices) -> Result<Vec<KlineRow>, WireError> {
    const WHAT: &str = "kline row";
    let rows: Vec<RawRow<'_>> = read(body, "klines response")?;
    rows.iter()
        .map(|RawRow(row)| {
            let price = |i: usize, field| match prices {
                Prices::Positive => row[i].amount(WHAT, field),
                Prices::Signed => row[i].decimal(WHAT, field),
            };
            let open_ts = row[0].time(WHAT, "open_time")?;
            let bar = Bar {
                bar: open_ts.bar(),
                open: price(1, "open")?,
                high: price(2, "high")?,
                low: price(3, "low")?,
                close: price(4, "close")?,
                volume: row[5].amount(WHAT, "volume")?,
                quote_volume: row[7].amount(WHAT, "quote_volume")?,
                trades: row[8].amount(WHAT, "count")?,
                taker_buy_volume: row[9].amount(WHAT, "taker_buy_volume")?,
                taker_buy_quote: row[10].amount(WHAT, "taker_buy_quote_volume")?,
            };
            super::check_range(&bar, WHAT)?;
            Ok(KlineRow { open_ts, close_ts: row[6].time(WHAT, "close_time")?, bar })
        })
        .collect()
}

/// Which prices a row may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prices {
    /// Prices proper.
    Positive,
    /// The premium index, which is a difference.
    Signed,
}

/// Kind of a funding settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateType {
    /// The row does not say (before 2026-07-23) or says Regular.
    Regular,
    /// An extraordinary settlement between the regular ones.
    Special,
}

/// One row of `/fapi/v1/fundingRate`.
#[derive(Clone, Debug, PartialEq)]
pub struct FundingRow {
    /// The contract.
    pub symbol: Symbol,
    /// Settlement time as sent, with its jitter of some milliseconds.
    pub raw_ts: Ts,
    /// Realised rate, decimal per interval.
    pub rate: f64,
    /// Mark price at settlement; NaN on old rows.
    pub mark_price: f64,
    /// Regular or special.
    pub rate_type: RateType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFunding<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    funding_time: Scalar<'a>,
    #[serde(borrow)]
    funding_rate: Scalar<'a>,
    #[serde(borrow, default)]
    mark_price: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    rate_type: Option<Scalar<'a>>,
}

/// `/fapi/v1/fundingRate`.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_funding_rates(body: &[u8]) -> Result<Vec<FundingRow>, WireError> {
    const WHAT: &str = "fundingRate row";
    let rows: Vec<RawFunding<'_>> = read(body, "fundingRate response")?;
    rows.iter()
        .map(|row| {
            let rate_type = match &row.rate_type {
                None | Some(Scalar::Null) => RateType::Regular,
                Some(text) => match text.text(WHAT, "rateType")? {
                    "Special" => RateType::Special,
                    _ => RateType::Regular,
                },
            };
            Ok(FundingRow {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                raw_ts: row.funding_time.time(WHAT, "fundingTime")?,
                rate: row.funding_rate.decimal(WHAT, "fundingRate")?,
                mark_price: match &row.mark_price {
                    Some(price) => price.decimal_or_unknown(WHAT, "markPrice")?,
                    None => f64::NAN,
                },
                rate_type,
            })
        })
        .collect()
}

/// One row of `/fapi/v1/fundingInfo`. Contracts without a row settle every 8 hours.
#[derive(Clone, Debug, PartialEq)]
pub struct FundingInfo {
    /// The contract.
    pub symbol: Symbol,
    /// Hours between settlements now; it changes over time.
    pub interval_hours: f64,
    /// Highest rate, decimal per interval.
    pub cap: f64,
    /// Lowest rate, decimal per interval.
    pub floor: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFundingInfo<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    adjusted_funding_rate_cap: Scalar<'a>,
    #[serde(borrow)]
    adjusted_funding_rate_floor: Scalar<'a>,
    #[serde(borrow)]
    funding_interval_hours: Scalar<'a>,
}

/// `/fapi/v1/fundingInfo`.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_funding_info(body: &[u8]) -> Result<Vec<FundingInfo>, WireError> {
    const WHAT: &str = "fundingInfo row";
    let rows: Vec<RawFundingInfo<'_>> = read(body, "fundingInfo response")?;
    rows.iter()
        .map(|row| {
            Ok(FundingInfo {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                interval_hours: row.funding_interval_hours.amount(WHAT, "fundingIntervalHours")?,
                cap: row.adjusted_funding_rate_cap.decimal_or_unknown(WHAT, "adjustedFundingRateCap")?,
                floor: row
                    .adjusted_funding_rate_floor
                    .decimal_or_unknown(WHAT, "adjustedFundingRateFloor")?,
            })
        })
        .collect()
}

/// One row of `/fapi/v1/premiumIndex`.
#[derive(Clone, Debug, PartialEq)]
pub struct PremiumIndex {
    /// The contract.
    pub symbol: Symbol,
    /// Mark price, quote currency.
    pub mark: f64,
    /// Index price, quote currency.
    pub index: f64,
    /// Prediction for the running interval (the wire calls it `lastFundingRate`), decimal per interval.
    pub predicted_rate: f64,
    /// Interest rate term, decimal per interval.
    pub interest_rate: f64,
    /// End of the running interval; `None` for delivery contracts.
    pub next_funding_ts: Option<Ts>,
    /// Instant of the values.
    pub ts: Ts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPremium<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    mark_price: Scalar<'a>,
    #[serde(borrow)]
    index_price: Scalar<'a>,
    #[serde(borrow)]
    last_funding_rate: Scalar<'a>,
    #[serde(borrow)]
    interest_rate: Scalar<'a>,
    #[serde(borrow)]
    next_funding_time: Scalar<'a>,
    #[serde(borrow)]
    time: Scalar<'a>,
}

/// `/fapi/v1/premiumIndex`, for one contract or all.
///
/// # Errors
/// When the body is neither such a row nor an array of them.
pub fn parse_premium_index(body: &[u8]) -> Result<Vec<PremiumIndex>, WireError> {
    const WHAT: &str = "premiumIndex row";
    let rows: Vec<RawPremium<'_>> = one_or_many(body, "premiumIndex response")?;
    rows.iter()
        .map(|row| {
            Ok(PremiumIndex {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                mark: row.mark_price.amount(WHAT, "markPrice")?,
                index: row.index_price.amount(WHAT, "indexPrice")?,
                predicted_rate: row.last_funding_rate.decimal_or_unknown(WHAT, "lastFundingRate")?,
                interest_rate: row.interest_rate.decimal_or_unknown(WHAT, "interestRate")?,
                next_funding_ts: row.next_funding_time.time_if_any(WHAT, "nextFundingTime")?,
                ts: row.time.time(WHAT, "time")?,
            })
        })
        .collect()
}

/// A body that is one object or an array of them, told apart by its first character.
fn one_or_many<'de, T: Deserialize<'de>>(body: &'de [u8], what: &'static str) -> Result<Vec<T>, WireError> {
    match body.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(vec![read(body, what)?]),
        _ => read(body, what),
    }
}

/// One open-interest value.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenInterestRow {
    /// The contract.
    pub symbol: Symbol,
    /// The snapshot; zero contracts are a defect of the source and stand as NaN.
    pub value: OpenInterest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOpenInterest<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    open_interest: Scalar<'a>,
    #[serde(borrow)]
    time: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOpenInterestHist<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    sum_open_interest: Scalar<'a>,
    #[serde(borrow)]
    sum_open_interest_value: Scalar<'a>,
    #[serde(borrow)]
    timestamp: Scalar<'a>,
}

fn unless_zero(x: f64) -> f64 {
    if x == 0.0 { f64::NAN } else { x }
}

/// `/fapi/v1/openInterest`: the current value; the quote value is not part of it.
///
/// # Errors
/// When the body is not such an object.
pub fn parse_open_interest(body: &[u8]) -> Result<OpenInterestRow, WireError> {
    const WHAT: &str = "openInterest response";
    let row: RawOpenInterest<'_> = read(body, WHAT)?;
    Ok(OpenInterestRow {
        symbol: row.symbol.symbol(WHAT, "symbol")?,
        value: OpenInterest {
            ts: row.time.time(WHAT, "time")?,
            contracts: unless_zero(row.open_interest.amount(WHAT, "openInterest")?),
            value: f64::NAN,
        },
    })
}

/// `/futures/data/openInterestHist` with period 5m; labels are floored to the grid.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_open_interest_hist(body: &[u8]) -> Result<Vec<OpenInterestRow>, WireError> {
    const WHAT: &str = "openInterestHist row";
    let rows: Vec<RawOpenInterestHist<'_>> = read(body, "openInterestHist response")?;
    rows.iter()
        .map(|row| {
            let ts = row.timestamp.time(WHAT, "timestamp")?;
            Ok(OpenInterestRow {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                value: OpenInterest {
                    ts: Ts(ts.0 - ts.0.rem_euclid(OPEN_INTEREST_GRID_MS)),
                    contracts: unless_zero(row.sum_open_interest.amount(WHAT, "sumOpenInterest")?),
                    value: unless_zero(row.sum_open_interest_value.amount(WHAT, "sumOpenInterestValue")?),
                },
            })
        })
        .collect()
}

/// One row of `/ticker/bookTicker`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuoteRow {
    /// The contract or pair.
    pub symbol: Symbol,
    /// Best bid; 0 when that side is empty.
    pub bid: f64,
    /// Quantity at the best bid.
    pub bid_quantity: f64,
    /// Best ask; 0 when that side is empty.
    pub ask: f64,
    /// Quantity at the best ask.
    pub ask_quantity: f64,
    /// Instant, futures only.
    pub ts: Option<Ts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawQuote<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    bid_price: Scalar<'a>,
    #[serde(borrow)]
    bid_qty: Scalar<'a>,
    #[serde(borrow)]
    ask_price: Scalar<'a>,
    #[serde(borrow)]
    ask_qty: Scalar<'a>,
    #[serde(borrow, default)]
    time: Option<Scalar<'a>>,
}

/// `/fapi/v1/ticker/bookTicker` and `/api/v3/ticker/bookTicker`, for one symbol or several.
///
/// # Errors
/// When the body is neither such a row nor an array of them.
pub fn parse_book_tickers(body: &[u8]) -> Result<Vec<QuoteRow>, WireError> {
    const WHAT: &str = "bookTicker row";
    let rows: Vec<RawQuote<'_>> = one_or_many(body, "bookTicker response")?;
    rows.iter()
        .map(|row| {
            Ok(QuoteRow {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                bid: row.bid_price.amount(WHAT, "bidPrice")?,
                bid_quantity: row.bid_qty.amount(WHAT, "bidQty")?,
                ask: row.ask_price.amount(WHAT, "askPrice")?,
                ask_quantity: row.ask_qty.amount(WHAT, "askQty")?,
                ts: row.time.as_ref().map(|t| t.time(WHAT, "time")).transpose()?,
            })
        })
        .collect()
}

/// `/exchangeInfo` of either market.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeInfo {
    /// Which market it describes.
    pub market: Market,
    /// Time inside the body; it may come from a cache.
    pub server_ts: Ts,
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
    /// The name.
    pub symbol: Symbol,
    /// Status as written; values that nobody documented will come.
    pub status: String,
    /// `PERPETUAL`, `TRADIFI_PERPETUAL`, `CURRENT_QUARTER`, …; empty for spot.
    pub contract_type: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
    /// Price step from the filters, quote currency; NaN if not stated. (Not derived from `pricePrecision`: that is
    /// another thing.)
    pub tick_size: f64,
    /// Quantity step, base units; NaN if not stated.
    pub step_size: f64,
    /// Smallest order value, quote currency; NaN if not stated.
    pub min_notional: f64,
    /// Listing time (futures).
    pub onboard_ts: Option<Ts>,
    /// Delivery or delisting time (futures).
    pub delivery_ts: Option<Ts>,
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
    server_time: Scalar<'a>,
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
    #[serde(borrow)]
    base_asset: Scalar<'a>,
    #[serde(borrow)]
    quote_asset: Scalar<'a>,
    #[serde(borrow, default)]
    onboard_date: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    delivery_date: Option<Scalar<'a>>,
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
}

/// `/fapi/v1/exchangeInfo` or `/api/v3/exchangeInfo`.
///
/// # Errors
/// When the body is not such an object.
pub fn parse_exchange_info(body: &[u8], market: Market) -> Result<ExchangeInfo, WireError> {
    const WHAT: &str = "exchangeInfo response";
    let raw: RawExchangeInfo<'_> = read(body, WHAT)?;
    let rate_limits = raw.rate_limits.iter().map(rate_limit).collect::<Result<_, _>>()?;
    let symbols = raw.symbols.iter().map(symbol_info).collect::<Result<_, _>>()?;
    Ok(ExchangeInfo { market, server_ts: raw.server_time.time(WHAT, "serverTime")?, rate_limits, symbols })
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
        base: raw.base_asset.text(WHAT, "baseAsset")?.to_owned(),
        quote: raw.quote_asset.text(WHAT, "quoteAsset")?.to_owned(),
        tick_size: f64::NAN,
        step_size: f64::NAN,
        min_notional: f64::NAN,
        onboard_ts: optional_time(raw.onboard_date.as_ref(), "onboardDate")?,
        delivery_ts: optional_time(raw.delivery_date.as_ref(), "deliveryDate")?,
    };
    for filter in &raw.filters {
        let number = |value: &Option<Scalar<'_>>, field| match value {
            Some(value) => value.amount(WHAT, field),
            None => Ok(f64::NAN),
        };
        match filter.filter_type.text(WHAT, "filterType")? {
            "PRICE_FILTER" => info.tick_size = number(&filter.tick_size, "tickSize")?,
            "LOT_SIZE" => info.step_size = number(&filter.step_size, "stepSize")?,
            // Futures call it `notional`, spot `minNotional`.
            "MIN_NOTIONAL" | "NOTIONAL" if filter.notional.is_some() => {
                info.min_notional = number(&filter.notional, "notional")?;
            }
            "MIN_NOTIONAL" | "NOTIONAL" => {
                info.min_notional = number(&filter.min_notional, "minNotional")?;
            }
            _ => {}
        }
    }
    Ok(info)
}

fn optional_time(value: Option<&Scalar<'_>>, field: &'static str) -> Result<Option<Ts>, WireError> {
    value.map_or(Ok(None), |v| v.time_if_any("exchangeInfo symbol", field))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServerTime<'a> {
    #[serde(borrow)]
    server_time: Scalar<'a>,
}

/// `/fapi/v1/time`, `/api/v3/time`.
///
/// # Errors
/// When the body is not such an object.
pub fn parse_server_time(body: &[u8]) -> Result<Ts, WireError> {
    let raw: RawServerTime<'_> = read(body, "time response")?;
    raw.server_time.time("time response", "serverTime")
}

#[derive(Deserialize)]
struct RawRefusal {
    code: i64,
    #[serde(default)]
    msg: String,
}

/// The error body `{"code":-1121,"msg":"Invalid symbol."}`; `None` for anything else (a firewall answers in HTML).
#[must_use]
pub fn parse_refusal(body: &[u8]) -> Option<(i64, String)> {
    owned::<RawRefusal>(body).map(|raw| (raw.code, raw.msg))
}

fn owned<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

impl KlineRow {
    /// The grid slot, or the error that names what is off.
    ///
    /// # Errors
    /// When the row is not a 5-minute bar of the grid.
    pub fn grid_slot(&self) -> Result<BarIndex, WireError> {
        let slot = self.bar.bar;
        if self.open_ts != slot.open() {
            let shown = self.open_ts.0.to_string();
            return Err(WireError::field("kline row", "open_time", shown, "a multiple of 300000"));
        }
        if self.close_ts.0 + 1 != slot.close().0 {
            let shown = self.close_ts.0.to_string();
            return Err(WireError::field("kline row", "close_time", shown, "open_time + 299999"));
        }
        Ok(slot)
    }
}
