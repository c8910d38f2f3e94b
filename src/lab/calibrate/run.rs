//! One world, lived through day by day: the evidence book of production takes each closed day, the
//! multiplicity procedure looks at every evening, what it rejects counts as published, and the canaries
//! decide on the same evenings.

use backtestd_core::market::BPS;
use std::collections::{BTreeMap, BTreeSet};

use super::decider::{Decider, Errors, Rejected, Tracker};
use super::lab::{Lab, WorldKind};
use super::ledger::Ledger;
use super::watch::{Watched, watch};
use super::world::{FIRST_DAY, Names, World, WorldError, simulate};
use backtestd_core::discovery::cluster::{ClusterLimits, ClusterSum, ClusterT};
use backtestd_core::discovery::eprocess::pair_p;
use backtestd_core::discovery::multiplicity::{bh_reject, weigh};
use backtestd_core::discovery::special::normal_isf;
use backtestd_core::discovery::{
    Accounting, ByUnit, Candidate, Catalogue, DirectionRule, Discovery, DiscoveryConfig, EvidenceBook,
    LeastCounts, candidate_id, conclude_book, twin,
};
use backtestd_core::market::{Draws, derive};
use backtestd_core::spec::gates::{
    CatalogueKind, EvidenceKind, FamiliesFile, GatesSpec, NullKind, Procedure,
};

/// What every run of a study shares.
#[derive(Clone, Debug)]
pub struct Study {
    pub(super) lab: Lab,
    pub(super) names: Names,
    pub(super) catalogue: Catalogue,
    pub(super) config: DiscoveryConfig,
    /// By candidate id.
    units: BTreeMap<String, usize>,
    /// How the units are accounted for.
    accounting: Accounting,
}

/// A hypothesis on the day of its first publication.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Number of the unit in the catalogue.
    pub unit: usize,
    /// Day of the study, from 0.
    pub day: usize,
    /// Whether the rule follows the event.
    pub follow: bool,
    /// Holding time in bars.
    pub horizon_bars: u32,
    /// Events and active days by then.
    pub n: (f64, usize),
    /// Expected return on its side over the events so far, bps.
    pub truth_bps: f64,
    /// Observed mean, bps.
    pub raw_bps: f64,
    /// Published estimate: posterior mean, bps.
    pub claim_bps: Option<f64>,
    /// Whether it passed every gate on that day, too.
    pub passed_gates: bool,
    /// Observed mean after that day, bps.
    pub later_bps: Option<f64>,
    /// What the monitor made of it.
    pub watched: Watched,
}

/// A hypothesis that is true, at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrueUnit {
    /// Expected return, bps, absolute.
    pub mu_bps: f64,
    /// `|mu| sqrt(n) / sd`.
    pub strength: f64,
    /// Number of events.
    pub n: f64,
    /// Number of active days.
    pub days: usize,
    /// Holding time in bars.
    pub horizon_bars: u32,
    /// Pooled and without a condition: the tier that the budget prefers.
    pub is_wide: bool,
    /// Published on its own side.
    pub found: bool,
}

/// What came of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// The kind of world.
    pub kind: WorldKind,
    /// Outcomes in it.
    pub rows: usize,
    /// Errors of every decider.
    pub errors: BTreeMap<Decider, Errors>,
    /// No published hypothesis was ever taken back by multiplicity.
    pub nested: bool,
    /// The daily look and the full conclusion chose the same hypotheses, whenever both were made.
    pub agrees: bool,
    /// Publications in order.
    pub publications: Vec<Publication>,
    /// Hypotheses that are true at the end.
    pub truths: Vec<TrueUnit>,
    /// What every multiplicity procedure finds on the last evening, those that publish nothing too.
    pub procedures: BTreeMap<&'static str, usize>,
    /// One-sided anytime p of null hypotheses: how many, and how many at or below each acceptance level.
    pub p_any: (usize, Vec<usize>),
}

impl Study {
    /// Prepares a study: production's gates, tested against costs, over a catalogue that is closed for ever.
    ///
    /// # Errors
    /// When the lab cannot be used.
    pub fn new(lab: Lab, mut gates: GatesSpec, families: FamiliesFile) -> Result<Self, WorldError> {
        gates.evidence.publish_on = EvidenceKind::PAny;
        gates.evidence.hypothesis = NullKind::Net;
        gates.evidence.lower_bound_units = 0;
        gates.multiplicity.publish_with = Procedure::Global;
        gates.multiplicity.catalogue = CatalogueKind::Closed;
        let names = Names::new(&lab)?;
        let catalogue = names.catalogue(&families);
        let units = unit_numbers(&catalogue);
        let accounting = Accounting::alone(&catalogue, &gates.multiplicity);
        let config = DiscoveryConfig {
            gates,
            families,
            catalogue: None,
            closed_through: None,
            entry_lag_bars: catalogue.entry_lag_bars,
            spec_hash: "lab".into(),
            excluded: Vec::new(),
            lacking: Vec::new(),
        };
        Ok(Self { lab, names, catalogue, config, units, accounting })
    }

