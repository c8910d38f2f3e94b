//! Lines of JSON beside the catalog: signals and the trades that follow from them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::catalog::ExportError;
use backtestd_core::blueprints::{Blueprint, canonical_json};
use backtestd_core::market::{BPS, Side};
use backtestd_core::outcomes::event_id;
use backtestd_core::portfolio::{Closed, NotPlaced};
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

/// A closed position of the simulated account in the terms of a consumer, which of the same signals under the
/// same caps opens the same quantity and closes it at the same price.
#[must_use]
pub fn account_line(closed: &Closed) -> Value {
    json!({
        "blueprint_id": closed.blueprint,
        "event_id": closed.event_id,
        "instrument": closed.symbol.nautilus_perp(),
        "side": side(closed.side),
        "reason": reason(closed.reason),
        "entry_ns": closed.entry.nanos(),
        "exit_bar_ns": closed.exit_bar.close().nanos(),
        "quantity": closed.quantity,
        "entry_price": closed.entry_price,
        "exit_price": closed.exit_price,
        "notional": closed.notional,
        "asked": closed.asked,
        "price": closed.price,
        "funding": closed.funding,
        "costs": closed.costs,
        "gross_bps": BPS * closed.price / closed.notional,
        "pnl": closed.pnl(),
    })
}

/// A position that the simulated account did not open, and why.
#[must_use]
pub fn not_placed_line(not_placed: &NotPlaced) -> Value {
    json!({
        "blueprint_id": not_placed.blueprint,
        "event_id": not_placed.event_id,
        "instrument": not_placed.symbol.nautilus_perp(),
        "not_placed": not_placed.why,
    })
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Long => "long",
        Side::Short => "short",
    }
}

const fn reason(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::Time => "time",
        ExitReason::Stop => "stop",
        ExitReason::Target => "target",
    }
}

/// A trade of a blueprint in the terms of a consumer: a NautilusTrader backtest over the same catalog makes
/// the same one.
#[must_use]
pub fn trade_line(blueprint: &Blueprint, trade: &Trade) -> Value {
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    json!({
        "blueprint_id": blueprint.id,
        "event_id": event_id(&blueprint.event_type, &trade.symbol, trade.event_bar),
        "instrument": trade.symbol.nautilus_perp(),
        "side": side(trade.side),
        "is_traded": blueprint.is_traded(),
        "entry_ns": trade.entry.nanos(),
        "exit_bar_ns": trade.exit_bar.close().nanos(),
        "reason": reason(trade.reason),
        "gross_bps": finite(trade.gross_bps),
        "cost_bps": finite(trade.cost_bps),
        "funding_bps": finite(trade.funding_bps),
        "scale": finite(trade.scale),
    })
}
