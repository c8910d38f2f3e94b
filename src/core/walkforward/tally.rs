//! Claims against what came after them, blueprint by blueprint and all together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::{LivedTrade, Past, PointInTime, first_lines, lived_trades, returns_since};
use crate::blueprints::{Blueprint, Status};
use crate::discovery::cluster::{ClusterSum, ClusterT, count};
use crate::discovery::special::normal_isf;
use crate::market::Symbol;
use crate::portfolio::{Account, Filters, Position, positions_of, run};
use crate::spec::strategies::PortfolioSpec;

/// What one blueprint claimed when it was first published, and what came after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LifeRecord {
    /// Id of the blueprint.
    pub id: String,
    /// What it trades, in words.
    pub what: String,
    /// The version that first listed it.
    pub version: String,
    /// The instant of its first publication, RFC 3339.
    pub published_at: String,
    /// The day on which monitoring suspended it, as far as it did.
    pub suspended_on: Option<String>,
    /// The day on which monitoring retired it, as far as it did.
    pub retired_on: Option<String>,
    /// The instant at which a version first said that it is not active any more, RFC 3339.
    pub ended_at: Option<String>,
    /// Claim: posterior mean before costs, bps.
    pub claim_bps: f64,
    /// Claim: interval of it at the stated level, bps.
    pub claim_low_bps: Option<f64>,
    /// Upper end of that interval.
    pub claim_high_bps: Option<f64>,
    /// Claim: mean after costs of the trades that the bridge made, bps.
    pub claim_net_bps: Option<f64>,
    /// Claim: share of winning trades.
    pub claim_hit_rate: Option<f64>,
    /// Events since the publication, whether or not it was still listed.
    pub events: u64,
    /// UTC days with such events.
    pub days: u64,
    /// Their mean before costs, bps.
    pub mean_bps: Option<f64>,
    /// Standard error of it, clustered by day.
    pub se_bps: Option<f64>,
    /// Whether that mean lies within what the claim and its own error allow at the stated level.
    pub is_inside: Option<bool>,
    /// Trades while it was active.
    pub trades: u64,
    /// Their mean before costs, bps.
    pub gross_bps: Option<f64>,
    /// Their mean after costs and funding, bps.
    pub net_bps: Option<f64>,
    /// Share of winning trades.
    pub hit_rate: Option<f64>,
}

/// All of them together. Means are over trades that are traded by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WalkTotals {
    /// Versions that were published.
    pub versions: u64,
    /// Blueprints that were ever published.
    pub published: u64,
    /// Of these, not active any more at the end.
    pub ended: u64,
    /// Trades by default.
    pub trades: u64,
    /// Their mean after costs and funding, bps.
    pub net_bps: Option<f64>,
    /// Standard error of it, clustered by day.
    pub net_se_bps: Option<f64>,
    /// What their blueprints claimed after costs, trade by trade, bps.
    pub claim_net_bps: Option<f64>,
    /// Share of winning trades.
    pub hit_rate: Option<f64>,
    /// What their blueprints claimed, trade by trade.
    pub claim_hit_rate: Option<f64>,
    /// Level of the stated intervals.
    pub interval_level: f64,
    /// Blueprints whose later mean can be judged.
    pub judged: u64,
    /// Of these, inside.
    pub inside: u64,
}

/// The out-of-sample record of a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Blueprint by blueprint, by id.
    pub lives: Vec<LifeRecord>,
    /// Every trade that a version asked for, members of overlap groups too.
    pub trades: Vec<LivedTrade>,
    /// The same over all of them.
    pub totals: WalkTotals,
    /// The account of a consumer with the defaults; `None` without trades.
    pub account: Option<Account>,
}

impl Record {
    /// Holds every claim against what came after it.
    #[must_use]
    pub fn of(
        points: &[PointInTime],
        past: &Past<'_>,
        level: f64,
        (portfolio, filters): (&PortfolioSpec, &Filters),
    ) -> Self {
        let trades = lived_trades(points, past);
        let firsts = first_lines(points);
        let lives: Vec<LifeRecord> = firsts
            .values()
            .map(|(point, line)| {
                let own: Vec<&LivedTrade> = trades.iter().filter(|t| t.blueprint == line.id).collect();
                life(point, line, points, past, &own, level)
            })
            .collect();
        let totals = totals(points, &lives, &trades, level);
        let mut positions: Vec<Position> = Vec::new();
        for (id, (_, line)) in &firsts {
            for (symbol, market) in past.markets {
                let own = trades.iter().filter(|t| t.is_traded && t.blueprint == *id);
                let own: Vec<_> =
                    own.filter(|t| t.trade.symbol == *symbol).map(|t| t.trade.clone()).collect();
                positions.extend(positions_of(line, &own, market, filters));
            }
        }
        let account = (!positions.is_empty()).then(|| run(&positions, portfolio));
        Self { lives, trades, totals, account }
    }
}