    /// The conditions of the experiment, as `lab.yaml` states them.
    #[must_use]
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The error level of discovery.
    #[must_use]
    pub const fn q(&self) -> f64 {
        self.config.gates.gate_v1_phase2.base.max_q_value
    }

    /// Simulates a world and lives through it. The same seed gives the same result.
    ///
    /// # Errors
    /// Never for a lab that a study was made of.
    pub fn run(&self, seed: u64, kind: WorldKind) -> Result<RunResult, WorldError> {
        let world = simulate(seed, kind, &self.lab, &self.names)?;
        Ok(self.live(seed, kind, &world))
    }

    fn live(&self, seed: u64, kind: WorldKind, world: &World) -> RunResult {
        let mut book = self.config.open_book(&self.catalogue);
        let mut ledger = Ledger::new(&world.table, &self.catalogue);
        let units = self.catalogue.units;
        let mut draws = Draws::numbered(derive(seed, "random look"), 0);
        let random_day = (draws.uniform() * world.days as f64) as i64;
        let mut production = Tracker::new(units, random_day);
        let mut canaries = (world.cost_bps == 0.0).then(|| Canaries::new(self, random_day));
        let mut publications: Vec<Publication> = Vec::new();
        let (mut touched, mut agrees) = (Vec::new(), true);
        let places: Vec<(usize, usize)> = places(&self.catalogue);
        let mut p_any = vec![(1.0, true); units];
        let mut begun: ByUnit<Option<i64>> =
            (0..self.catalogue.blocks.len()).map(|b| vec![None; self.catalogue.block_units(b)]).collect();
        let mut shares = vec![0.0; units];
        let least: Vec<LeastCounts> = self
            .catalogue
            .places()
            .map(|p| LeastCounts::of(&self.catalogue, &self.config.gates, p))
            .collect();

        for day in 0..world.days as i64 {
            let date = FIRST_DAY + day;
            book.advance(&world.table, &self.catalogue, date);
            touched.clear();
            ledger.advance(&world.table, &world.truth, date, &mut touched);
            touched.sort_unstable();
            touched.dedup();
            let mut is_new = false;
            for unit in self.with_conditions(&touched, &places) {
                let (block, local) = places[unit];
                if self.takes_part(&book, places[unit], least[unit]) {
                    p_any[unit] = p_any_of(&book, places[unit]);
                    is_new |= begun[block][local].is_none();
                    begun[block][local].get_or_insert(date);
                }
            }
            if is_new {
                shares = self.accounting.shares(&begun).concat();
            }
            let rejected = self.reject(&p_any, &shares, &ledger);
            let new = production.look(day, &rejected);
            if !new.is_empty() {
                let conclusion = self.conclude(&book, &rejected, &mut agrees);
                publications
                    .extend(new.into_iter().map(|r| self.publication(day as usize, r, &ledger, &conclusion)));
            }
            if let Some(canaries) = &mut canaries {
                canaries.look(self, day, &touched, &places, &book, &ledger);
            }
        }

        for publication in &mut publications {
            let (block, local) = places[publication.unit];
            let monitoring = &self.config.gates.monitoring;
            watch(publication, &book.days(block, local), world, block, monitoring, book.params());
        }
        let mut errors = BTreeMap::from([(Decider::Production, production.errors())]);
        if let Some(canaries) = canaries {
            errors.insert(Decider::IidT, canaries.iid.errors());
            errors.insert(Decider::DailyCr2, canaries.cr2.errors());
        }
        RunResult {
            kind,
            rows: world.table.len(),
            errors,
            nested: production.nested,
            agrees,
            truths: self.truths(&places, &book, &ledger, &production),
            p_any: self.tail(&places, &book, &ledger),
            procedures: self.conclusion(&book).summary.discoveries_by_procedure,
            publications,
        }
    }

    /// The units that changed, and those with a condition on what changed: they may have been the same
    /// series.
    fn with_conditions(&self, touched: &[usize], places: &[(usize, usize)]) -> BTreeSet<usize> {
        let of_unit = |&unit: &usize| {
            let (block, local) = places[unit];
            let stride = 1 + self.catalogue.blocks[block].conditions.len();
            unit..unit + if local % stride == 0 { stride } else { 1 }
        };
        touched.iter().flat_map(of_unit).collect()
    }

