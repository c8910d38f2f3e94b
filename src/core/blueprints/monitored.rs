//! Published blueprints against the days since their publication. Pure.

use super::diff::{Life, Lives};
use super::record::{Blueprint, Monitoring, ScopeMode, Status};
use crate::discovery::ledger::{TrialKey, date};
use crate::discovery::monitor::{Claim, MonitorReport, monitor};
use crate::discovery::{Catalogue, EvidenceBook, Scope, UnitPlace};
use crate::market::BPS;
use crate::market::parse_date;
use crate::spec::gates::MonitoringSpec;

/// What became of each blueprint that is not retired, by id. A function of the published lines and the book:
/// the same however often it is asked. Lines of an older program that say nothing of their publication are
/// left out.
#[must_use]
pub fn lives_of(
    published: &[Blueprint],
    catalogue: &Catalogue,
    book: &EvidenceBook,
    spec: &MonitoringSpec,
) -> Lives {
    let life = |blueprint: &Blueprint| {
        let facts = blueprint.publication.as_ref().filter(|_| blueprint.status != Status::Retired)?;
        let closed_through = parse_date(&facts.closed_through).ok()?.day();
        let Some(place) = place_of(blueprint, catalogue) else {
            return Some(Life::Gone("its hypothesis is not tested any more".to_owned()));
        };
        if TrialKey::of(&catalogue.definition(place)).hex() != facts.definition_hash {
            let why =
                "the definition of its hypothesis has changed: that is another trial, in a later cohort";
            return Some(Life::Gone(why.to_owned()));
        }
        let local = catalogue.local(place.block, place.scope, place.condition);
        let claim = Claim {
            closed_through,
            side: blueprint.direction_rule,
            gross: facts.claim_gross_bps / BPS,
            cost: facts.cost_bps / BPS,
        };
        let days = book.days_after(place.block, local, closed_through);
        let report = monitor(&days, &claim, spec, book.params());
        let through = book.through_day().unwrap_or(closed_through).max(closed_through);
        Some(Life::Monitored(monitoring(&report, &claim, through, spec)))
    };
    published.iter().filter_map(|b| Some((b.id.clone(), life(b)?))).collect()
}

/// Where a blueprint's unit stands in the catalogue.
fn place_of(blueprint: &Blueprint, catalogue: &Catalogue) -> Option<UnitPlace> {
    let block = catalogue.blocks.iter().position(|b| {
        *b.event_type == *blueprint.event_type && b.horizon.bars == blueprint.exit.time_stop_bars
    })?;
    (0..catalogue.block_units(block)).map(|local| catalogue.place(block, local)).find(|place| {
        let state = catalogue.condition(*place).map_or("", |c| &c.condition.id);
        let scope = catalogue.scope(*place);
        let pool = scope.symbols();
        // A pool is published with the symbols that had evidence.
        let is_scope = match blueprint.symbol_scope.mode {
            ScopeMode::SingleSymbol => pool == blueprint.symbol_scope.symbols,
            ScopeMode::MultiSymbol => {
                matches!(scope, Scope::Pooled(_))
                    && blueprint.symbol_scope.symbols.iter().all(|s| pool.contains(s))
            }
        };
        state == blueprint.state_id && is_scope
    })
}

fn monitoring(report: &MonitorReport, claim: &Claim, through: i64, spec: &MonitoringSpec) -> Monitoring {
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let n = report.n_events as f64;
    let per_event = |sum: f64| (report.n_events > 0).then(|| BPS * sum / n);
    Monitoring {
        since: date(claim.closed_through + 1),
        closed_through: date(through),
        active_days: report.active_days,
        n_events: report.n_events,
        mean_bps: per_event(report.sum),
        after_cost_bps: per_event(report.sum - report.cost),
        claim_gross_bps: BPS * claim.gross,
        floor_bps: BPS * claim.floor(spec),
        e_value: finite_exp(report.log_e),
        e_sup: finite_exp(report.log_sup),
        confirmed_on: report.confirmed_on.map(date),
        detector: report.detector,
        detector_max: report.detector_max,
        suspended_on: report.suspended_on.map(date),
        retired_on: report.retired_on.map(date),
    }
}

/// Numbers in a line are finite.
fn finite_exp(log: f64) -> f64 {
    libm::exp(log.min(700.0))
}
