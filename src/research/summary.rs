//! What a run came to: for the terminal, `--json` and the report.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::BarCount;
use backtestd_core::conclude::{MeasureCount, Placebo, statistic_words};

use backtestd_core::market::Symbol;
use backtestd_core::pipeline::{EventQuality, POOLED, PartialSource, QualityReport};

/// Wall time of a stage, and where its result came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageTime {
    /// Name of the stage.
    pub stage: String,
    /// Wall time of the stage, ms.
    pub ms: u64,
    /// Whether an earlier run's result was taken.
    pub is_cached: bool,
    /// Why it was computed, or which run it was taken from.
    pub why: String,
}

impl StageTime {
    /// How its result came about, in a word or two.
    #[must_use]
    pub fn how(&self) -> &'static str {
        match (self.is_cached, self.stage.as_str()) {
            (true, _) => "from cache",
            (false, "bars") => "read",
            (false, _) => "computed",
        }
    }
}

/// Detections of one event type over all symbols.
#[derive(Clone, Debug, Serialize)]
pub struct EventCount {
    /// Canonical family of the event type.
    pub family: String,
    /// Event type that was counted.
    pub event_type: String,
    /// Detections; null where no symbol has the sources.
    pub events: Option<u64>,
    /// Per 10 000 known rows.
    pub per_10k: Option<f64>,
}

/// An event type that fails `gate_e1` on a symbol.
#[derive(Clone, Debug, Serialize)]
pub struct EventFinding {
    /// Event type that fails `gate_e1`.
    pub event_type: String,
    /// Symbol on which it fails.
    pub symbol: String,
    /// What is out of bounds, in words.
    pub finding: String,
    /// Whether its hypotheses are left out of discovery.
    pub excluded: bool,
}

/// An event type that cannot occur.
#[derive(Clone, Debug, Serialize)]
pub struct UnavailableEvent {
    /// Event type that cannot occur.
    pub event_type: String,
    /// First source column that is missing or never known.
    pub missing: String,
    /// On these symbols.
    pub symbols: Vec<String>,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// Id of the run.
    pub run_id: String,
    /// Hash of the specs that the run was made under.
    pub ontology_spec_hash: String,
    /// Version and commit of the program.
    pub code_version: String,
    /// First bar of the range, open time.
    pub start: String,
    /// End of the range (exclusive) = data watermark.
    pub end: String,
    /// Start of the history that warmed it up.
    pub history_from: String,
    /// Bars and gaps per symbol.
    pub bars: BTreeMap<Symbol, BarCount>,
    /// Detections in the range.
    pub events: u64,
    /// By event type.
    pub events_by_type: Vec<EventCount>,
    /// Event types that fail `gate_e1` on a symbol, with the number, and whether they are left out of
    /// discovery for it.
    pub event_findings: Vec<EventFinding>,
    /// Event types that cannot occur on a symbol, with the first missing column.
    pub unavailable: Vec<UnavailableEvent>,
    /// Source columns that some days of the range lack, and the event types that cannot occur there.
    pub partial_sources: Vec<PartialSource>,
    /// Matured outcomes with a known return.
    pub outcomes: u64,
    /// Matured outcomes whose entry or exit was a gap.
    pub outcomes_unknown: u64,
    /// Outcomes that were still open at the end.
    pub outcomes_open: u64,
    /// Hypotheses tested (two-sided pairs).
    pub hypotheses: u64,
    /// Trials of the store's ledger: every hypothesis ever looked at.
    pub trials: u64,
    /// Cohorts they came in.
    pub cohorts: u64,
    /// Discoveries of the publishing procedure.
    pub discoveries: u64,
    /// Candidates that passed every gate of discovery.
    pub passed_gates: u64,
    /// Number of blueprints compiled.
    pub blueprints: u64,
    /// Why there are none, or what else a reader should know.
    pub reasons: Vec<String>,
    /// Version published, if any.
    pub version: Option<String>,
    /// The run's placebo, if it was asked for.
    pub placebo: Option<Placebo>,
    /// Tests beside discovery, of what no single leg can trade.
    pub measures: Vec<MeasureCount>,
    /// Where the run is.
    pub run_dir: PathBuf,
    /// Path of the HTML report.
    pub report: PathBuf,
    /// Whether stages could be taken from the cache.
    pub uses_cache: bool,
    /// Wall time of each stage, in order.
    pub stages: Vec<StageTime>,
    /// Largest resident set of this process so far, MiB (Linux).
    pub peak_memory_mib: Option<u64>,
}