    /// Whether a unit's trial has begun, as production decides it.
    fn takes_part(&self, book: &EvidenceBook, (block, local): (usize, usize), least: LeastCounts) -> bool {
        let evidence = book.unit(block, local);
        let events =
            |scope, condition| book.unit(block, self.catalogue.local(block, scope, condition)).events();
        least.admit(evidence.events(), evidence.days())
            && twin(&self.catalogue, self.catalogue.place(block, local), &events).is_none()
    }

    /// Weighted BH over the closed catalogue, on the anytime p of every pair. A p above q can never be
    /// rejected.
    fn reject(&self, p_any: &[(f64, bool)], shares: &[f64], ledger: &Ledger) -> Vec<Rejected> {
        let q = self.q();
        let small: Vec<usize> = (0..p_any.len()).filter(|u| p_any[*u].0 <= q).collect();
        let of = |of: &dyn Fn(usize) -> f64| small.iter().map(|u| of(*u)).collect::<Vec<f64>>();
        let (_, chosen) = bh_reject(&weigh(&of(&|u| p_any[u].0), &of(&|u| shares[u])), 1, q);
        small
            .into_iter()
            .zip(chosen)
            .filter(|(_, chosen)| *chosen)
            .map(|(unit, _)| rejected(unit, p_any[unit].1, ledger))
            .collect()
    }

    fn conclusion(&self, book: &EvidenceBook) -> Discovery {
        conclude_book(&self.catalogue, book, &self.config)
    }

    /// The whole of production's conclusions, by unit; the daily look must have chosen the same.
    fn conclude(
        &self,
        book: &EvidenceBook,
        rejected: &[Rejected],
        agrees: &mut bool,
    ) -> BTreeMap<usize, Candidate> {
        let conclusion = self.conclusion(book);
        let by_unit: BTreeMap<usize, Candidate> = conclusion
            .candidates
            .into_iter()
            .filter_map(|c| Some((*self.units.get(&c.measured.candidate_id)?, c)))
            .collect();
        let theirs = by_unit
            .iter()
            .filter(|(_, c)| c.judgement.is_discovery)
            .map(|(unit, c)| (*unit, c.measured.direction_rule == DirectionRule::Follow));
        *agrees &= theirs.eq(rejected.iter().map(|r| (r.unit, r.follow)));
        by_unit
    }

    fn publication(
        &self,
        day: usize,
        new: Rejected,
        ledger: &Ledger,
        conclusion: &BTreeMap<usize, Candidate>,
    ) -> Publication {
        let sums = ledger.unit(new.unit);
        let side = if new.follow { BPS } else { -BPS };
        let candidate = conclusion.get(&new.unit);
        Publication {
            unit: new.unit,
            day,
            follow: new.follow,
            horizon_bars: candidate.map_or(0, |c| c.measured.horizon.bars),
            n: (sums.n, candidate.map_or(0, |c| c.measured.n_clusters as usize)),
            truth_bps: side * sums.truth(),
            raw_bps: candidate.and_then(|c| c.measured.effect_raw_bps).unwrap_or(f64::NAN),
            claim_bps: candidate.and_then(Candidate::claim_gross_bps),
            passed_gates: candidate.is_some_and(|c| c.judgement.gate_phase2_final),
            later_bps: None,
            watched: Watched::default(),
        }
    }

    fn truths(
        &self,
        places: &[(usize, usize)],
        book: &EvidenceBook,
        ledger: &Ledger,
        production: &Tracker,
    ) -> Vec<TrueUnit> {
        places
            .iter()
            .enumerate()
            .filter_map(|(unit, &(block, local))| {
                let sums = ledger.unit(unit);
                let mu = sums.truth();
                (mu != 0.0 && sums.n >= 2.0).then(|| TrueUnit {
                    mu_bps: BPS * mu.abs(),
                    strength: mu.abs() * sums.n.sqrt() / sums.sd(),
                    n: sums.n,
                    days: book.days(block, local).len(),
                    horizon_bars: self.catalogue.blocks[block].horizon.bars,
                    is_wide: local == self.catalogue.local(block, self.catalogue.symbols.len(), 0),
                    found: production.published(unit, mu > 0.0),
                })
            })
            .collect()
    }

