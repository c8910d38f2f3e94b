//! Columns held against their bounds, and against the same column around them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Doubt, DoubtRule};
use crate::market::{BAR_MS, Columns, Kind};
use crate::spec::{ColumnPlausibility, Plausibility};

/// The first value outside of its bounds.
pub(super) fn outside(rules: &Plausibility, kind: Kind, values: &Columns) -> Option<Doubt> {
    kind.columns().iter().zip(values).find_map(|(name, value)| {
        let bounds = rules.column(name)?;
        (*value < bounds.min || *value > bounds.max).then(|| Doubt {
            rule: DoubtRule::Bounds,
            reason: format!("its {name} {value} is not between {} and {}", bounds.min, bounds.max),
        })
    })
}

/// Adds the doubts about values far outside of everything within reach on both sides.
pub(super) fn spikes(
    rules: &Plausibility,
    kind: Kind,
    rows: &[(i64, Columns)],
    wanted: Range<usize>,
    out: &mut BTreeMap<i64, Doubt>,
) {
    let reach = i64::from(rules.prices.reach_bars) * if kind.is_bar_like() { 1 } else { BAR_MS };
    for (at, name) in kind.columns().iter().enumerate() {
        let Some(bounds) = rules.column(name) else { continue };
        if bounds.spike_factor.is_none() && bounds.dip_factor.is_none() {
            continue;
        }
        for i in wanted.clone() {
            let (time, value) = (rows[i].0, rows[i].1[at]);
            // Nobody trades at a halt, and no snapshot says nothing.
            if !(value > 0.0) || out.contains_key(&time) {
                continue;
            }
            let near = |row: &&(i64, Columns)| (row.0 - time).abs() <= reach;
            let before = rows[..i].iter().rev().take_while(near).map(|row| row.1[at]);
            let after = rows[i + 1..].iter().take_while(near).map(|row| row.1[at]);
            if let Some(reason) = leaves(name, value, bounds, before, after) {
                out.insert(time, Doubt { rule: DoubtRule::Spike, reason });
            }
        }
    }
}

/// Whether a value leaves everything that is known on both sides.
fn leaves(
    name: &str,
    value: f64,
    bounds: &ColumnPlausibility,
    before: impl Iterator<Item = f64>,
    after: impl Iterator<Item = f64>,
) -> Option<String> {
    let (least_before, most_before) = extremes(before)?;
    let (least_after, most_after) = extremes(after)?;
    let (least, most) = (least_before.min(least_after), most_before.max(most_after));
    let is_spike = bounds.spike_factor.is_some_and(|factor| value >= most * factor);
    let is_dip = bounds.dip_factor.is_some_and(|factor| value * factor <= least);
    (is_spike || is_dip)
        .then(|| format!("its {name} {value} leaves what stands before and after it, {least} to {most}"))
}

/// The least and the largest of the known values above zero; `None` when there are none.
fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let known = values.filter(|value| *value > 0.0);
    known.fold(None, |found: Option<(f64, f64)>, value| {
        let (least, most) = found.unwrap_or((value, value));
        Some((least.min(value), most.max(value)))
    })
}
