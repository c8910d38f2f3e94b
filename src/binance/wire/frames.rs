//! Stream payloads as they stand on the wire, and their meaning.
//!
//! Keys differ by case only (`t`/`T`, `q`/`Q`, …) and whitespace is irregular, so everything goes through
//! serde by exact key. `st` (1 = USD-M, 2 = COIN-M) and `ps` appeared during 2026 in some payloads: both are
//! optional.

use serde::Deserialize;

use super::scalar::Scalar;
use super::{Dropped, WireError};
use crate::update::{
    BookTicker, ContractUpdate, DepthUpdate, ForceOrder, KlineUpdate, MarkUpdate, Side, Trade, Update,
};
use backtestd_core::market::{Bar, Market, Symbol};

/// A usable update, or why the payload was left out.
pub(super) type Meaning = Result<Result<Update, Dropped>, WireError>;

/// `st` of payloads that carry COIN-M contracts (quantities in contracts, not in coins).
const COIN_MARGINED: i64 = 2;

fn coin_margined(st: Option<&Scalar<'_>>, what: &'static str) -> Result<bool, WireError> {
    st.map_or(Ok(false), |st| Ok(st.integer(what, "st")? == COIN_MARGINED))
}

#[derive(Deserialize)]
pub(super) struct RawKline<'a> {
    #[serde(borrow, rename = "E")]
    event_time: Scalar<'a>,
    #[serde(borrow, rename = "s")]
    symbol: Scalar<'a>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
    #[serde(borrow)]
    k: RawBar<'a>,
}

#[derive(Deserialize)]
struct RawBar<'a> {
    #[serde(borrow)]
    t: Scalar<'a>,
    #[serde(borrow, rename = "T")]
    close_time: Scalar<'a>,
    #[serde(borrow)]
    i: Scalar<'a>,
    #[serde(borrow)]
    o: Scalar<'a>,
    #[serde(borrow)]
    h: Scalar<'a>,
    #[serde(borrow)]
    l: Scalar<'a>,
    #[serde(borrow)]
    c: Scalar<'a>,
    #[serde(borrow)]
    v: Scalar<'a>,
    #[serde(borrow)]
    n: Scalar<'a>,
    #[serde(borrow)]
    x: Scalar<'a>,
    #[serde(borrow)]
    q: Scalar<'a>,
    #[serde(borrow, rename = "V")]
    taker_base: Scalar<'a>,
    #[serde(borrow, rename = "Q")]
    taker_quote: Scalar<'a>,
}

impl RawKline<'_> {
    pub(super) fn meaning(&self, market: Market) -> Meaning {
        const WHAT: &str = "kline frame";
        if coin_margined(self.st.as_ref(), WHAT)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        let k = &self.k;
        let open_ts = k.t.time(WHAT, "k.t")?;
        let close_ts = k.close_time.time(WHAT, "k.T")?;
        let interval_ms = close_ts.0 - open_ts.0 + 1;
        if interval_ms <= 0 {
            return Err(WireError::field(WHAT, "k.T", close_ts.0.to_string(), "a time after k.t"));
        }
        let named = k.i.text(WHAT, "k.i")?;
        if length_of(named).is_some_and(|length| length != interval_ms) {
            let span = format!("{named} over {interval_ms} ms");
            return Err(WireError::field(WHAT, "k.i", span, "the length from k.t to k.T"));
        }
        let bar = Bar {
            bar: open_ts.bar(),
            open: k.o.amount(WHAT, "k.o")?,
            high: k.h.amount(WHAT, "k.h")?,
            low: k.l.amount(WHAT, "k.l")?,
            close: k.c.amount(WHAT, "k.c")?,
            volume: k.v.amount(WHAT, "k.v")?,
            quote_volume: k.q.amount(WHAT, "k.q")?,
            trades: k.n.amount(WHAT, "k.n")?,
            taker_buy_volume: k.taker_base.amount(WHAT, "k.V")?,
            taker_buy_quote: k.taker_quote.amount(WHAT, "k.Q")?,
        };
        super::check_range(&bar, WHAT)?;
        Ok(Ok(Update::Kline(KlineUpdate {
            market,
            symbol: self.symbol.symbol(WHAT, "s")?,
            interval_ms,
            open_ts,
            bar,
            closed: k.x.truth(WHAT, "k.x")?,
            event_ts: self.event_time.time(WHAT, "E")?,
        })))
    }
}