    fn tail(&self, places: &[(usize, usize)], book: &EvidenceBook, ledger: &Ledger) -> (usize, Vec<usize>) {
        let levels = &self.lab.acceptance.p_any_levels;
        let mut below = vec![0; levels.len()];
        let mut all = 0;
        for (unit, &(block, local)) in places.iter().enumerate() {
            let sums = ledger.unit(unit);
            if sums.n == 0.0 || sums.truth() != 0.0 {
                continue;
            }
            let evidence = book.unit(block, local);
            for p in DirectionRule::BOTH.map(|side| evidence.net(side).p_any()) {
                all += 1;
                below.iter_mut().zip(levels).for_each(|(n, level)| *n += usize::from(p <= *level));
            }
        }
        (all, below)
    }
}

/// The anytime p of a pair, and whether the follow side is the likelier one.
fn p_any_of(book: &EvidenceBook, (block, local): (usize, usize)) -> (f64, bool) {
    let evidence = book.unit(block, local);
    let [follow, fade] = DirectionRule::BOTH.map(|side| evidence.net(side).p_any());
    (pair_p(follow, fade), follow < fade)
}

fn rejected(unit: usize, follow: bool, ledger: &Ledger) -> Rejected {
    let truth = ledger.unit(unit).truth();
    Rejected { unit, follow, is_false: if follow { truth <= 0.0 } else { truth >= 0.0 } }
}

/// Block and position in it, by unit.
fn places(catalogue: &Catalogue) -> Vec<(usize, usize)> {
    (0..catalogue.blocks.len())
        .flat_map(|block| (0..catalogue.block_units(block)).map(move |local| (block, local)))
        .collect()
}

fn unit_numbers(catalogue: &Catalogue) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for (unit, (block, local)) in places(catalogue).into_iter().enumerate() {
        let stride = 1 + catalogue.blocks[block].conditions.len();
        let place =
            backtestd_core::discovery::UnitPlace { block, scope: local / stride, condition: local % stride };
        let b = &catalogue.blocks[block];
        let state = catalogue.condition(place).map_or("", |c| c.condition.id.as_ref());
        let id = candidate_id(
            &b.event_type,
            &b.horizon.label,
            state,
            catalogue.scope(place).label(),
            catalogue.entry_lag_bars,
        );
        out.insert(id, unit);
    }
    out
}

/// The alternatives that must be seen to fail.
struct Canaries {
    iid: Tracker,
    cr2: Tracker,
    iid_p: Vec<(f64, bool)>,
    cr2_p: Vec<(f64, bool)>,
    /// The days so far, by unit.
    days: Vec<Vec<ClusterSum>>,
    limits: ClusterLimits,
    least_t: f64,
}

impl Canaries {
    fn new(study: &Study, random_day: i64) -> Self {
        let evidence = &study.config.gates.evidence;
        let units = study.catalogue.units;
        Self {
            iid: Tracker::new(units, random_day),
            cr2: Tracker::new(units, random_day),
            iid_p: vec![(1.0, true); units],
            cr2_p: vec![(1.0, true); units],
            days: vec![Vec::new(); units],
            limits: ClusterLimits {
                clusters: evidence.cr2_min_clusters as usize,
                n: f64::from(evidence.cr2_min_events),
                df: evidence.cr2_min_df,
            },
            // A t below the normal quantile of q has a p above q.
            least_t: normal_isf(0.5 * study.q()),
        }
    }

    fn look(
        &mut self,
        study: &Study,
        day: i64,
        touched: &[usize],
        places: &[(usize, usize)],
        book: &EvidenceBook,
        ledger: &Ledger,
    ) {
        for &unit in touched {
            let (block, local) = places[unit];
            let days = &mut self.days[unit];
            let today = book.days_after(block, local, FIRST_DAY + day - 1);
            days.extend(today.iter().map(|d| ClusterSum { n: f64::from(d.n), sum: d.sum }));
            let t = ClusterT::from_sums(days.iter().copied()).filter(|t| t.is_defined(&self.limits));
            let follow = days.iter().map(|d| d.sum).sum::<f64>() > 0.0;
            let clustered = t.filter(|t| t.t_cr2().abs() >= self.least_t).map_or(1.0, |t| t.p2_cr2());
            self.cr2_p[unit] = (clustered, follow);
            self.iid_p[unit] = (ledger.unit(unit).iid_p(self.least_t), follow);
        }
        let even = vec![1.0 / study.catalogue.units as f64; study.catalogue.units];
        self.iid.look(day, &study.reject(&self.iid_p, &even, ledger));
        self.cr2.look(day, &study.reject(&self.cr2_p, &even, ledger));
    }
}
