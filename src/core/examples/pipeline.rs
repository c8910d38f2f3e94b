//! Bars in, events and outcomes out: the core alone, without a store, an exchange or a daemon.
//!
//! `cargo run -p backtestd-core --example pipeline` from the root of the repository, where `spec/` is.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use backtestd_core::{
    Bar, BarIndex, CompiledSpec, Draws, EngineOptions, Facts, Pipeline, PipelineConfig, RawBlock, Source,
    SourceFile, Symbol,
};

fn main() -> Result<(), Box<dyn Error>> {
    let facts = run(Path::new("spec"), 6_000)?;
    println!("{} events, {} outcomes", facts.events.len(), facts.outcomes.len());
    for event in facts.events.iter().rev().take(5) {
        println!(
            "{} {} {} {:+}",
            event.bar.open().rfc3339(),
            event.symbol,
            event.event_type,
            event.direction
        );
    }
    Ok(())
}

/// Pushes a seeded random walk of `rows` five-minute bars through every spec in `dir`.
pub(crate) fn run(dir: &Path, rows: usize) -> Result<Facts, Box<dyn Error>> {
    let first = BarIndex(5_680_800);
    let config = PipelineConfig {
        spec: Arc::new(CompiledSpec::from_files(dir, &read(dir, "")?)?),
        symbols: vec![Symbol::new("BTCUSDT")?],
        collected: vec![Source::PERP_BAR.into_iter().collect()],
        engine: EngineOptions::BATCH,
    };
    let mut raw = RawBlock::empty(first, rows, 1);
    let mut price = 60_000.0;
    for bar in (0..).map(|n| first + n).take(rows) {
        let mut draws = Draws::new(7, bar);
        let close = price * (1.0 + 0.001 * draws.normal());
        let (volume, share) = (100.0 * draws.exponential(), draws.between(0.3, 0.7));
        raw.symbols[0].perp.push(Bar {
            bar,
            open: price,
            high: price.max(close) * 1.0005,
            low: price.min(close) * 0.9995,
            close,
            volume,
            quote_volume: volume * close,
            trades: 1000.0,
            taker_buy_volume: volume * share,
            taker_buy_quote: volume * close * share,
        });
        price = close;
    }
    Ok(Pipeline::new(config, first)?.push(&raw)?)
}

/// The YAML files below a directory, by their paths relative to it: the core itself reads no files.
fn read(dir: &Path, below: &str) -> std::io::Result<BTreeMap<String, SourceFile>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir.join(below))? {
        let path = entry?.path();
        let relative = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            files.append(&mut read(dir, &relative)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path)?.into();
            files.insert(relative, SourceFile { path, text });
        }
    }
    Ok(files)
}