/// Length of an interval by its name, ms; none where it is no fixed one, or not known.
fn length_of(interval: &str) -> Option<i64> {
    let (count, unit) = interval.split_at_checked(interval.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(unit_ms)
}

#[derive(Deserialize)]
pub(super) struct RawTrade<'a> {
    #[serde(borrow, rename = "E")]
    event_time: Scalar<'a>,
    #[serde(borrow, rename = "s")]
    symbol: Scalar<'a>,
    /// Id of an aggregated trade.
    #[serde(borrow, default)]
    a: Option<Scalar<'a>>,
    /// Id of a single trade.
    #[serde(borrow, default)]
    t: Option<Scalar<'a>>,
    #[serde(borrow)]
    p: Scalar<'a>,
    #[serde(borrow)]
    q: Scalar<'a>,
    #[serde(borrow, default)]
    f: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    l: Option<Scalar<'a>>,
    #[serde(borrow, rename = "T")]
    trade_time: Scalar<'a>,
    #[serde(borrow)]
    m: Scalar<'a>,
    /// Why it happened: MARKET, or INSURANCE_FUND, ADL, NA.
    #[serde(borrow, rename = "X", default)]
    execution: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

impl RawTrade<'_> {
    pub(super) fn aggregate(&self, market: Market) -> Meaning {
        const WHAT: &str = "aggTrade frame";
        let id = required(self.a.as_ref(), WHAT, "a")?.integer(WHAT, "a")?;
        let first = required(self.f.as_ref(), WHAT, "f")?.integer(WHAT, "f")?;
        let last = required(self.l.as_ref(), WHAT, "l")?.integer(WHAT, "l")?;
        Ok(self.trade(WHAT, market, id, (first, last))?.map(Update::AggTrade))
    }

    pub(super) fn single(&self, market: Market) -> Meaning {
        const WHAT: &str = "trade frame";
        if let Some(execution) = &self.execution
            && execution.text(WHAT, "X")? != "MARKET"
        {
            return Ok(Err(Dropped::NotATrade));
        }
        let id = required(self.t.as_ref(), WHAT, "t")?.integer(WHAT, "t")?;
        Ok(self.trade(WHAT, market, id, (id, id))?.map(Update::Trade))
    }

    fn trade(
        &self,
        what: &'static str,
        market: Market,
        id: i64,
        trade_ids: (i64, i64),
    ) -> Result<Result<Trade, Dropped>, WireError> {
        if coin_margined(self.st.as_ref(), what)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        Ok(Ok(Trade {
            market,
            symbol: self.symbol.symbol(what, "s")?,
            id,
            price: self.p.amount(what, "p")?,
            quantity: self.q.amount(what, "q")?,
            trade_ids,
            buyer_is_maker: self.m.truth(what, "m")?,
            trade_ts: self.trade_time.time(what, "T")?,
            event_ts: self.event_time.time(what, "E")?,
        }))
    }
}

#[derive(Deserialize)]
pub(super) struct RawMark<'a> {
    #[serde(borrow, rename = "E")]
    event_time: Scalar<'a>,
    #[serde(borrow, rename = "s")]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    p: Scalar<'a>,
    #[serde(borrow)]
    i: Scalar<'a>,
    #[serde(borrow)]
    r: Scalar<'a>,
    #[serde(borrow, rename = "T")]
    next_funding: Scalar<'a>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

