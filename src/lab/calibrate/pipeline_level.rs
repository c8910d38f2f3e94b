//! The whole pipeline on a simulated exchange: seeded bars, the shipped specs, features, events, outcomes,
//! discovery, bridge and blueprints, once without any edge and once with the edges of the scenario. Fewer and
//! smaller worlds than the tables, but nothing is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::tally::Estimate;
use crate::sim::{Market, Scenario, SeriesBar, Side, SimBar};
use backtestd_core::blueprints::RunFacts;
use backtestd_core::conclude::ConcludeError;
use backtestd_core::conclude::conclude_alone;
use backtestd_core::discovery::DirectionRule;
use backtestd_core::discovery::cluster::count;
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{
    BARS_PER_DAY, Bar, BarIndex, FundingPrint, MarkBar, OpenInterest, RawBlock, RawSymbol, Source, Symbol,
};
use backtestd_core::outcomes::Outcome;
use backtestd_core::pipeline::{Pipeline, PipelineConfig, PipelineError, QualityReport};
use backtestd_core::spec::CompiledSpec;
use backtestd_core::tradability::{self, MarketError, Markets};

/// Rows per push; changes speed, never a bit.
const CHUNK_ROWS: i64 = 512;
/// Hours between settlements of the simulated venue.
const FUNDING_HOURS: f64 = 8.0;
/// What the venue's history holds beside perp bars. Quotes and forced orders are live only, as on the real
/// one.
const BESIDE_BARS: [Source; 9] = [
    Source::Mark,
    Source::Index,
    Source::Premium,
    Source::FundingRate,
    Source::IsFundingPrint,
    Source::FundingIntervalH,
    Source::Oi,
    Source::OiValue,
    Source::FundingPredBps,
];

/// What a pipeline run needs.
#[derive(Clone, Debug)]
pub struct PipelineLevel {
    /// The specs, all of them.
    pub spec: Arc<CompiledSpec>,
    /// The market to simulate; its edges are what can be found.
    pub scenario: Scenario,
    /// Days of history.
    pub days: usize,
}

/// Why a pipeline run ended early.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// The pipeline refused its input.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// Discovery, bridge or compiler.
    #[error(transparent)]
    Research(#[from] ConcludeError),
}

/// What one market came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineRun {
    /// Number of detections.
    pub events: usize,
    /// Number of booked outcomes.
    pub outcomes: usize,
    /// Hypotheses in the catalogue.
    pub hypotheses: usize,
    /// After multiplicity: how many, and how many on events or sides where nothing was planted.
    pub discoveries: (usize, usize),
    /// After every gate.
    pub gated: (usize, usize),
    /// Compiled blueprints: how many, and how many of them false.
    pub blueprints: (usize, usize),
    /// Planted edges with a blueprint.
    pub edges_found: BTreeSet<String>,
}

/// Many markets in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineTally {
    /// `null` or `planted`.
    pub world: &'static str,
    /// Number of simulated markets, one per run.
    pub runs: usize,
    /// Days of each.
    pub days: usize,
    /// Symbols of each.
    pub symbols: usize,
    /// Means per run.
    pub events: f64,
    /// Mean booked outcomes per run.
    pub outcomes: f64,
    /// Hypotheses in the catalogue of one run.
    pub hypotheses: usize,
    /// Share of runs with any false discovery.
    pub any_false_discovery: Estimate,
    /// Share of runs with any false blueprint.
    pub any_false_blueprint: Estimate,
    /// Discoveries per run, and the false ones.
    pub discoveries: (Estimate, Estimate),
    /// Blueprints per run, and the false ones.
    pub blueprints: (Estimate, Estimate),
    /// Runs in which each planted edge became a blueprint.
    pub edges_found: BTreeMap<String, usize>,
}

