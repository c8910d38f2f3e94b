//! Binance's public market data: the client (wire format, routes, REST, websocket, aggregation to bars), the
//! archive reader, and a simulated venue that speaks the same protocol on loopback.

#![forbid(unsafe_code)]

pub mod aggregate;
pub mod archive;
mod backoff;
pub mod clock;
pub mod limits;
pub mod rest;
pub mod routes;
pub mod update;
pub mod venue;
pub mod wire;
pub mod ws;

pub use limits::Limits;
pub use rest::{
    FundingRecord, HistoryPage, Hole, KlineRange, MarkRange, Pauses, Rest, RestConfig, RestError, RestHealth,
    install_tls, interval_hours,
};
pub use routes::{Route, StreamKind, Subscription};
pub use update::{
    BookTicker, ContractUpdate, DepthUpdate, ForceOrder, KlineUpdate, MarkUpdate, RefusedFrame, Side,
    Stamped, StreamState, StreamStatus, Trade, Update,
};
pub use ws::{Sieve, Silence, WsClient, WsConfig, WsControl, WsError, WsStats};
