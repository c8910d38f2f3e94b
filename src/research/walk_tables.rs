//! The record of a walk as parquet: looks, blueprints, trades, and the account day by day.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{ArrayRef, RecordBatch};

use super::ResearchError;
use super::walk_forward::WalkSummary;
use backtestd_core::market::{Ts, parse_date, parse_time};
use backtestd_core::tradability::ExitReason;
use backtestd_core::walkforward::{LifeRecord, LivedTrade, Record};
use backtestd_store::lake::{
    LakeError, SCHEMA_KEY, bool_column, f64_column, i64_column, string_column, table, ts_column,
    ts_column_opt, write_parquet,
};

/// Writes `looks.parquet`, `blueprints.parquet`, `trades.parquet` and `equity.parquet`; those without rows
/// too.
pub(super) fn write_tables(dir: &Path, summary: &WalkSummary, record: &Record) -> Result<(), ResearchError> {
    for (name, rows) in [
        ("looks", looks(summary)?),
        ("blueprints", lives(&record.lives)?),
        ("trades", trades(&record.trades)?),
        ("equity", equity(record)?),
    ] {
        let metadata = BTreeMap::from([
            (SCHEMA_KEY.to_owned(), format!("backtestd.walk_forward_{name}/1")),
            ("ontology_spec_hash".to_owned(), summary.ontology_spec_hash.clone()),
        ]);
        let path = dir.join(format!("{name}.parquet"));
        write_parquet(&path, &rows.schema(), std::slice::from_ref(&rows), &metadata)?;
    }
    Ok(())
}

fn looks(summary: &WalkSummary) -> Result<RecordBatch, LakeError> {
    let rows = &summary.looks;
    named([
        ("timestamp", ts_column_opt(rows.iter().map(|r| instant(&r.closed_through)))),
        ("published_ts", ts_column_opt(rows.iter().map(|r| instant(&r.published_at)))),
        ("run_id", string_column(rows.iter().map(|r| Some(&r.run_id)))),
        ("version", string_column(rows.iter().map(|r| Some(&r.version)))),
        ("is_new", bool_column(rows.iter().map(|r| Some(r.is_new)))),
        ("tested", i64_column(rows.iter().map(|r| Some(r.tested as i64)))),
        ("discoveries", i64_column(rows.iter().map(|r| Some(r.discoveries as i64)))),
        ("active", i64_column(rows.iter().map(|r| Some(r.active as i64)))),
        ("watch", i64_column(rows.iter().map(|r| Some(r.watch as i64)))),
        ("added", i64_column(rows.iter().map(|r| Some(r.added.len() as i64)))),
        ("retired", i64_column(rows.iter().map(|r| Some(r.retired.len() as i64)))),
    ])
}

fn lives(rows: &[LifeRecord]) -> Result<RecordBatch, LakeError> {
    let number =
        |f: fn(&LifeRecord) -> Option<f64>| f64_column(rows.iter().map(|r| f(r).unwrap_or(f64::NAN)));
    let count = |f: fn(&LifeRecord) -> u64| i64_column(rows.iter().map(|r| Some(f(r) as i64)));
    let date = |f: fn(&LifeRecord) -> Option<&String>| {
        ts_column_opt(rows.iter().map(|r| f(r).and_then(|text| parse_date(text).ok())))
    };
    named([
        ("blueprint", string_column(rows.iter().map(|r| Some(&r.id)))),
        ("what", string_column(rows.iter().map(|r| Some(&r.what)))),
        ("version", string_column(rows.iter().map(|r| Some(&r.version)))),
        ("published_ts", ts_column_opt(rows.iter().map(|r| instant(&r.published_at)))),
        ("suspended_on", date(|r| r.suspended_on.as_ref())),
        ("retired_on", date(|r| r.retired_on.as_ref())),
        ("ended_ts", ts_column_opt(rows.iter().map(|r| r.ended_at.as_deref().and_then(instant)))),
        ("claim_bps", number(|r| Some(r.claim_bps))),
        ("claim_low_bps", number(|r| r.claim_low_bps)),
        ("claim_high_bps", number(|r| r.claim_high_bps)),
        ("claim_net_bps", number(|r| r.claim_net_bps)),
        ("claim_hit_rate", number(|r| r.claim_hit_rate)),
        ("events", count(|r| r.events)),
        ("days", count(|r| r.days)),
        ("mean_bps", number(|r| r.mean_bps)),
        ("se_bps", number(|r| r.se_bps)),
        ("is_inside", bool_column(rows.iter().map(|r| r.is_inside))),
        ("trades", count(|r| r.trades)),
        ("gross_bps", number(|r| r.gross_bps)),
        ("net_bps", number(|r| r.net_bps)),
        ("hit_rate", number(|r| r.hit_rate)),
    ])
}

fn trades(rows: &[LivedTrade]) -> Result<RecordBatch, LakeError> {
    let number = |f: fn(&LivedTrade) -> f64| f64_column(rows.iter().map(f));
    let reason = |r: &LivedTrade| match r.trade.reason {
        ExitReason::Time => "time",
        ExitReason::Stop => "stop",
        ExitReason::Target => "target",
    };
    named([
        ("timestamp", ts_column(rows.iter().map(|r| r.trade.event_bar.open()))),
        ("blueprint", string_column(rows.iter().map(|r| Some(&r.blueprint)))),
        ("version", string_column(rows.iter().map(|r| Some(&r.version)))),
        ("is_traded", bool_column(rows.iter().map(|r| Some(r.is_traded)))),
        ("symbol", string_column(rows.iter().map(|r| Some(r.trade.symbol.as_str())))),
        (
            "side",
            string_column(
                rows.iter().map(|r| Some(if r.trade.side.sign() > 0.0 { "long" } else { "short" })),
            ),
        ),
        ("entry_ts", ts_column(rows.iter().map(|r| r.trade.entry))),
        ("exit_bar_ts", ts_column(rows.iter().map(|r| r.trade.exit_bar.open()))),
        ("exit_reason", string_column(rows.iter().map(|r| Some(reason(r))))),
        ("gross_bps", number(|r| r.trade.gross_bps)),
        ("cost_bps", number(|r| r.trade.cost_bps)),
        ("funding_bps", number(|r| r.trade.funding_bps)),
        ("net_bps", number(|r| r.trade.net_bps(1.0))),
        ("scale", number(|r| r.trade.scale)),
    ])
}

fn equity(record: &Record) -> Result<RecordBatch, LakeError> {
    let days = record.account.as_ref().map_or(&[][..], |a| &a.days);
    named([
        ("timestamp", ts_column_opt(days.iter().map(|d| parse_date(&d.day).ok()))),
        ("equity", f64_column(days.iter().map(|d| d.equity))),
        ("drawdown", f64_column(days.iter().map(|d| d.drawdown))),
        ("gross", f64_column(days.iter().map(|d| d.gross))),
    ])
}

fn instant(text: &str) -> Option<Ts> {
    parse_time(text).ok()
}

fn named<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, LakeError> {
    table(columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect())
}
