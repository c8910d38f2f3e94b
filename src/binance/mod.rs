//! The client side of Binance's public market data: wire format, routes, REST, websocket, aggregation to bars.

pub mod aggregate;
pub mod archive;
mod backoff;
pub mod limits;
pub mod rest;
pub mod routes;
pub mod update;
pub mod wire;
pub mod ws;

pub use limits::Limits;
pub use rest::{FundingRecord, Hole, KlineRange, Pauses, Rest, RestConfig, RestError, install_tls};
pub use routes::{Route, StreamKind, Subscription};
pub use update::{
    BookTicker, ContractUpdate, DepthUpdate, ForceOrder, KlineUpdate, MarkUpdate, Side, Stamped, StreamState,
    StreamStatus, Trade, Update,
};
pub use ws::{QUEUE_UPDATES, Silence, WsClient, WsConfig, WsError, WsStats};
