//! Binance: the wire and the archive.

pub mod archive;
