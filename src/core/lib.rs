//! The pure core of backtestd: raw market records in; features, events, outcomes, discoveries and blueprints
//! out.
//!
//! Nothing in this crate reads a clock, a file, a socket or a source of randomness: time and seeds come in as
//! arguments, and the same input always gives the same bits. It depends on neither tokio, fjall nor arrow.
//!
//! # The way of a bar
//!
//! ```text
//! RawBlock ── Pipeline::push ── Facts: features, states, events, outcomes
//!                                        │
//!              EvidenceBook ── conclude::find ── conclude::conclude ── Blueprints
//! ```
//!
//! A [`Pipeline`] takes stretches of the raw log in order, one bar or a year at a time, and its [`Facts`] are
//! the same bit for bit however the log is cut. [`conclude`] turns booked outcomes into candidates and
//! blueprints.
//!
//! # Example
//!
//! Specs are files, and reading files is the caller's: [`CompiledSpec::from_files`] takes their texts. The
//! example `pipeline` runs every shipped spec over a random walk; this is its smallest relative:
//!
//! ```
//! use backtestd_core::market::parse_time;
//! use backtestd_core::{Bar, RawBlock, Symbol};
//!
//! let first = parse_time("2026-03-01T12:00:00Z")?.bar();
//! let mut day = RawBlock::empty(first, 288, 1);
//! day.symbols[0].perp.push(Bar::from_values(first, [60_000.0; Bar::COLUMNS]));
//! let names = [Symbol::new("BTCUSDT")?];
//! let (symbol, records) = day.by_symbol(&names).next().ok_or("one symbol")?;
//! assert_eq!((symbol.as_str(), records.perp.len()), ("BTCUSDT", 1));
//! assert_eq!((first + 288).open(), parse_time("2026-03-02T12:00:00Z")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

// Test fixtures that other crates share name this one as its users do.
#[cfg(test)]
extern crate self as backtestd_core;

pub mod blueprints;
pub mod clean;
pub mod clock;
pub mod conclude;
pub mod discovery;
pub mod explain;
pub mod graph;
pub mod market;
#[expect(clippy::excessive_precision, reason = "coefficients as published")]
pub mod normal;
pub mod outcomes;
pub mod pipeline;
pub mod portfolio;
pub mod spec;
pub mod tradability;
pub mod walkforward;

pub use blueprints::Blueprint;
pub use clock::Clock;
pub use conclude::{Conclusions, conclude};
pub use discovery::{Candidate, Discovery, DiscoveryConfig, EvidenceBook, OutcomeTable};
pub use graph::EngineOptions;
pub use market::{Bar, BarIndex, Draws, Market, RawBlock, RawSymbol, Source, Symbol, Ts};
pub use outcomes::{Event, Outcome};
pub use pipeline::{Facts, Pipeline, PipelineConfig};
pub use spec::{CompiledSpec, SourceFile, SpecErrors};
