//! The charts, as SVG that takes its colours from the page's style.

use std::fmt::Write as _;

use super::format::{number, thousands};
use backtestd_core::conclude::Stage;
use backtestd_core::conclude::{NullTwin, Placebo};

/// Room of one stage, px.
const STAGE: usize = 46;

/// One pair of bars a stage, the run and (where it was computed) the mean of its placebo, on a logarithmic scale:
/// hypotheses come in thousands and blueprints in ones. Bars are in percent of the width, text is not scaled: it can be
/// read on a telephone.
pub(super) fn funnel(stages: &[Stage], placebo: Option<&Placebo>) -> String {
    let most = stages.iter().map(|s| s.count).max().unwrap_or(0) as f64;
    let twins: Vec<&NullTwin> = placebo.iter().flat_map(|p| &p.nulls).collect();
    let length = |count: f64| if most == 0.0 { 0.0 } else { libm::log1p(count) / libm::log1p(most) * 100.0 };
    let room = STAGE + 9 * twins.len();
    let mut out = format!(
        r#"<svg class="plain" width="100%" height="{}" role="img" aria-label="Where the hypotheses stopped">"#,
        stages.len() * room
    );
    for (i, stage) in stages.iter().enumerate() {
        let y = i * room;
        let last = if i + 1 == stages.len() { " last" } else { "" };
        let _ = write!(
            out,
            r#"<text x="0" y="{}" class="label">{}<title>{}</title></text><text x="100%" y="{}" text-anchor="end" class="value">{}</text><rect x="0" y="{}" width="100%" height="12" rx="3" class="rail"/><rect x="0" y="{}" width="{:.2}%" height="12" rx="3" class="bar{last}"/>"#,
            y + 15,
            stage.name,
            stage.what,
            y + 15,
            thousands(stage.count),
            y + 22,
            y + 22,
            length(stage.count as f64),
        );
        for (k, twin) in twins.iter().enumerate() {
            let (mean, largest) = twin.stage(i);
            let _ = write!(
                out,
                r#"<rect x="0" y="{}" width="{:.2}%" height="6" rx="2" class="twin{k}"><title>{}: {} a draw, at most {}</title></rect>"#,
                y + 37 + 9 * k,
                length(mean),
                twin_name(twin),
                number(Some(mean), 2),
                thousands(largest)
            );
        }
    }
    out + "</svg>"
}

/// What a null is called on the page.
pub(super) fn twin_name(twin: &NullTwin) -> &'static str {
    match twin.null {
        "placement" => "events moved to other days",
        _ => "days with random signs",
    }
}

/// Bins of a histogram.
const BINS: usize = 20;

/// What a histogram shows.
pub(super) struct Histogram<'a> {
    pub(super) values: &'a [f64],
    /// First and last edge; values beyond count in the end bins.
    pub(super) range: (f64, f64),
    /// Values named under the axis.
    pub(super) ticks: &'a [(f64, &'a str)],
    /// Expected height of every bin, if chance says one.
    pub(super) expected: Option<f64>,
    /// A line at a value.
    pub(super) mark: Option<f64>,
    pub(super) axis: &'a str,
    /// Count on a logarithmic scale.
    pub(super) log_counts: bool,
}

