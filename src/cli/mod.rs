//! Command line.

pub mod exchange_cmd;