impl PipelineLevel {
    /// One market through everything. The same seed gives the same result.
    ///
    /// # Errors
    /// When the specs cannot be used with this market.
    pub fn run(&self, seed: u64) -> Result<PipelineRun, LevelError> {
        let market = Market::new(seed, Arc::new(self.scenario.clone()));
        let mut listed: Vec<(Symbol, usize)> =
            self.scenario.symbols.iter().enumerate().map(|(at, s)| (s.name.clone(), at)).collect();
        listed.sort();
        let symbols: Vec<Symbol> = listed.iter().map(|(s, _)| s.clone()).collect();
        let first = market.genesis();
        let end = first + self.days as i64 * BARS_PER_DAY;
        let (events, outcomes, quality) = self.collect(&market, &listed, first, end)?;
        let facts = RunFacts {
            run_id: format!("calibrate-{seed}"),
            code_version: "calibrate".to_owned(),
            data_watermark: end.open(),
            discovery_start: first.open(),
            discovery_end: end.open(),
        };
        let mut markets = VenueMarkets { market: &market, listed: &listed };
        let conclusions = conclude_alone(&self.spec, &symbols, &outcomes, &quality, &facts, &mut markets)?;
        let mut run = PipelineRun {
            events,
            outcomes: outcomes.len(),
            hypotheses: conclusions.discovery.summary.hypotheses,
            ..PipelineRun::default()
        };
        for c in &conclusions.discovery.candidates {
            let is_false = self.is_false(&c.measured.event_type, c.measured.direction_rule);
            let add = |n: &mut (usize, usize)| {
                n.0 += 1;
                n.1 += usize::from(is_false);
            };
            if c.judgement.is_discovery {
                add(&mut run.discoveries);
            }
            if c.judgement.gate_phase2_final {
                add(&mut run.gated);
            }
        }
        for b in &conclusions.compiled.blueprints {
            run.blueprints.0 += 1;
            run.blueprints.1 += usize::from(self.is_false(&b.event_type, b.direction_rule));
            let edges = self.scenario.edges.iter();
            run.edges_found.extend(
                edges
                    .filter(|e| e.touches(&b.event_type) && side(e.side) == b.direction_rule)
                    .map(|e| e.id.clone()),
            );
        }
        Ok(run)
    }

    fn is_false(&self, event_type: &str, rule: DirectionRule) -> bool {
        !self.scenario.edges.iter().any(|e| e.touches(event_type) && side(e.side) == rule)
    }

    fn collect(
        &self,
        market: &Market,
        listed: &[(Symbol, usize)],
        first: BarIndex,
        end: BarIndex,
    ) -> Result<(usize, Vec<Outcome>, QualityReport), PipelineError> {
        let collected = listed
            .iter()
            .map(|(_, at)| {
                let spot: &[Source] =
                    if self.scenario.symbols[*at].spot.is_some() { &Source::SPOT_BAR } else { &[] };
                Source::PERP_BAR.iter().chain(&BESIDE_BARS).chain(spot).copied().collect()
            })
            .collect();
        let mut pipeline = Pipeline::new(
            PipelineConfig {
                spec: Arc::clone(&self.spec),
                symbols: listed.iter().map(|(s, _)| s.clone()).collect(),
                collected,
                engine: EngineOptions { slack_rows: CHUNK_ROWS as usize, threads: false },
            },
            first,
        )?;
        let (mut events, mut outcomes) = (0, Vec::new());
        while pipeline.next_bar() < end {
            let from = pipeline.next_bar();
            let rows = CHUNK_ROWS.min(end - from);
            let block = RawBlock {
                first: from,
                rows: rows as usize,
                symbols: listed.iter().map(|(_, at)| raw(&market.bars(*at, from, rows as usize))).collect(),
            };
            let facts = pipeline.push(&block)?;
            events += facts.events.len();
            outcomes.extend(facts.outcomes);
        }
        Ok((events, outcomes, pipeline.quality()))
    }
}

const fn side(side: Side) -> DirectionRule {
    match side {
        Side::Fade => DirectionRule::Fade,
        Side::Follow => DirectionRule::Follow,
    }
}

/// The bars of the simulated venue, for the bridge.
struct VenueMarkets<'a> {
    market: &'a Market,
    listed: &'a [(Symbol, usize)],
}