fn life(
    point: &PointInTime,
    line: &Blueprint,
    points: &[PointInTime],
    past: &Past<'_>,
    own: &[&LivedTrade],
    level: f64,
) -> LifeRecord {
    let later = || points.iter().flat_map(|p| p.blueprints.iter().map(move |b| (p, b)));
    let own_lines = || later().filter(|(_, b)| b.id == line.id);
    let last = own_lines().next_back().map_or(line, |(_, b)| b);
    let ended = own_lines().find(|(_, b)| b.status != Status::Active);
    let monitoring = last.monitoring.as_ref();
    let sums = returns_since(line, point.published_at, past);
    let after = ClusterT::from_sums(sums.iter().copied());
    let claim_bps = line.publication.as_ref().map_or(0.0, |p| p.claim_gross_bps);
    let nets = || own.iter().map(|t| t.trade.net_bps(1.0));
    let bridge = line.evidence.bridge.as_ref();
    LifeRecord {
        id: line.id.clone(),
        what: words(line),
        version: point.version.clone(),
        published_at: point.published_at.rfc3339(),
        suspended_on: monitoring.and_then(|m| m.suspended_on.clone()),
        retired_on: monitoring.and_then(|m| m.retired_on.clone()),
        ended_at: ended.map(|(p, _)| p.published_at.rfc3339()),
        claim_bps,
        claim_low_bps: line.evidence.stated().map(|[low, ..]| low),
        claim_high_bps: line.evidence.stated().map(|[.., high]| high),
        claim_net_bps: bridge.and_then(|b| b.after_cost_bps),
        claim_hit_rate: bridge.and_then(|b| b.hit_rate),
        events: sums.iter().map(|d| d.n as u64).sum(),
        days: sums.len() as u64,
        mean_bps: mean_of(&sums),
        se_bps: after.as_ref().map(|t| t.se_cr1),
        is_inside: after
            .zip(line.evidence.claim.map(|claim| claim.sd_bps).or(line.evidence.posterior_sd_bps))
            .map(|(t, sd)| is_inside(&t, claim_bps, sd, level)),
        trades: own.len() as u64,
        gross_bps: mean(own.iter().map(|t| t.trade.gross_bps)),
        net_bps: mean(nets()),
        hit_rate: mean(nets().map(|net| f64::from(u8::from(net > 0.0)))),
    }
}

/// Whether a later mean lies within what a claim and its error allow: the claim's own uncertainty and that of
/// the mean together, normal.
fn is_inside(after: &ClusterT, claim: f64, posterior_sd: f64, level: f64) -> bool {
    let reach = normal_isf(0.5 * (1.0 - level));
    let sd = libm::sqrt(posterior_sd * posterior_sd + after.se_cr1 * after.se_cr1);
    (after.mean - claim).abs() <= reach * sd
}

fn words(line: &Blueprint) -> String {
    let condition = if line.condition == "all" { String::new() } else { format!(" when {}", line.condition) };
    let symbols: Vec<&str> = line.symbol_scope.symbols.iter().map(Symbol::as_str).collect();
    format!(
        "{} {} for {} on {}{condition}",
        line.direction_rule,
        line.event_type,
        line.exit.horizon,
        symbols.join(", ")
    )
}

fn totals(points: &[PointInTime], lives: &[LifeRecord], trades: &[LivedTrade], level: f64) -> WalkTotals {
    let claims: BTreeMap<&str, &LifeRecord> = lives.iter().map(|l| (l.id.as_str(), l)).collect();
    let traded = || trades.iter().filter(|t| t.is_traded);
    let nets = || traded().map(|t| t.trade.net_bps(1.0));
    let mut days: BTreeMap<i64, ClusterSum> = BTreeMap::new();
    for t in traded() {
        let day = days.entry(t.trade.event_bar.open().day()).or_insert(ClusterSum { n: 0.0, sum: 0.0 });
        day.n += 1.0;
        day.sum += t.trade.net_bps(1.0);
    }
    let claimed = |f: fn(&LifeRecord) -> Option<f64>| {
        mean(traded().filter_map(|t| claims.get(t.blueprint.as_str()).and_then(|l| f(l))))
    };
    WalkTotals {
        versions: points.len() as u64,
        published: lives.len() as u64,
        ended: lives.iter().filter(|l| l.ended_at.is_some()).count() as u64,
        trades: traded().count() as u64,
        net_bps: mean(nets()),
        net_se_bps: ClusterT::from_sums(days.into_values().collect::<Vec<_>>().into_iter()).map(|t| t.se_cr1),
        claim_net_bps: claimed(|l| l.claim_net_bps),
        hit_rate: mean(nets().map(|net| f64::from(u8::from(net > 0.0)))),
        claim_hit_rate: claimed(|l| l.claim_hit_rate),
        interval_level: level,
        judged: lives.iter().filter(|l| l.is_inside.is_some()).count() as u64,
        inside: lives.iter().filter(|l| l.is_inside == Some(true)).count() as u64,
    }
}

fn mean_of(days: &[ClusterSum]) -> Option<f64> {
    let n: f64 = days.iter().map(|d| d.n).sum();
    (n > 0.0).then(|| days.iter().map(|d| d.sum).sum::<f64>() / n)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / count(n))
}