impl RawMark<'_> {
    pub(super) fn meaning(&self) -> Meaning {
        const WHAT: &str = "markPrice frame";
        if coin_margined(self.st.as_ref(), WHAT)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        Ok(Ok(Update::Mark(MarkUpdate {
            symbol: self.symbol.symbol(WHAT, "s")?,
            mark: self.p.amount(WHAT, "p")?,
            index: self.i.amount(WHAT, "i")?,
            predicted_rate: self.r.decimal_or_unknown(WHAT, "r")?,
            next_funding_ts: self.next_funding.time_if_any(WHAT, "T")?,
            event_ts: self.event_time.time(WHAT, "E")?,
        })))
    }
}

#[derive(Deserialize)]
pub(super) struct RawForceOrder<'a> {
    #[serde(borrow, rename = "E")]
    event_time: Scalar<'a>,
    #[serde(borrow)]
    o: RawOrder<'a>,
    /// Seen inside `o`; read here too in case it moves to where the other payloads have it.
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
struct RawOrder<'a> {
    #[serde(borrow)]
    s: Scalar<'a>,
    #[serde(borrow, rename = "S")]
    side: Scalar<'a>,
    #[serde(borrow)]
    q: Scalar<'a>,
    #[serde(borrow)]
    p: Scalar<'a>,
    #[serde(borrow)]
    ap: Scalar<'a>,
    #[serde(borrow)]
    z: Scalar<'a>,
    #[serde(borrow, rename = "T")]
    trade_time: Scalar<'a>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

impl RawForceOrder<'_> {
    pub(super) fn meaning(&self) -> Meaning {
        const WHAT: &str = "forceOrder frame";
        let o = &self.o;
        if coin_margined(o.st.as_ref(), WHAT)? || coin_margined(self.st.as_ref(), WHAT)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        let side = match o.side.text(WHAT, "o.S")? {
            "BUY" => Side::Buy,
            "SELL" => Side::Sell,
            other => return Err(WireError::field(WHAT, "o.S", other, "BUY or SELL")),
        };
        Ok(Ok(Update::ForceOrder(ForceOrder {
            symbol: o.s.symbol(WHAT, "o.s")?,
            side,
            quantity: o.q.amount(WHAT, "o.q")?,
            filled: o.z.amount(WHAT, "o.z")?,
            price: o.p.amount(WHAT, "o.p")?,
            average_price: o.ap.amount(WHAT, "o.ap")?,
            trade_ts: o.trade_time.time(WHAT, "o.T")?,
            event_ts: self.event_time.time(WHAT, "E")?,
        })))
    }
}

/// Spot sends `u s b B a A` only.
#[derive(Deserialize)]
pub(super) struct RawBookTicker<'a> {
    #[serde(borrow)]
    u: Scalar<'a>,
    #[serde(borrow)]
    s: Scalar<'a>,
    #[serde(borrow)]
    b: Scalar<'a>,
    #[serde(borrow, rename = "B")]
    bid_quantity: Scalar<'a>,
    #[serde(borrow)]
    a: Scalar<'a>,
    #[serde(borrow, rename = "A")]
    ask_quantity: Scalar<'a>,
    #[serde(borrow, rename = "T", default)]
    transaction_time: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

impl RawBookTicker<'_> {
    pub(super) fn meaning(&self, market: Market) -> Meaning {
        const WHAT: &str = "bookTicker frame";
        if coin_margined(self.st.as_ref(), WHAT)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        Ok(Ok(Update::BookTicker(BookTicker {
            market,
            symbol: self.s.symbol(WHAT, "s")?,
            update_id: self.u.integer(WHAT, "u")?,
            bid: self.b.amount(WHAT, "b")?,
            bid_quantity: self.bid_quantity.amount(WHAT, "B")?,
            ask: self.a.amount(WHAT, "a")?,
            ask_quantity: self.ask_quantity.amount(WHAT, "A")?,
            event_ts: self.transaction_time.as_ref().map(|t| t.time(WHAT, "T")).transpose()?,
        })))
    }
}