/// Bars of counts.
pub(super) fn histogram(h: &Histogram<'_>) -> String {
    const W: f64 = 420.0;
    const H: f64 = 260.0;
    const LEFT: f64 = 46.0;
    const BASE: f64 = 222.0;
    let (from, to) = h.range;
    let mut bins = [0_u64; BINS];
    for v in h.values {
        let bin = ((v - from) / (to - from) * BINS as f64).max(0.0) as usize;
        bins[bin.min(BINS - 1)] += 1;
    }
    let scale = |count: f64| if h.log_counts { libm::log1p(count) } else { count };
    let top =
        bins.iter().copied().max().unwrap_or(0).max(h.expected.map_or(0, |e| e.ceil() as u64)).max(1) as f64;
    let y = |count: f64| BASE - scale(count) / scale(top) * (BASE - 16.0);
    let x = |value: f64| LEFT + (value - from) / (to - from) * (W - LEFT - 8.0);
    let step = (W - LEFT - 8.0) / BINS as f64;
    let mut out = format!(
        r#"<svg class="chart" viewBox="0 0 {W} {H}" role="img" aria-label="Histogram of {}">"#,
        h.axis
    );
    for (i, count) in bins.iter().enumerate() {
        let (left, at) = (LEFT + i as f64 * step, y(*count as f64));
        let _ = write!(
            out,
            r#"<rect x="{:.1}" y="{at:.1}" width="{:.1}" height="{:.1}" class="bar"><title>{:.2} to {:.2}: {count}</title></rect>"#,
            left + 1.0,
            step - 2.0,
            BASE - at,
            from + i as f64 / BINS as f64 * (to - from),
            from + (i + 1) as f64 / BINS as f64 * (to - from)
        );
    }
    let _ = write!(out, r#"<line x1="{LEFT}" x2="{:.1}" y1="{BASE}" y2="{BASE}" class="axis"/>"#, W - 8.0);
    if let Some(chance) = h.expected.map(y) {
        let _ = write!(
            out,
            r#"<line x1="{LEFT}" x2="{:.1}" y1="{chance:.1}" y2="{chance:.1}" class="mark"/>"#,
            W - 8.0
        );
    }
    if let Some(at) = h.mark.map(x) {
        let _ = write!(out, r#"<line x1="{at:.1}" x2="{at:.1}" y1="12" y2="{BASE}" class="mark"/>"#);
    }
    for (value, at) in [(0.0, BASE), (top, y(top))] {
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="end">{}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            thousands(value as u64)
        );
    }
    for (value, name) in h.ticks {
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="middle">{name}</text>"#,
            x(*value),
            BASE + 16.0
        );
    }
    let _ = write!(
        out,
        r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="middle">{}</text></svg>"#,
        (LEFT + W) / 2.0,
        H - 6.0,
        h.axis
    );
    out
}

/// A candidate in the scatter.
pub(super) struct Dot {
    pub(super) raw: f64,
    pub(super) shrunk: f64,
    pub(super) is_discovery: bool,
    pub(super) name: String,
}

/// At most this many grey dots; discoveries are all drawn.
const DOTS: usize = 1200;

/// Raw against shrunk effect. The view is cut at the 1 % and 99 % quantiles of what is not a
/// discovery; dots beyond it sit on its edge.
pub(super) fn scatter(dots: &[Dot]) -> String {
    const W: f64 = 420.0;
    const H: f64 = 260.0;
    const LEFT: f64 = 46.0;
    const BASE: f64 = 222.0;
    const TOP: f64 = 10.0;
    let (low, high) = view(dots);
    let x = |v: f64| LEFT + (v.clamp(low, high) - low) / (high - low) * (W - LEFT - 12.0);
    let y = |v: f64| BASE - (v.clamp(low, high) - low) / (high - low) * (BASE - TOP);
    let mut out = format!(
        r#"<svg class="chart" viewBox="0 0 {W} {H}" role="img" aria-label="Raw and shrunk effects">"#
    );
    let _ = write!(
        out,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" class="mark"/>"#,
        x(low),
        y(low),
        x(high),
        y(high)
    );
    for (x1, y1, x2, y2) in [(x(low), y(0.0), x(high), y(0.0)), (x(0.0), y(low), x(0.0), y(high))] {
        let _ = write!(out, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="axis"/>"#);
    }
    let stride = dots.len().div_ceil(DOTS).max(1);
    let (found, rest): (Vec<_>, Vec<_>) = dots.iter().partition(|d| d.is_discovery);
    for (class, radius, dots) in
        [("dot", 2.2, rest.into_iter().step_by(stride).collect::<Vec<_>>()), ("dot found", 4.0, found)]
    {
        for dot in dots {
            let _ = write!(
                out,
                r#"<circle cx="{:.1}" cy="{:.1}" r="{radius}" class="{class}"><title>{}: {} → {} bps</title></circle>"#,
                x(dot.raw),
                y(dot.shrunk),
                dot.name,
                number(Some(dot.raw), 1),
                number(Some(dot.shrunk), 1)
            );
        }
    }
    for v in [low, 0.0, high] {
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="middle">{}</text><text x="{:.1}" y="{:.1}" class="tick" text-anchor="end">{}</text>"#,
            x(v),
            BASE + 16.0,
            number(Some(v), 0),
            LEFT - 6.0,
            y(v) + 4.0,
            number(Some(v), 0)
        );
    }
    let _ = write!(
        out,
        r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="middle">raw effect, bps (vertical: shrunk)</text></svg>"#,
        (LEFT + W) / 2.0,
        H - 6.0
    );
    out
}

