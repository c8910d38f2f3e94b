//! A Binance of our own: the venue's public market-data protocol over a seeded market, on loopback.
//!
//! # Addresses
//! One port serves everything. REST: `http://ADDR/fapi/v1/..`, `/futures/data/..`, `/api/v3/..`. Futures
//! websockets: `ws://ADDR/market/{ws,stream}` and `/public/{ws,stream}`. Spot websockets: the same under
//! `ws://ADDR/spot`, because the bare `/ws` and `/stream` are the venue's retired un-routed futures form:
//! they acknowledge everything, go on sending quotes and stay silent otherwise, as the venue does since April
//! 2026.
//!
//! The archive: `http://ADDR/data/..`, as data.binance.vision has it below `/data`.
//!
//! # Truth
//! Every bar is a function of (seed, scenario, bar number), see [`backtestd_lab::sim::Market`]. Finished
//! bars, open bars, minutes, quotes, trades and forced orders are cut from it, so REST about yesterday says
//! what the socket said then. Prices are martingales except after the patterns of the scenario's
//! [`backtestd_lab::sim::PlantedEdge`]s. One thing is predictable by nature: the basis between spot and perp
//! reverts. It is the spot price that carries it; the perp alone stays a martingale.
//!
//! # Two clocks
//! What the protocol *says* is in virtual time: server time, bars, funding, event times, the 24 h life of a
//! connection. What it costs the *machine* is in real time: request weights per minute, bans and
//! `Retry-After`, client messages per second, pings. [`Limits::scaled`] lets a client do in a real minute
//! what the venue lets it do in the virtual minutes of it. The ban text names its end in virtual
//! milliseconds, as a client on this clock reads it.
//!
//! # Frames in fast time
//! In real time streams have the venue's cadence (klines 250 ms, spot klines 2 s, marks 1 s or 3 s, quotes
//! here 500 ms, trades 1 s aggregated). When the clock runs fast, periodic frames are thinned to about one
//! per stream and [`ExchangeConfig::frame_gap`] of real time, but no rarer than two a bar for klines and five
//! a bar for the rest, on fixed seconds of the bar. A bar's closing frame and forced orders are never
//! thinned. A reader that lags gets the newest periodic frame and every close; one that does not read at all
//! for some seconds is cut.
//!
//! # Not simulated
//! User data, intervals 3d, 1w and 1M, series of contracts other than perpetuals (the others are rows of
//! exchangeInfo, and one coin-margined row travels with `!markPrice@arr`, to be dropped by whoever reads it).
//! Order books have twenty levels a side and change twice a second.
//!
//! # Troubles
//! The `faults` of a scenario, see its default file: they act on answers ([`rest`]), frames and sockets
//! ([`ws`]), klines and listings. `/_exchange/tally`, which is not a path of the venue, counts requests,
//! refusals and faults.

mod archive;
mod depth;
mod falsify;
mod limits;
mod rest;
mod server;
mod state;
mod text;
mod ticker;
mod ws;

pub use limits::Limits;
pub use server::{Exchange, ExchangeConfig, ExchangeError, RunningExchange};
