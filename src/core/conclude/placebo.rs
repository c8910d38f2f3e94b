//! A run's own placebo: the whole of discovery, bridge and compiler over null twins of the run's events.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::placement::{events_of, flip_days};
use super::{ConcludeError, History, Look, Stage, TwinMarkets, conclude_like};
use crate::blueprints::RunFacts;
use crate::discovery::DiscoveryConfig;
use crate::graph::EngineOptions;
use crate::outcomes::Event;
use crate::outcomes::Outcome;
use crate::pipeline::PipelineConfig;
use crate::spec::CompiledSpec;

/// What placebo a run is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaceboRequest {
    /// Draws of each null; 0: none.
    pub draws: usize,
    /// Seed.
    pub seed: u64,
}

/// One null over all its draws.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NullTwin {
    /// `placement` or `day_signs`.
    pub null: &'static str,
    /// Outcomes booked, mean over the draws.
    pub outcomes: f64,
    /// The funnel of each draw.
    pub funnels: Vec<Vec<Stage>>,
    /// One-look p-values of every draw together, sorted; those of undefined tests are left out.
    #[serde(skip)]
    pub p_values: Vec<f64>,
}

/// The placebo of a run: `placement_null.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placebo {
    /// `backtestd.placement_null/1`.
    pub schema: &'static str,
    /// Seed.
    pub seed: u64,
    /// Draws of each null.
    pub draws: usize,
    /// The run's own funnel.
    pub real: Vec<Stage>,
    /// The nulls.
    pub nulls: Vec<NullTwin>,
}

impl NullTwin {
    /// Mean and largest count of a stage over the draws.
    #[must_use]
    pub fn stage(&self, at: usize) -> (f64, u64) {
        let counts = self.funnels.iter().filter_map(|f| f.get(at)).map(|s| s.count);
        let largest = counts.clone().max().unwrap_or(0);
        (counts.sum::<u64>() as f64 / self.funnels.len().max(1) as f64, largest)
    }

    /// Draws with anything left at a stage.
    #[must_use]
    pub fn draws_reaching(&self, at: usize) -> usize {
        self.funnels.iter().filter_map(|f| f.get(at)).filter(|s| s.count > 0).count()
    }
}

impl Placebo {
    /// One line a null, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for twin in &self.nulls {
            // Writing to a String cannot fail.
            let _ = write!(out, "placebo      {:<10} x {}: ", twin.null, self.draws);
            let stages = ["Discoveries", "All gates", "Blueprints"].into_iter().filter_map(|name| {
                let at = self.real.iter().position(|s| s.name == name)?;
                let (mean, most) = twin.stage(at);
                Some(format!(
                    "{} {mean:.2} a draw, at most {most} (real {})",
                    name.to_lowercase(),
                    self.real[at].count
                ))
            });
            let _ = writeln!(out, "{}", stages.collect::<Vec<_>>().join("; "));
        }
        out
    }
}

/// The run that a placebo belongs to.
#[derive(Clone, Copy, Debug)]
pub struct PlaceboInputs<'a> {
    /// The specs.
    pub spec: &'a Arc<CompiledSpec>,
    /// The run's outcomes.
    pub outcomes: &'a [Outcome],
    /// What its events can be moved in.
    pub history: &'a History,
    /// How the run was looked at: a twin has the same hypotheses, budgets and exclusions.
    pub look: Look<'a>,
    /// How discovery runs.
    pub config: &'a DiscoveryConfig,
    /// Names and watermark of the run.
    pub facts: &'a RunFacts,
    /// The run's own funnel.
    pub real: &'a [Stage],
    /// Days are exchanged within this many groups of like volatility.
    pub groups: usize,
}

/// Runs the placebo.
///
/// # Errors
/// As [`conclude_like`].
pub fn placebo(
    run: &PlaceboInputs<'_>,
    request: PlaceboRequest,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Placebo, ConcludeError> {
    let &PlaceboInputs { spec, outcomes, history, look, config, facts, real, groups } = run;
    let events: Vec<Arc<Event>> = events_of(outcomes);
    let book = PipelineConfig {
        spec: Arc::clone(spec),
        symbols: history.symbols.clone(),
        collected: Vec::new(),
        engine: EngineOptions::BATCH,
    }
    .book();
    let total = 2 * request.draws as u64;
    let mut nulls = Vec::new();
    for (at, null) in ["placement", "day_signs"].into_iter().enumerate() {
        let mut twin = NullTwin { null, outcomes: 0.0, funnels: Vec::new(), p_values: Vec::new() };
        for draw in 0..request.draws {
            let (drawn, mut markets) = if at == 0 {
                let map = history.shuffle(request.seed, draw, groups);
                let placed = history.place(events.iter().map(AsRef::as_ref), &map);
                (history.book(book.clone(), &placed), TwinMarkets::placed(history))
            } else {
                let flipped = flip_days(outcomes, request.seed, draw);
                (flipped, TwinMarkets::flipped(history, request.seed, draw))
            };
            let found = conclude_like(&look, spec, config, &drawn, facts, &mut markets)?;
            let candidates = &found.discovery.candidates;
            twin.outcomes += drawn.len() as f64 / request.draws as f64;
            twin.p_values.extend(candidates.iter().map(|c| c.p_value).filter(|p| *p < 1.0));
            twin.funnels.push(found.funnel());
            progress((at * request.draws + draw + 1) as u64, total);
        }
        twin.p_values.sort_by(f64::total_cmp);
        nulls.push(twin);
    }
    Ok(Placebo {
        schema: "backtestd.placement_null/1",
        seed: request.seed,
        draws: request.draws,
        real: real.to_vec(),
        nulls,
    })
}
