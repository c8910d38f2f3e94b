//! Lines of JSON beside the catalog: signals and the trades that follow from them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::catalog::ExportError;
use backtestd_core::blueprints::{Blueprint, canonical_json};
use backtestd_core::market::Side;
use backtestd_core::outcomes::event_id;
use backtestd_core::tradability::{ExitReason, Trade};
use backtestd_store::lake::write_bytes;

/// File of what is announced of each detection.
pub const SIGNALS: &str = "signals.jsonl";
/// File of the trades that the rules make of the signals.
pub const TRADES: &str = "trades.jsonl";

/// Writes lines in canonical JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write_lines(folder: &Path, name: &str, lines: &[Value]) -> Result<PathBuf, ExportError> {
    let path = folder.join(name);
    let mut text = String::new();
    for line in lines {
        text.push_str(&canonical_json(line));
        text.push('\n');
    }
    write_bytes(&path, text.as_bytes())?;
    Ok(path)
}

/// A trade of a blueprint in the terms of a consumer: a NautilusTrader backtest over the same catalog makes the same one.
#[must_use]
pub fn trade_line(blueprint: &Blueprint, trade: &Trade) -> Value {
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    json!({
        "blueprint_id": blueprint.id,
        "event_id": event_id(&blueprint.event_type, &trade.symbol, trade.event_bar),
        "instrument": trade.symbol.nautilus_perp(),
        "side": match trade.side { Side::Long => "long", Side::Short => "short" },
        "is_traded": blueprint.is_traded(),
        "entry_ns": trade.entry.nanos(),
        "exit_bar_ns": trade.exit_bar.close().nanos(),
        "reason": match trade.reason {
            ExitReason::Time => "time",
            ExitReason::Stop => "stop",
            ExitReason::Target => "target",
        },
        "gross_bps": finite(trade.gross_bps),
        "cost_bps": finite(trade.cost_bps),
        "funding_bps": finite(trade.funding_bps),
        "scale": finite(trade.scale),
    })
}