impl RunSummary {
    /// The text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "run          {}", self.run_id);
        let _ = writeln!(out, "specs        {}", self.ontology_spec_hash);
        out.push_str(&self.pipeline_text());
        let _ = writeln!(
            out,
            "hypotheses   {} ({} trials ever, {} cohorts)",
            self.hypotheses, self.trials, self.cohorts
        );
        let _ = writeln!(out, "discoveries  {}", self.discoveries);
        let _ = writeln!(out, "passed       {} every gate", self.passed_gates);
        let _ = writeln!(out, "blueprints   {}", self.blueprints);
        for reason in &self.reasons {
            let _ = writeln!(out, "  {reason}");
        }
        for m in self.measures.iter().filter(|m| m.trials > 0) {
            let _ = writeln!(
                out,
                "beside       {} tests of {} ({} trials ever), {} found; never published",
                m.tested,
                statistic_words(m.statistic),
                m.trials,
                m.found
            );
        }
        if let Some(placebo) = &self.placebo {
            out.push_str(&placebo.text());
        }
        if let Some(version) = &self.version {
            let _ = writeln!(out, "version      {version}");
        }
        let total: u64 = self.stages.iter().map(|s| s.ms).sum();
        let stages: Vec<String> =
            self.stages.iter().map(|s| format!("{} {:.2}", s.stage, s.ms as f64 / 1000.0)).collect();
        let _ = writeln!(out, "wall time    {:.2} s ({})", total as f64 / 1000.0, stages.join(", "));
        if self.uses_cache {
            for stage in &self.stages {
                let seconds = stage.ms as f64 / 1000.0;
                let _ = writeln!(
                    out,
                    "  {:<10} {:<10} {seconds:>7.2} s  {}",
                    stage.stage,
                    stage.how(),
                    stage.why
                );
            }
        }
        if let Some(mib) = self.peak_memory_mib {
            let _ = writeln!(out, "peak memory  {mib} MiB");
        }
        let _ = writeln!(out, "report       {}", self.report.display());
        out
    }
}

