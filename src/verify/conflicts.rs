//! The ledger of conflicts as JSON: what two deliveries said of one record, and which of them stands.

use serde_json::{Value, json};

use backtestd_core::market::{Kind, SeriesKey, Symbol, Ts};
use backtestd_store::{ConflictSide, Made, NotedConflict, Store, StoreError};

/// Which conflicts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictQuery {
    /// Only records of this symbol.
    pub symbol: Option<Symbol>,
    /// Only records of this kind.
    pub kind: Option<Kind>,
    /// Only records of bars that open, or instants, at or after this one.
    pub since: Option<Ts>,
    /// The newest so many.
    pub limit: usize,
}

impl ConflictQuery {
    fn wants(&self, series: &SeriesKey) -> bool {
        self.symbol.as_ref().is_none_or(|s| *s == series.symbol) && self.kind.is_none_or(|k| k == series.kind)
    }
}

/// Conflicts in the order in which they were noted, with both sides and which of them stands.
///
/// # Errors
/// When the store cannot be read.
pub fn conflicts_json(store: &Store, query: &ConflictQuery) -> Result<Value, StoreError> {
    let found = store.conflicts()?;
    let wants = |c: &&NotedConflict| query.wants(&c.series) && query.since.is_none_or(|since| c.at >= since);
    let wanted: Vec<&NotedConflict> = found.listed.iter().filter(wants).collect();
    let skip = wanted.len().saturating_sub(query.limit);
    let unlisted = found.unlisted.iter().filter(|u| query.wants(&u.series)).map(|u| {
        json!({
            "market": u.series.market.to_string(), "symbol": u.series.symbol, "kind": u.series.kind.name(),
            "delivery": made(&u.made), "records": u.records,
        })
    });
    Ok(json!({
        "total": wanted.len(),
        "conflicts": wanted[skip..].iter().map(|c| row(c)).collect::<Vec<_>>(),
        "unlisted": unlisted.collect::<Vec<_>>(),
    }))
}

fn row(conflict: &NotedConflict) -> Value {
    let fields = conflict.fields();
    let fields = fields.iter().map(|(name, old, new)| json!({ "field": name, "old": old, "new": new }));
    json!({
        "seq": conflict.seq,
        "market": conflict.series.market.to_string(),
        "symbol": conflict.series.symbol,
        "kind": conflict.series.kind.name(),
        "timestamp": conflict.at.to_string(),
        "timestamp_ns": conflict.at.nanos(),
        "noted_at": conflict.noted.map(|at| at.to_string()),
        "stands": if conflict.new_stands { "new" } else { "old" },
        "fields": fields.collect::<Vec<_>>(),
        "old": side(conflict, &conflict.old),
        "new": side(conflict, &conflict.new),
    })
}

fn side(conflict: &NotedConflict, side: &ConflictSide) -> Value {
    let names = conflict.series.kind.columns().iter().zip(&side.columns);
    let values: serde_json::Map<String, Value> =
        names.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut out = made(&side.made);
    out["values"] = Value::Object(values);
    out
}

fn made(made: &Made) -> Value {
    json!({
        "source": made.origin.name(),
        "made_at": made.at.map(|at| at.to_string()),
        "file": (!made.label.is_empty()).then_some(&made.label),
    })
}
