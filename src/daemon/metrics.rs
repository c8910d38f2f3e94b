//! `GET /metrics`: the catalogue, the counters that only live here, and the Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::stages::{BOUNDS_S, Stage, Stages};
use super::status::{ArchiveStatus, OpinionStatus, Phase, Status};
use backtestd_binance::WsStats;

/// Prometheus metric kinds in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A counter: its value only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts of durations by upper bound, their number and sum.
    Histogram,
}

/// Every metric: name, kind, meaning. Labels are named in the meaning.
pub const CATALOGUE: &[(&str, MetricKind, &str)] = &[
    ("backtestd_up", MetricKind::Gauge, "1, with label version"),
    ("backtestd_phase", MetricKind::Gauge, "1 for the current phase, 0 for the others; label phase"),
    ("backtestd_uptime_seconds", MetricKind::Gauge, "Wall seconds since the start"),
    (
        "backtestd_clock_offset_seconds",
        MetricKind::Gauge,
        "Clock of this machine minus the exchange's; not against a simulated exchange (label-free, may be absent)",
    ),
    (
        "backtestd_committed_tick_age_seconds",
        MetricKind::Gauge,
        "Clock minus close of the last committed tick (label-free, absent before the first)",
    ),
    (
        "backtestd_series_lag_seconds",
        MetricKind::Gauge,
        "Clock minus close of the newest stored bar; labels symbol, market",
    ),
    ("backtestd_series_gaps_open", MetricKind::Gauge, "Missing bars still asked for; labels symbol, market"),
    (
        "backtestd_series_unconfirmed",
        MetricKind::Gauge,
        "Bars that REST has not confirmed yet; labels symbol, market",
    ),
    ("backtestd_source_missing", MetricKind::Gauge, "Records missing and asked for; label source"),
    ("backtestd_source_unconfirmed", MetricKind::Gauge, "Records told by a stream only; label source"),
    ("backtestd_source_holes", MetricKind::Gauge, "Places where the exchange has nothing; label source"),
    (
        "backtestd_stream_connected",
        MetricKind::Gauge,
        "1 if the websocket is subscribed and alive; label stream",
    ),
    ("backtestd_stream_reconnects_total", MetricKind::Counter, "Connections after the first; label stream"),
    ("backtestd_unconfirmed_bars", MetricKind::Gauge, "Bars of all series that REST has not confirmed yet"),
    (
        "backtestd_frames_refused_total",
        MetricKind::Counter,
        "Frames put aside: unreadable, or not to be believed",
    ),
    ("backtestd_ws_frames_total", MetricKind::Counter, "Websocket messages received"),
    ("backtestd_ws_updates_total", MetricKind::Counter, "Updates handed over by the sockets"),
    ("backtestd_ws_unreadable_total", MetricKind::Counter, "Payloads that could not be read"),
    ("backtestd_ws_doubted_total", MetricKind::Counter, "Updates that were read and cannot be true"),
    (
        "backtestd_ws_ignored_total",
        MetricKind::Counter,
        "Payloads ignored on purpose: COIN-M, unknown events",
    ),
    (
        "backtestd_ws_merged_quotes_total",
        MetricKind::Counter,
        "Quotes replaced by newer ones in a full queue",
    ),
    ("backtestd_ws_handovers_total", MetricKind::Counter, "Sockets replaced while the old one still worked"),
    ("backtestd_ws_silences_total", MetricKind::Counter, "Stream kinds found silent"),
    ("backtestd_ticks_total", MetricKind::Counter, "Ticks closed live since the start"),
    ("backtestd_ticks_with_gaps_total", MetricKind::Counter, "Of these, closed with a gap"),
    ("backtestd_late_bars_total", MetricKind::Counter, "Bars that came after their tick had closed"),
    ("backtestd_rewinds_total", MetricKind::Counter, "Rewinds to an earlier checkpoint"),
    (
        "backtestd_bars_reconciled_total",
        MetricKind::Counter,
        "Closed bars compared between websocket and REST",
    ),
    ("backtestd_bars_matched_total", MetricKind::Counter, "Of these, equal in every column"),
    (
        "backtestd_archive_files_total",
        MetricKind::Counter,
        "Daily files of the public archive that were asked for; label result: compared, absent, unreadable, unreachable",
    ),
    ("backtestd_archive_corrected_total", MetricKind::Counter, "Records that they corrected"),
    ("backtestd_archive_filled_total", MetricKind::Counter, "Records that they filled in"),
    (
        "backtestd_agg_trade_bars_total",
        MetricKind::Counter,
        "Bars built from aggregated trades (collect = agg_trades); label result: matched, differs, incomplete",
    ),
    ("backtestd_rest_requests_total", MetricKind::Counter, "REST requests sent"),
    ("backtestd_rest_failures_total", MetricKind::Counter, "REST requests without a good answer"),
    (
        "backtestd_rest_stops_total",
        MetricKind::Counter,
        "Answers that told this address to stop (429, 418, 403)",
    ),
    (
        "backtestd_rest_weight",
        MetricKind::Gauge,
        "Request weight of the futures host in this minute, as last told",
    ),
    ("backtestd_rest_state", MetricKind::Gauge, "1 for how REST answers now, 0 for the others; label state"),
    (
        "backtestd_stage_seconds",
        MetricKind::Histogram,
        "Stages from the exchange to a signal; labels stage (wire, close, graph, commit, signal, publish), le",
    ),
    ("backtestd_committed_age_seconds", MetricKind::Gauge, "Clock minus close of the committed tick"),
    ("backtestd_runs_failed_total", MetricKind::Counter, "Discovery runs that failed since the start"),
    ("backtestd_commit_seconds", MetricKind::Gauge, "Duration of the last tick commit"),
    ("backtestd_commit_max_seconds", MetricKind::Gauge, "Longest tick commit since the start"),
    ("backtestd_store_bytes", MetricKind::Gauge, "Bytes of the store on disk"),
    ("backtestd_signal_seq", MetricKind::Gauge, "Sequence number of the newest entry of the signal stream"),
    ("backtestd_signal_readers", MetricKind::Gauge, "Open connections to /v1/signals"),
    ("backtestd_http_requests_total", MetricKind::Counter, "API requests answered"),
    ("backtestd_discovery_running", MetricKind::Gauge, "1 while a run is in progress"),
    ("backtestd_discovery_seconds", MetricKind::Gauge, "Duration of the last run"),
    ("backtestd_hypotheses", MetricKind::Gauge, "Hypotheses of the last run"),
    ("backtestd_discoveries", MetricKind::Gauge, "Discoveries of the last run"),
    ("backtestd_blueprints", MetricKind::Gauge, "Published blueprints; label status"),
    ("backtestd_spec_error", MetricKind::Gauge, "1 if the spec tree on disk is refused"),
];