impl Markets for VenueMarkets<'_> {
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<tradability::Market>, MarketError> {
        let Some((_, at)) = self.listed.iter().find(|(s, _)| s == symbol) else { return Ok(None) };
        let rows = usize::try_from(end - first).unwrap_or(0);
        let raw = raw(&self.market.bars(*at, first, rows));
        Ok(Some(tradability::Market::on_grid(first, end, &raw.perp, Some(raw.funding))))
    }
}

/// What an archive of these bars holds.
fn raw(bars: &[SimBar]) -> RawSymbol {
    let mut out = RawSymbol::default();
    for b in bars {
        out.perp.push(bar(b.bar, &b.perp));
        out.spot.extend(b.spot.as_ref().map(|spot| bar(b.bar, spot)));
        let mark = b.index.1 * (1.0 + b.premium.1);
        out.mark.push(MarkBar {
            bar: b.bar,
            mark,
            index: b.index.1,
            premium: b.premium.1,
            predicted_rate: b.predicted_rate,
        });
        out.open_interest.push(OpenInterest {
            ts: b.bar.close(),
            contracts: b.open_interest,
            value: b.open_interest * mark,
        });
        if !b.settled_rate.is_nan() {
            out.funding.push(FundingPrint::regular(b.bar.close(), b.settled_rate, FUNDING_HOURS));
        }
    }
    out
}

const fn bar(at: BarIndex, s: &SeriesBar) -> Bar {
    Bar {
        bar: at,
        open: s.open,
        high: s.high,
        low: s.low,
        close: s.close,
        volume: s.volume,
        quote_volume: s.quote_volume,
        trades: s.trades,
        taker_buy_volume: s.taker_buy_volume,
        taker_buy_quote: s.taker_buy_quote,
    }
}

impl PipelineTally {
    /// Adds up runs of one level.
    #[must_use]
    pub fn new(world: &'static str, level: &PipelineLevel, runs: &[PipelineRun]) -> Self {
        let mean = |f: &dyn Fn(&PipelineRun) -> f64| Estimate::mean(&runs.iter().map(f).collect::<Vec<_>>());
        let any = |n: usize| f64::from(u8::from(n > 0));
        let mut edges_found: BTreeMap<String, usize> =
            level.scenario.edges.iter().map(|e| (e.id.clone(), 0)).collect();
        for id in runs.iter().flat_map(|r| &r.edges_found) {
            *edges_found.entry(id.clone()).or_default() += 1;
        }
        Self {
            world,
            runs: runs.len(),
            days: level.days,
            symbols: level.scenario.symbols.len(),
            events: mean(&|r| count(r.events)).value.unwrap_or(0.0),
            outcomes: mean(&|r| count(r.outcomes)).value.unwrap_or(0.0),
            hypotheses: runs.first().map_or(0, |r| r.hypotheses),
            any_false_discovery: mean(&|r| any(r.discoveries.1)),
            any_false_blueprint: mean(&|r| any(r.blueprints.1)),
            discoveries: (mean(&|r| count(r.discoveries.0)), mean(&|r| count(r.discoveries.1))),
            blueprints: (mean(&|r| count(r.blueprints.0)), mean(&|r| count(r.blueprints.1))),
            edges_found,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let number = |e: &Estimate| e.value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<12} {} runs of {} symbols x {} days: {:.0} events, {:.0} outcomes, {} hypotheses",
            self.world, self.runs, self.symbols, self.days, self.events, self.outcomes, self.hypotheses
        );
        let _ = writeln!(
            out,
            "  discoveries            {} a run, false {}; runs with a false one {}",
            number(&self.discoveries.0),
            number(&self.discoveries.1),
            number(&self.any_false_discovery)
        );
        let _ = writeln!(
            out,
            "  blueprints             {} a run, false {}; runs with a false one {}",
            number(&self.blueprints.0),
            number(&self.blueprints.1),
            number(&self.any_false_blueprint)
        );
        for (id, found) in &self.edges_found {
            let _ = writeln!(out, "  planted                {id}: found in {found} of {}", self.runs);
        }
        out
    }
}