impl RunSummary {
    /// Range, bars, events, what is unfit or unavailable, outcomes.
    pub(super) fn pipeline_text(&self) -> String {
        let mut out = String::new();
        let bars: u64 = self.bars.values().map(|b| b.bars).sum();
        let gaps: u64 = self.bars.values().map(|b| b.gaps).sum();
        let names: Vec<&str> = self.bars.keys().map(Symbol::as_str).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "range        {} to {}", self.start, self.end);
        let _ = writeln!(out, "bars         {bars} of {} ({gaps} gaps)", names.join(", "));
        let held: u64 = self.bars.values().map(|b| b.quarantined).sum();
        if held > 0 {
            let _ =
                writeln!(out, "quarantined  {held} records that cannot be true (backtestd quarantine list)");
        }
        let _ = writeln!(out, "events       {}", self.events);
        let mut families: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for event in &self.events_by_type {
            let [events, seen, all, lacking] = families.entry(&event.family).or_default();
            *events += event.events.unwrap_or(0);
            *seen += u64::from(event.events.is_some_and(|n| n > 0));
            *all += 1;
            *lacking += u64::from(event.events.is_none());
        }
        for (family, [events, seen, all, lacking]) in families {
            let lacking = if lacking > 0 { format!(", {lacking} unavailable") } else { String::new() };
            let _ = writeln!(out, "  {family:<26} {events:>8}  {seen} of {all} types occurred{lacking}");
        }
        self.quality_text(&mut out);
        let _ = writeln!(
            out,
            "outcomes     {} booked, {} unknown (gap at entry or exit), {} still open",
            self.outcomes, self.outcomes_unknown, self.outcomes_open
        );
        out
    }

    fn quality_text(&self, out: &mut String) {
        // Writing to a String cannot fail.
        if !self.event_findings.is_empty() {
            let excluded = self.event_findings.iter().any(|f| f.excluded);
            let _ = writeln!(
                out,
                "unfit        {} findings of gate_e1{}:",
                self.event_findings.len(),
                if excluded { ", left out of discovery on these symbols" } else { "" }
            );
            for f in &self.event_findings {
                let _ = writeln!(out, "  {:<28} {:<12} {}", f.event_type, f.symbol, f.finding);
            }
        }
        if !self.unavailable.is_empty() {
            let types: BTreeSet<&str> = self.unavailable.iter().map(|u| u.event_type.as_str()).collect();
            let _ = writeln!(out, "unavailable  {} event types, for lack of a source:", types.len());
            let mut groups: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
            for u in &self.unavailable {
                groups.entry((&u.missing, u.symbols.join(", "))).or_default().push(&u.event_type);
            }
            for ((column, symbols), events) in groups {
                let _ = writeln!(out, "  no {column} for {symbols}:");
                wrap(out, &events);
            }
        }
        if !self.partial_sources.is_empty() {
            let _ = writeln!(out, "in part      {} sources lack whole days:", self.partial_sources.len());
            let mut alike: Vec<(&PartialSource, Vec<&str>)> = Vec::new();
            for p in &self.partial_sources {
                let same = |q: &PartialSource| PartialSource { symbol: p.symbol.clone(), ..q.clone() } == *p;
                match alike.iter_mut().find(|(q, _)| same(q)) {
                    Some((_, symbols)) => symbols.push(&p.symbol),
                    None => alike.push((p, vec![&p.symbol])),
                }
            }
            for (p, symbols) in alike {
                let ends = p.known_from.as_deref().zip(p.known_through.as_deref());
                let (from, through) = ends.unwrap_or(("never", "never"));
                let _ = writeln!(
                    out,
                    "  {} of {}: known from {from} to {through}, {} of {} days without; not there:",
                    p.column,
                    symbols.join(", "),
                    p.days_without,
                    p.days
                );
                wrap(out, &p.events.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
}

/// What a statistic is, for people.
/// Names, some to a line.
fn wrap(out: &mut String, names: &[&str]) {
    const WIDTH: usize = 110;
    let mut line = String::from("   ");
    for (at, name) in names.iter().enumerate() {
        if line.len() + name.len() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = String::from("   ");
        }
        let comma = if at + 1 < names.len() { "," } else { "" };
        let _ = write!(line, " {name}{comma}");
    }
    let _ = writeln!(out, "{line}");
}

/// Failing event types per symbol; unavailable ones, grouped by the missing column.
pub(super) fn quality_lines(quality: &QualityReport) -> (Vec<EventFinding>, Vec<UnavailableEvent>) {
    let mut lacking: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    let of_symbols = || quality.events.iter().filter(|q| q.symbol != POOLED);
    for q in of_symbols() {
        if let Some(column) = &q.unavailable {
            lacking.entry((column, &q.event_type)).or_default().push(q.symbol.clone());
        }
    }
    let finding = |q: &EventQuality, what: String| EventFinding {
        event_type: q.event_type.clone(),
        symbol: q.symbol.clone(),
        finding: what,
        excluded: q.excluded,
    };
    let findings = of_symbols().flat_map(|q| q.findings.iter().map(|f| finding(q, f.to_string()))).collect();
    let unavailable = lacking
        .into_iter()
        .map(|((column, event), symbols)| UnavailableEvent {
            event_type: event.to_owned(),
            missing: column.to_owned(),
            symbols,
        })
        .collect();
    (findings, unavailable)
}

/// Largest resident set of this process so far, MiB (Linux).
#[must_use]
pub fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
