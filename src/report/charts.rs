//! The charts, as SVG that takes its colours from the page's style.

use maud::{Markup, html};

use super::format::{number, px, thousands};
use backtestd_core::conclude::Stage;
use backtestd_core::conclude::{NullTwin, Placebo};

/// Room of one stage, px.
const STAGE: usize = 46;

/// One pair of bars a stage, the run and (where it was computed) the mean of its placebo, on a logarithmic
/// scale: hypotheses come in thousands and blueprints in ones. Bars are in percent of the width, text is not
/// scaled: it can be read on a telephone.
pub(super) fn funnel(stages: &[Stage], placebo: Option<&Placebo>) -> Markup {
    let most = stages.iter().map(|s| s.count).max().unwrap_or(0) as f64;
    let twins: Vec<&NullTwin> = placebo.iter().flat_map(|p| &p.nulls).collect();
    let length = |count: f64| if most == 0.0 { 0.0 } else { libm::log1p(count) / libm::log1p(most) * 100.0 };
    let room = STAGE + 9 * twins.len();
    html! {
        svg.plain width="100%" height=(stages.len() * room) role="img" aria-label="Where the hypotheses stopped" {
            @for (i, stage) in stages.iter().enumerate() {
                @let y = i * room;
                text x="0" y=(y + 15) class="label" { (stage.name) title { (stage.what) } }
                text x="100%" y=(y + 15) text-anchor="end" class="value" { (thousands(stage.count)) }
                rect x="0" y=(y + 22) width="100%" height="12" rx="3" class="rail" {}
                rect x="0" y=(y + 22) width=(percent(length(stage.count as f64))) height="12" rx="3"
                    class={ "bar" @if i + 1 == stages.len() { " last" } } {}
                @for (k, twin) in twins.iter().enumerate() {
                    @let (mean, largest) = twin.stage(i);
                    rect x="0" y=(y + 37 + 9 * k) width=(percent(length(mean))) height="6" rx="2" class={ "twin" (k) } {
                        title {
                            (twin_name(twin)) ": " (number(Some(mean), 2)) " a draw, at most " (thousands(largest))
                        }
                    }
                }
            }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{share:.2}%")
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
pub(super) fn histogram(h: &Histogram<'_>) -> Markup {
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
    let right = W - 8.0;
    let edge = |bin: usize| from + bin as f64 / BINS as f64 * (to - from);
    html! {
        svg.chart viewBox={ "0 0 " (W) " " (H) } role="img" aria-label={ "Histogram of " (h.axis) } {
            @for (i, count) in bins.iter().enumerate() {
                @let top = y(*count as f64);
                rect x=(px(LEFT + i as f64 * step + 1.0)) y=(px(top)) width=(px(step - 2.0)) height=(px(BASE - top))
                    class="bar" { title { (format!("{:.2} to {:.2}: {count}", edge(i), edge(i + 1))) } }
            }
            line x1=(LEFT) x2=(px(right)) y1=(BASE) y2=(BASE) class="axis" {}
            @if let Some(chance) = h.expected.map(y) {
                line x1=(LEFT) x2=(px(right)) y1=(px(chance)) y2=(px(chance)) class="mark" {}
            }
            @if let Some(at) = h.mark.map(x) {
                line x1=(px(at)) x2=(px(at)) y1="12" y2=(BASE) class="mark" {}
            }
            @for (value, at) in [(0.0, BASE), (top, y(top))] {
                text x=(px(LEFT - 6.0)) y=(px(at + 4.0)) class="tick" text-anchor="end" { (thousands(value as u64)) }
            }
            @for (value, name) in h.ticks {
                text x=(px(x(*value))) y=(px(BASE + 16.0)) class="tick" text-anchor="middle" { (name) }
            }
            text x=(px((LEFT + W) / 2.0)) y=(px(H - 6.0)) class="tick" text-anchor="middle" { (h.axis) }
        }
    }
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
pub(super) fn scatter(dots: &[Dot]) -> Markup {
    const W: f64 = 420.0;
    const H: f64 = 260.0;
    const LEFT: f64 = 46.0;
    const BASE: f64 = 222.0;
    const TOP: f64 = 10.0;
    let (low, high) = view(dots);
    let x = |v: f64| LEFT + (v.clamp(low, high) - low) / (high - low) * (W - LEFT - 12.0);
    let y = |v: f64| BASE - (v.clamp(low, high) - low) / (high - low) * (BASE - TOP);
    let stride = dots.len().div_ceil(DOTS).max(1);
    let (found, rest): (Vec<&Dot>, Vec<&Dot>) = dots.iter().partition(|d| d.is_discovery);
    let axes = [(x(low), y(0.0), x(high), y(0.0)), (x(0.0), y(low), x(0.0), y(high))];
    html! {
        svg.chart viewBox={ "0 0 " (W) " " (H) } role="img" aria-label="Raw and shrunk effects" {
            line x1=(px(x(low))) y1=(px(y(low))) x2=(px(x(high))) y2=(px(y(high))) class="mark" {}
            @for (x1, y1, x2, y2) in axes {
                line x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) class="axis" {}
            }
            @for dot in rest.into_iter().step_by(stride) {
                circle cx=(px(x(dot.raw))) cy=(px(y(dot.shrunk))) r="2.2" class="dot" { (effects(dot)) }
            }
            @for dot in found {
                circle cx=(px(x(dot.raw))) cy=(px(y(dot.shrunk))) r="4" class="dot found" { (effects(dot)) }
            }
            @for v in [low, 0.0, high] {
                text x=(px(x(v))) y=(px(BASE + 16.0)) class="tick" text-anchor="middle" { (number(Some(v), 0)) }
                text x=(px(LEFT - 6.0)) y=(px(y(v) + 4.0)) class="tick" text-anchor="end" { (number(Some(v), 0)) }
            }
            text x=(px((LEFT + W) / 2.0)) y=(px(H - 6.0)) class="tick" text-anchor="middle" {
                "raw effect, bps (vertical: shrunk)"
            }
        }
    }
}

fn effects(dot: &Dot) -> Markup {
    html! {
        title { (dot.name) ": " (number(Some(dot.raw), 1)) " → " (number(Some(dot.shrunk), 1)) " bps" }
    }
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
pub(super) fn interval(low: f64, point: f64, high: f64, cost: f64) -> Markup {
    const W: f64 = 300.0;
    let from = low.min(0.0).min(point) - 2.0;
    let to = high.max(cost).max(point) + 2.0;
    let x = |v: f64| (v - from) / (to - from) * W;
    let (zero, cost) = (x(0.0), x(cost));
    html! {
        svg.interval viewBox="0 0 300 44" role="img" aria-label="Effect and its interval" {
            line x1=(px(zero)) x2=(px(zero)) y1="4" y2="30" class="axis" {}
            line x1=(px(cost)) x2=(px(cost)) y1="4" y2="30" class="mark" {}
            rect x=(px(x(low))) y="13" width=(px(x(high) - x(low))) height="8" rx="4" class="band" {}
            circle cx=(px(x(point))) cy="17" r="5" class="dot found" {}
            text x=(px(zero)) y="42" class="tick" text-anchor="middle" { "0" }
            text x=(px(cost)) y="42" class="tick" text-anchor="middle" { "cost" }
        }
    }
}

/// Where a prevalence lies in its declared range, on a logarithmic scale from 0.1 to 1000 per 10 000.
pub(super) fn prevalence(value: Option<f64>, bounds: (f64, f64), is_fine: bool) -> Markup {
    let x = |v: f64| (libm::log10(v.clamp(0.1, 1000.0)) + 1.0) / 4.0 * 120.0;
    let (low, high) = (x(bounds.0), x(bounds.1));
    html! {
        svg.range viewBox="0 0 120 14" aria-hidden="true" {
            rect x="0" y="6" width="120" height="2" class="rail" {}
            rect x=(px(low)) y="4" width=(px(high - low)) height="6" rx="3" class="band" {}
            @if let Some(value) = value {
                circle cx=(px(x(value))) cy="7" r="4" class={ "dot " @if is_fine { "found" } @else { "bad" } } {}
            }
        }
    }
}