/// Counters that the status does not carry.
#[derive(Debug, Default)]
pub struct Metrics {
    /// API requests answered.
    pub http_requests: AtomicU64,
    /// Open signal streams.
    pub signal_readers: AtomicU64,
    /// Discovery runs that failed.
    pub failed_runs: AtomicU64,
    /// How long each stage takes.
    pub stages: Stages,
    /// What the sockets count, once there are any.
    pub streams: OnceLock<Arc<WsStats>>,
}

/// A sample: value, and labels already formatted as `name="value",…`.
struct Sample {
    name: &'static str,
    labels: String,
    value: f64,
}

/// The Prometheus text.
#[must_use]
pub fn render(status: &Status, metrics: &Metrics) -> String {
    let samples = samples(status, metrics);
    let mut text = String::new();
    for (name, kind, help) in CATALOGUE {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        if kind == "histogram" {
            histograms(&mut text, name, &metrics.stages);
        }
        for sample in samples.iter().filter(|s| s.name == *name) {
            let labels =
                if sample.labels.is_empty() { String::new() } else { format!("{{{}}}", sample.labels) };
            let _ = writeln!(text, "{name}{labels} {}", sample.value);
        }
    }
    text
}

fn histograms(text: &mut String, name: &str, stages: &Stages) {
    for stage in Stage::ALL {
        let shown = stages.shown(stage);
        let stage = label("stage", stage.name());
        for (bound, count) in BOUNDS_S.iter().zip(shown.up_to) {
            let _ = writeln!(text, "{name}_bucket{{{stage},le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_bucket{{{stage},le=\"+Inf\"}} {}", shown.count);
        let _ =
            writeln!(text, "{name}_sum{{{stage}}} {}\n{name}_count{{{stage}}} {}", shown.sum_s, shown.count);
    }
}

fn samples(status: &Status, metrics: &Metrics) -> Vec<Sample> {
    let mut out = Vec::new();
    let mut put = |name: &'static str, labels: String, value: f64| out.push(Sample { name, labels, value });
    put("backtestd_up", label("version", &status.version), 1.0);
    for phase in [Phase::Starting, Phase::Backfilling, Phase::Live, Phase::Degraded] {
        put("backtestd_phase", label("phase", phase.name()), f64::from(u8::from(phase == status.state)));
    }
    for state in ["ok", "failing", "waiting", "banned"] {
        put("backtestd_rest_state", label("state", state), f64::from(u8::from(state == status.rest.state)));
    }
    put("backtestd_uptime_seconds", String::new(), status.uptime_s as f64);
    if let Some(offset_ms) = status.clock.offset_ms {
        put("backtestd_clock_offset_seconds", String::new(), offset_ms as f64 / 1000.0);
    }
    if let Some(tick) = status.store.committed_tick {
        let age_ms = status.now.0 - tick.bar().close().0;
        put("backtestd_committed_tick_age_seconds", String::new(), age_ms as f64 / 1000.0);
    }
    for s in &status.symbols {
        let labels =
            format!("{},{}", label("symbol", s.symbol.as_str()), label("market", &s.market.to_string()));
        if let Some(lag) = s.lag_ms {
            put("backtestd_series_lag_seconds", labels.clone(), lag as f64 / 1000.0);
        }
        put("backtestd_series_unconfirmed", labels.clone(), s.unconfirmed as f64);
        put("backtestd_series_gaps_open", labels, s.gaps_open as f64);
    }
    for row in &status.gaps {
        let source = label("source", row.source);
        put("backtestd_source_missing", source.clone(), row.missing as f64);
        put("backtestd_source_unconfirmed", source.clone(), row.unconfirmed as f64);
        put("backtestd_source_holes", source, row.holes as f64);
    }
    for s in &status.streams {
        put("backtestd_stream_connected", label("stream", &s.name), f64::from(u8::from(s.connected)));
        put("backtestd_stream_reconnects_total", label("stream", &s.name), s.reconnects as f64);
    }
    let committed = status.store.committed_tick.map(|tick| status.now.0 - tick.bar().close().0);
    let committed_age_s = committed.map_or(f64::NAN, |ms| ms as f64 / 1000.0);
    let live = &status.live;
    count_opinions(live.second_opinion.as_ref(), &mut put);
    let discovery = &status.discovery;
    let plain = [
        ("backtestd_ticks_total", live.ticks as f64),
        ("backtestd_ticks_with_gaps_total", live.ticks_with_gaps as f64),
        ("backtestd_late_bars_total", live.late_bars as f64),
        ("backtestd_rewinds_total", live.rewinds as f64),
        ("backtestd_bars_reconciled_total", live.bars_reconciled as f64),
        ("backtestd_bars_matched_total", live.bars_matched as f64),
        ("backtestd_rest_requests_total", status.rest.requests as f64),
        ("backtestd_rest_failures_total", status.rest.failures as f64),
        ("backtestd_rest_stops_total", status.rest.stops as f64),
        ("backtestd_rest_weight", f64::from(status.rest.weight)),
        ("backtestd_committed_age_seconds", committed_age_s),
        ("backtestd_runs_failed_total", metrics.failed_runs.load(Ordering::Relaxed) as f64),
        ("backtestd_commit_seconds", status.store.last_commit_ms / 1000.0),
        ("backtestd_commit_max_seconds", status.store.max_commit_ms / 1000.0),
        ("backtestd_store_bytes", status.store.bytes as f64),
        ("backtestd_signal_seq", status.last_signal_seq as f64),
        ("backtestd_signal_readers", metrics.signal_readers.load(Ordering::Relaxed) as f64),
        ("backtestd_http_requests_total", metrics.http_requests.load(Ordering::Relaxed) as f64),
        ("backtestd_discovery_running", f64::from(u8::from(discovery.running.is_some()))),
        ("backtestd_discovery_seconds", discovery.last_duration_ms.unwrap_or(0) as f64 / 1000.0),
        ("backtestd_hypotheses", discovery.hypotheses as f64),
        ("backtestd_discoveries", discovery.discoveries as f64),
        ("backtestd_spec_error", f64::from(u8::from(status.spec.error.is_some()))),
    ];
    for (name, value) in plain {
        put(name, String::new(), value);
    }
    put("backtestd_unconfirmed_bars", String::new(), status.unconfirmed_bars as f64);
    count_files(&status.archive, &mut put);
    put("backtestd_frames_refused_total", String::new(), status.refused.frames as f64);
    count_streams(metrics.streams.get().map(AsRef::as_ref), &mut put);
    put("backtestd_blueprints", label("status", "active"), status.blueprints.active as f64);
    put("backtestd_blueprints", label("status", "watch"), status.blueprints.watch as f64);
    out
}

/// What came of the archive's files.
fn count_files(archive: &ArchiveStatus, put: &mut impl FnMut(&'static str, String, f64)) {
    for (result, files) in [
        ("compared", archive.files),
        ("absent", archive.absent),
        ("unreadable", archive.unreadable),
        ("unreachable", archive.failures),
    ] {
        put("backtestd_archive_files_total", label("result", result), files as f64);
    }
    put("backtestd_archive_corrected_total", String::new(), archive.corrected as f64);
    put("backtestd_archive_filled_total", String::new(), archive.filled as f64);
}

/// How bars of trades compare with klines.
fn count_opinions(opinion: Option<&OpinionStatus>, put: &mut impl FnMut(&'static str, String, f64)) {
    let Some(opinion) = opinion else { return };
    let differs = opinion.compared - opinion.matched;
    for (result, bars) in
        [("matched", opinion.matched), ("differs", differs), ("incomplete", opinion.incomplete)]
    {
        put("backtestd_agg_trade_bars_total", label("result", result), bars as f64);
    }
}

/// What the sockets count.
fn count_streams(streams: Option<&WsStats>, put: &mut impl FnMut(&'static str, String, f64)) {
    let count = |pick: fn(&WsStats) -> &AtomicU64| {
        streams.map_or(0.0, |stats| pick(stats).load(Ordering::Relaxed) as f64)
    };
    type Counted = (&'static str, fn(&WsStats) -> &AtomicU64);
    let counted: [Counted; 8] = [
        ("backtestd_ws_frames_total", |s| &s.frames),
        ("backtestd_ws_updates_total", |s| &s.updates),
        ("backtestd_ws_unreadable_total", |s| &s.wire_errors),
        ("backtestd_ws_doubted_total", |s| &s.doubted),
        ("backtestd_ws_ignored_total", |s| &s.dropped),
        ("backtestd_ws_merged_quotes_total", |s| &s.merged_quotes),
        ("backtestd_ws_handovers_total", |s| &s.handovers),
        ("backtestd_ws_silences_total", |s| &s.silences),
    ];
    for (name, pick) in counted {
        put(name, String::new(), count(pick));
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_the_catalogue_and_every_entry_without_labels_has_one() {
        let status = Status::default();
        let all = samples(&status, &Metrics::default());
        for sample in &all {
            assert!(CATALOGUE.iter().any(|(name, ..)| *name == sample.name), "{} is missing", sample.name);
        }
        for (name, _, help) in CATALOGUE
            .iter()
            .filter(|(_, kind, help)| *kind != MetricKind::Histogram && !help.contains("label"))
        {
            assert!(all.iter().any(|s| s.name == *name), "{name} ({help}) has no sample");
        }
    }

    #[test]
    fn histograms_are_told_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.stages.observe_ms(Stage::Commit, 4);
        let text = render(&Status::default(), &metrics);
        for line in [
            "# TYPE backtestd_stage_seconds histogram",
            "backtestd_stage_seconds_bucket{stage=\"commit\",le=\"0.001\"} 0",
            "backtestd_stage_seconds_bucket{stage=\"commit\",le=\"0.005\"} 1",
            "backtestd_stage_seconds_bucket{stage=\"commit\",le=\"+Inf\"} 1",
            "backtestd_stage_seconds_sum{stage=\"commit\"} 0.004",
            "backtestd_stage_seconds_count{stage=\"wire\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(label("a", "x\"y\\"), r#"a="x\"y\\""#);
    }
}