fn view(dots: &[Dot]) -> (f64, f64) {
    let mut raw: Vec<f64> = dots.iter().map(|d| d.raw).collect();
    raw.sort_by(f64::total_cmp);
    let quantile = |q: f64| raw.get(((raw.len() as f64 - 1.0) * q).round() as usize).copied();
    let low = quantile(0.01).unwrap_or(-1.0).min(-1.0);
    let high = quantile(0.99).unwrap_or(1.0).max(1.0);
    let found = dots.iter().filter(|d| d.is_discovery).flat_map(|d| [d.raw, d.shrunk]);
    let (low, high) = found.fold((low, high), |(low, high), v| (low.min(v), high.max(v)));
    (low * 1.05, high * 1.05)
}

/// An effect's interval with its point, zero and the cost that it must beat.
pub(super) fn interval(low: f64, point: f64, high: f64, cost: f64) -> String {
    const W: f64 = 300.0;
    let from = low.min(0.0).min(point) - 2.0;
    let to = high.max(cost).max(point) + 2.0;
    let x = |v: f64| (v - from) / (to - from) * W;
    format!(
        concat!(
            r#"<svg class="interval" viewBox="0 0 300 44" role="img" aria-label="Effect and its interval">"#,
            r#"<line x1="{zero:.1}" x2="{zero:.1}" y1="4" y2="30" class="axis"/>"#,
            r#"<line x1="{cost:.1}" x2="{cost:.1}" y1="4" y2="30" class="mark"/>"#,
            r#"<rect x="{low:.1}" y="13" width="{width:.1}" height="8" rx="4" class="band"/>"#,
            r#"<circle cx="{point:.1}" cy="17" r="5" class="dot found"/>"#,
            r#"<text x="{zero:.1}" y="42" class="tick" text-anchor="middle">0</text>"#,
            r#"<text x="{cost:.1}" y="42" class="tick" text-anchor="middle">cost</text></svg>"#
        ),
        zero = x(0.0),
        cost = x(cost),
        low = x(low),
        width = x(high) - x(low),
        point = x(point),
    )
}

/// Where a prevalence lies in its declared range, on a logarithmic scale from 0.1 to 1000 per 10 000.
pub(super) fn prevalence(value: Option<f64>, bounds: (f64, f64), is_fine: bool) -> String {
    let x = |v: f64| (libm::log10(v.clamp(0.1, 1000.0)) + 1.0) / 4.0 * 120.0;
    let mut out = format!(
        r#"<svg class="range" viewBox="0 0 120 14" aria-hidden="true"><rect x="0" y="6" width="120" height="2" class="rail"/><rect x="{:.1}" y="4" width="{:.1}" height="6" rx="3" class="band"/>"#,
        x(bounds.0),
        x(bounds.1) - x(bounds.0)
    );
    if let Some(value) = value {
        let class = if is_fine { "dot found" } else { "dot bad" };
        let _ = write!(out, r#"<circle cx="{:.1}" cy="7" r="4" class="{class}"/>"#, x(value));
    }
    out + "</svg>"
}
