//! What a consumer who followed the versions would have traded, and what became of every event that a claim
//! is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::blueprints::{Blueprint, Status, trades_of};
use crate::discovery::ConditionTest;
use crate::discovery::cluster::ClusterSum;
use crate::market::{BPS, Symbol, Ts};
use crate::outcomes::{Event, Outcome};
use crate::tradability::{Market, Trade};

/// A version with the instant from which it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct PointInTime {
    /// Name of the version, `vNNNNNN`.
    pub version: String,
    /// In force from this instant until the next version's.
    pub published_at: Ts,
    /// Its lines, by id.
    pub blueprints: Vec<Blueprint>,
}

/// Everything that happened, for the record to be made of.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// Detections in the order of their bars.
    pub events: &'a [Event],
    /// Booked outcomes of these events.
    pub outcomes: &'a [Outcome],
    /// The graph's state ids in order.
    pub states: &'a [&'a str],
    /// Bars and settlements by symbol.
    pub markets: &'a BTreeMap<Symbol, Market>,
    /// Round-trip cost of a symbol at an instant, bps.
    pub cost_bps: &'a dyn Fn(&Symbol, Ts) -> f64,
}

/// A trade that the version in force asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct LivedTrade {
    /// Id of the blueprint.
    pub blueprint: String,
    /// The version in force at the detection.
    pub version: String,
    /// Whether it is traded by default: no member of another blueprint's overlap group.
    pub is_traded: bool,
    /// What came of it.
    pub trade: Trade,
}

/// The line of each blueprint's first publication, with the instant and the version of it.
pub(super) fn first_lines(points: &[PointInTime]) -> BTreeMap<&str, (&PointInTime, &Blueprint)> {
    let mut out = BTreeMap::new();
    for point in points {
        for line in &point.blueprints {
            out.entry(line.id.as_str()).or_insert((point, line));
        }
    }
    out
}

/// The version in force at an instant.
fn in_force(points: &[PointInTime], at: Ts) -> Option<&PointInTime> {
    points[..points.partition_point(|p| p.published_at <= at)].last()
}

/// The trades of all versions, by exit, symbol and blueprint. Each event meets the version in force at its
/// detection; one spec tree has one rule for an id, so that the cool-down of a blueprint runs on over
/// versions.
#[must_use]
pub(super) fn lived_trades(points: &[PointInTime], past: &Past<'_>) -> Vec<LivedTrade> {
    let mut of_line: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    let mut met: BTreeMap<(&str, Ts), (&PointInTime, bool)> = BTreeMap::new();
    for event in past.events {
        let at = event.detected();
        let Some(point) = in_force(points, at) else { continue };
        for line in &point.blueprints {
            let is_fresh = line.discovered_through_ns.is_none_or(|seen| seen < at.nanos());
            if line.status == Status::Active && is_fresh && *line.event_type == *event.event_type {
                of_line.entry(&line.id).or_default().push(event.clone());
                met.insert((&line.id, event.bar.open()), (point, line.is_traded()));
            }
        }
    }
    let firsts = first_lines(points);
    let mut out = Vec::new();
    for (id, events) in &of_line {
        let Some((_, line)) = firsts.get(id) else { continue };
        for mut trade in trades_of(line, events, past.states, past.markets).trades {
            let Some((point, is_traded)) = met.get(&(*id, trade.event_bar.open())) else { continue };
            trade.cost_bps = (past.cost_bps)(&trade.symbol, trade.event_bar.close());
            let (blueprint, version) = ((*id).to_owned(), point.version.clone());
            out.push(LivedTrade { blueprint, version, is_traded: *is_traded, trade });
        }
    }
    out.sort_by(|a, b| {
        let key = |t: &'_ LivedTrade| (t.trade.exit_bar, t.trade.event_bar);
        let name = |t: &LivedTrade| (t.trade.symbol.clone(), t.blueprint.clone());
        key(a).cmp(&key(b)).then_with(|| name(a).cmp(&name(b)))
    });
    out
}

/// Sums by UTC day of what the events since an instant returned on a blueprint's side, bps before costs: the
/// quantity that its claim is about. Undirected events and unknown returns are left out, as in the evidence.
pub(super) fn returns_since(line: &Blueprint, since: Ts, past: &Past<'_>) -> Vec<ClusterSum> {
    let Some(condition) = ConditionTest::resolve(&line.entry.conditions, past.states) else {
        return Vec::new();
    };
    let symbols: BTreeSet<&Symbol> = line.symbol_scope.symbols.iter().collect();
    let mut days: BTreeMap<i64, ClusterSum> = BTreeMap::new();
    for outcome in past.outcomes {
        let event = &outcome.event;
        let is_ours = *event.event_type == *line.event_type
            && outcome.horizon.bars == line.exit.time_stop_bars
            && event.detected() >= since
            && symbols.contains(&event.symbol)
            && !outcome.forward_return.is_nan()
            && condition.holds(event);
        let Some(side) = line.direction_rule.side(event.direction).filter(|_| is_ours) else { continue };
        let day = days.entry(event.bar.open().day()).or_insert(ClusterSum { n: 0.0, sum: 0.0 });
        day.n += 1.0;
        day.sum += BPS * side.sign() * outcome.forward_return;
    }
    days.into_values().collect()
}