/// Differences and partial books of both markets, and the REST snapshot.
#[derive(Deserialize)]
pub(super) struct RawDepth<'a> {
    #[serde(borrow, rename = "E", default)]
    event_time: Option<Scalar<'a>>,
    #[serde(borrow, rename = "s", default)]
    symbol: Option<Scalar<'a>>,
    #[serde(borrow, rename = "U", default)]
    first: Option<Scalar<'a>>,
    #[serde(borrow, alias = "lastUpdateId")]
    u: Scalar<'a>,
    #[serde(borrow, default)]
    pu: Option<Scalar<'a>>,
    #[serde(borrow, alias = "bids")]
    b: Vec<(Scalar<'a>, Scalar<'a>)>,
    #[serde(borrow, alias = "asks")]
    a: Vec<(Scalar<'a>, Scalar<'a>)>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

impl RawDepth<'_> {
    pub(super) fn meaning(&self, market: Market, stream: Option<&str>) -> Meaning {
        const WHAT: &str = "depth frame";
        if coin_margined(self.st.as_ref(), WHAT)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        let id = |value: Option<&Scalar<'_>>, field| value.map(|v| v.integer(WHAT, field)).transpose();
        let levels = |side: &[(Scalar<'_>, Scalar<'_>)], field| {
            let level =
                |(p, q): &(Scalar<'_>, Scalar<'_>)| Ok((p.amount(WHAT, field)?, q.amount(WHAT, field)?));
            side.iter().map(level).collect::<Result<Vec<_>, WireError>>()
        };
        let symbol = match &self.symbol {
            Some(symbol) => Some(symbol.symbol(WHAT, "s")?),
            None => stream.and_then(|s| s.split('@').next()).and_then(|s| Symbol::new(s).ok()),
        };
        Ok(Ok(Update::Depth(DepthUpdate {
            market,
            symbol,
            first_id: id(self.first.as_ref(), "U")?,
            last_id: self.u.integer(WHAT, "u")?,
            previous_id: id(self.pu.as_ref(), "pu")?,
            bids: levels(&self.b, "b")?,
            asks: levels(&self.a, "a")?,
            event_ts: self.event_time.as_ref().map(|t| t.time(WHAT, "E")).transpose()?,
        })))
    }
}

#[derive(Deserialize)]
pub(super) struct RawContract<'a> {
    #[serde(borrow, rename = "E")]
    event_time: Scalar<'a>,
    #[serde(borrow)]
    s: Scalar<'a>,
    #[serde(borrow)]
    ct: Scalar<'a>,
    #[serde(borrow)]
    cs: Scalar<'a>,
    #[serde(borrow, default)]
    dt: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    ot: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    st: Option<Scalar<'a>>,
}

impl RawContract<'_> {
    pub(super) fn meaning(&self) -> Meaning {
        const WHAT: &str = "contractInfo frame";
        if coin_margined(self.st.as_ref(), WHAT)? {
            return Ok(Err(Dropped::CoinMargined));
        }
        let time = |value: Option<&Scalar<'_>>, field| {
            value.map_or(Ok(None), |v: &Scalar<'_>| v.time_if_any(WHAT, field))
        };
        Ok(Ok(Update::Contract(ContractUpdate {
            symbol: self.s.symbol(WHAT, "s")?,
            contract_type: self.ct.text(WHAT, "ct")?.to_owned(),
            status: self.cs.text(WHAT, "cs")?.to_owned(),
            onboard_ts: time(self.ot.as_ref(), "ot")?,
            delivery_ts: time(self.dt.as_ref(), "dt")?,
            event_ts: self.event_time.time(WHAT, "E")?,
        })))
    }
}

#[derive(Deserialize)]
pub(super) struct RawShutdown<'a> {
    #[serde(borrow, rename = "E")]
    pub(super) event_time: Scalar<'a>,
}

fn required<'s, 'a>(
    value: Option<&'s Scalar<'a>>,
    what: &'static str,
    field: &'static str,
) -> Result<&'s Scalar<'a>, WireError> {
    value.ok_or_else(|| WireError::field(what, field, "", "to be present"))
}
