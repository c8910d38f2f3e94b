//! What a run came to: for the terminal, `--json` and the report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::BarCount;
use super::placebo::Placebo;
use crate::market::Symbol;
use crate::pipeline::EventQuality;

/// Wall time of a stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageTime {
    /// Stage.
    pub stage: &'static str,
    /// Wall time.
    pub ms: u64,
}

/// Detections of one event type over all symbols.
#[derive(Clone, Debug, Serialize)]
pub struct EventCount {
    /// Canonical family.
    pub family: String,
    /// Event type.
    pub event_type: String,
    /// Detections.
    pub events: u64,
    /// Per 10 000 known rows.
    pub per_10k: Option<f64>,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// Name.
    pub run_id: String,
    /// Specs.
    pub ontology_spec_hash: String,
    /// Program.
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
    /// Event types outside their declared range, join rate or clustering (pooled and per symbol).
    pub event_findings: Vec<String>,
    /// Event types that cannot occur on a symbol, with the missing column.
    pub unavailable: Vec<String>,
    /// Matured outcomes with a known return.
    pub outcomes: u64,
    /// Matured outcomes whose entry or exit was a gap.
    pub outcomes_unknown: u64,
    /// Outcomes that were still open at the end.
    pub outcomes_open: u64,
    /// Hypotheses tested (two-sided pairs).
    pub hypotheses: u64,
    /// Discoveries of the publishing procedure.
    pub discoveries: u64,
    /// Candidates that passed every gate of discovery.
    pub passed_gates: u64,
    /// Blueprints compiled.
    pub blueprints: u64,
    /// Why there are none, or what else a reader should know.
    pub reasons: Vec<String>,
    /// Version published, if any.
    pub version: Option<String>,
    /// The run's placebo, if it was asked for.
    pub placebo: Option<Placebo>,
    /// Where the run is.
    pub run_dir: PathBuf,
    /// The report.
    pub report: PathBuf,
    /// Wall times.
    pub stages: Vec<StageTime>,
    /// Largest resident set of this process so far, MiB (Linux).
    pub peak_memory_mib: Option<u64>,
}

impl RunSummary {
    /// The text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let bars: u64 = self.bars.values().map(|b| b.bars).sum();
        let gaps: u64 = self.bars.values().map(|b| b.gaps).sum();
        let names: Vec<&str> = self.bars.keys().map(Symbol::as_str).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "run          {}", self.run_id);
        let _ = writeln!(out, "specs        {}", self.ontology_spec_hash);
        let _ = writeln!(out, "range        {} to {}", self.start, self.end);
        let _ = writeln!(out, "bars         {bars} of {} ({gaps} gaps)", names.join(", "));
        let _ = writeln!(out, "events       {}", self.events);
        let mut families: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
        for event in &self.events_by_type {
            let family = families.entry(&event.family).or_default();
            family.0 += event.events;
            family.1 += usize::from(event.events > 0);
        }
        for (family, (events, types)) in families {
            let _ = writeln!(out, "  {family:<26} {events:>8}  of {types} types");
        }
        for finding in &self.event_findings {
            let _ = writeln!(out, "  out of bounds: {finding}");
        }
        if !self.unavailable.is_empty() {
            let _ =
                writeln!(out, "unavailable  {} event types, for lack of a source:", self.unavailable.len());
            for line in &self.unavailable {
                let _ = writeln!(out, "  {line}");
            }
        }
        let _ = writeln!(
            out,
            "outcomes     {} booked, {} unknown (gap at entry or exit), {} still open",
            self.outcomes, self.outcomes_unknown, self.outcomes_open
        );
        let _ = writeln!(out, "hypotheses   {}", self.hypotheses);
        let _ = writeln!(out, "discoveries  {}", self.discoveries);
        let _ = writeln!(out, "passed       {} every gate", self.passed_gates);
        let _ = writeln!(out, "blueprints   {}", self.blueprints);
        for reason in &self.reasons {
            let _ = writeln!(out, "  {reason}");
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
        if let Some(mib) = self.peak_memory_mib {
            let _ = writeln!(out, "peak memory  {mib} MiB");
        }
        let _ = writeln!(out, "report       {}", self.report.display());
        out
    }
}

/// Pooled findings and unavailable events, one line each.
pub(super) fn quality_lines(quality: &[EventQuality]) -> (Vec<String>, Vec<String>) {
    let mut findings = Vec::new();
    let mut lacking: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for q in quality {
        if q.symbol == "ALL" {
            continue;
        }
        if let Some(column) = &q.unavailable {
            lacking.entry((&q.event_type, column)).or_default().push(&q.symbol);
        } else {
            findings.extend(q.findings.iter().map(|f| format!("{} on {}: {f}", q.event_type, q.symbol)));
        }
    }
    let unavailable = lacking
        .into_iter()
        .map(|((event, column), symbols)| {
            format!("{event} needs '{column}' (absent for {})", symbols.join(", "))
        })
        .collect();
    (findings, unavailable)
}

/// `VmHWM` of this process.
pub(super) fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
