//! The hierarchical estimate: horizon -> family -> event -> state -> symbol, each level shrunk towards its
//! parent with the sampling noise taken out of the between-variance. On the follow side; the caller turns it
//! to the traded side.
//!
//! A node whose own standard error is undefined (too few days) gets weight 0: it is its parent.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::cluster::{ClusterLimits, ClusterSum, ClusterT};
use super::evidence::{DaySum, EvidenceBook};
use super::shrink::{Child, Shrunk, between_variance, shrink};

/// A unit's place in the hierarchy: three levels, each with the weight of its own mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct TreeEstimate {
    /// Estimate at the family node.
    pub family: f64,
    /// Weight of the family's own mean.
    pub family_weight: f64,
    /// Estimate at the event node.
    pub event: f64,
    /// Weight of the event's own mean.
    pub event_weight: f64,
    /// The unit itself.
    pub unit: f64,
    /// Weight of the unit's own mean; 1 where the unit is the event node.
    pub unit_weight: f64,
}

/// Estimates for every unit, by block and local number. `units` holds each unit's cluster t, `None` where
/// undefined.
#[must_use]
pub(super) fn tree_estimates(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    units: &[Vec<Option<ClusterT>>],
    limits: &ClusterLimits,
) -> Vec<Vec<TreeEstimate>> {
    let mut by_horizon: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (b, block) in catalogue.blocks.iter().enumerate() {
        by_horizon.entry(block.horizon.bars).or_default().push(b);
    }
    let mut out: Vec<Vec<TreeEstimate>> =
        units.iter().map(|u| vec![TreeEstimate::default(); u.len()]).collect();
    for blocks in by_horizon.values() {
        estimate_horizon(catalogue, book, units, limits, blocks, &mut out);
    }
    out
}

fn estimate_horizon(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    units: &[Vec<Option<ClusterT>>],
    limits: &ClusterLimits,
    blocks: &[usize],
    out: &mut [Vec<TreeEstimate>],
) {
    let mut families: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &b in blocks {
        families.entry(catalogue.blocks[b].family.as_ref()).or_default().push(b);
    }
    let event_days: BTreeMap<usize, Vec<DaySum>> =
        blocks.par_iter().map(|&b| (b, event_days(catalogue, book, b))).collect();
    let family_days: Vec<Vec<DaySum>> =
        families.values().map(|bs| merge(bs.iter().filter_map(|b| event_days.get(b)))).collect();
    let root = node(&merge(family_days.iter()), limits).map_or(0.0, |c| c.mean);
    let family_nodes: Vec<Option<Child>> = family_days.iter().map(|d| node(d, limits)).collect();
    let family_level = level(&family_nodes, root);
    for (members, family) in families.values().zip(family_level) {
        let event_nodes: Vec<Option<Child>> =
            members.iter().map(|b| event_days.get(b).and_then(|d| node(d, limits))).collect();
        for (&b, event) in members.iter().zip(level(&event_nodes, family.mean)) {
            let base = TreeEstimate {
                family: family.mean,
                family_weight: family.weight,
                event: event.mean,
                event_weight: event.weight,
                unit: event.mean,
                unit_weight: 1.0,
            };
            estimate_block(catalogue, b, &units[b], base, &mut out[b]);
        }
    }
}

/// Below the event: states, and symbols inside a state (or inside the unconditional cell).
fn estimate_block(
    catalogue: &Catalogue,
    b: usize,
    units: &[Option<ClusterT>],
    base: TreeEstimate,
    out: &mut [TreeEstimate],
) {
    let states = catalogue.blocks[b].conditions.len();
    let symbols = catalogue.symbols.len();
    // The scope whose units stand for the whole event.
    let whole = if catalogue.has_pooled { Some(symbols) } else { (symbols == 1).then_some(0) };
    let child = |scope: usize, state: usize| units[catalogue.local(b, scope, state)].as_ref().map(as_child);
    let state_nodes: Vec<Option<Child>> = (1..=states).map(|c| whole.and_then(|w| child(w, c))).collect();
    let mut cells = vec![Shrunk { weight: 1.0, mean: base.event, sd: 0.0 }];
    cells.extend(level(&state_nodes, base.event));
    for (state, cell) in cells.iter().enumerate() {
        if let Some(whole) = whole {
            out[catalogue.local(b, whole, state)] =
                TreeEstimate { unit: cell.mean, unit_weight: cell.weight, ..base };
        }
        let leaves: Vec<usize> = (0..symbols).filter(|s| Some(*s) != whole).collect();
        let nodes: Vec<Option<Child>> = leaves.iter().map(|&s| child(s, state)).collect();
        for (&s, leaf) in leaves.iter().zip(level(&nodes, cell.mean)) {
            out[catalogue.local(b, s, state)] =
                TreeEstimate { unit: leaf.mean, unit_weight: leaf.weight, ..base };
        }
    }
}

/// One level: children with a defined error shrink, the others are their parent.
fn level(nodes: &[Option<Child>], parent: f64) -> Vec<Shrunk> {
    let known: Vec<Child> = nodes.iter().flatten().copied().collect();
    let tau2 = between_variance(&known, parent);
    nodes
        .iter()
        .map(|n| n.map_or(Shrunk { weight: 0.0, mean: parent, sd: 0.0 }, |child| shrink(child, parent, tau2)))
        .collect()
}

fn as_child(t: &ClusterT) -> Child {
    Child { mean: t.mean, se: t.se_cr2 }
}

fn node(days: &[DaySum], limits: &ClusterLimits) -> Option<Child> {
    let t = ClusterT::from_sums(days.iter().map(as_cluster))?;
    t.is_defined(limits).then(|| as_child(&t))
}

/// A day of gross returns as a cluster.
pub(super) fn as_cluster(day: &DaySum) -> ClusterSum {
    ClusterSum { n: f64::from(day.n), sum: day.sum }
}

/// Days of an event over all symbols.
fn event_days(catalogue: &Catalogue, book: &EvidenceBook, b: usize) -> Vec<DaySum> {
    let symbols = catalogue.symbols.len();
    let scopes = if catalogue.has_pooled { symbols..symbols + 1 } else { 0..symbols };
    let days: Vec<_> = scopes.map(|scope| book.days(b, catalogue.local(b, scope, 0))).collect();
    merge(days.iter())
}

/// Adds series up by day, in the order given. Days that are no numbers are left out: one broken return must
/// not reach its family.
fn merge<'a>(series: impl Iterator<Item = &'a Vec<DaySum>>) -> Vec<DaySum> {
    let mut all: Vec<DaySum> = series.flatten().filter(|d| d.is_finite()).copied().collect();
    // Stable: days that several series share keep the series' order, so the sums have one order of addition.
    all.sort_by_key(|d| d.day);
    let mut out: Vec<DaySum> = Vec::new();
    for day in all {
        match out.last_mut() {
            Some(last) if last.day == day.day => {
                last.n += day.n;
                last.sum += day.sum;
                last.squares += day.squares;
                last.cost += day.cost;
                last.z += day.z;
                last.z_cost += day.z_cost;
                last.weight += day.weight;
            }
            _ => out.push(day),
        }
    }
    out
}
