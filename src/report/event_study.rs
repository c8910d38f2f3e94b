//! Event studies: the mean path after an event, in the event's direction, with the uncertainty of days.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};

use super::format::{number, px, thousands};
use backtestd_core::discovery::{Candidate, Scope};

/// Half-width of the band in standard errors: 90 % of a normal.
const BAND: f64 = 1.644_853_626_951;

/// One horizon of an event type, over all symbols and states, follow side.
struct Point {
    bars: u32,
    label: String,
    mean: f64,
    half: Option<f64>,
    cost: f64,
    n: u64,
    days: u64,
    is_discovery: bool,
}

/// The studies of every event type with data, family by family; none without data.
pub(super) fn studies(candidates: &[Candidate]) -> Option<Markup> {
    let has_pooled = candidates.iter().any(|c| matches!(c.scope, Scope::Pooled(_)));
    let mut families: BTreeMap<&str, BTreeMap<&str, Vec<Point>>> = BTreeMap::new();
    for c in candidates.iter().filter(|c| c.state.is_none()) {
        if has_pooled != matches!(c.scope, Scope::Pooled(_)) {
            continue;
        }
        let Some(raw) = c.effect_raw_bps.filter(|v| v.is_finite()) else { continue };
        let events = families.entry(&c.canonical_family).or_default();
        events.entry(&c.event_type).or_default().push(Point {
            bars: c.horizon.bars,
            label: c.horizon.label.to_string(),
            mean: c.direction_rule.sign() * raw,
            half: c.se_bps.map(|se| BAND * se),
            cost: c.cost_bps.unwrap_or(0.0),
            n: c.n_events,
            days: c.n_clusters,
            is_discovery: c.is_discovery,
        });
    }
    families.values_mut().flat_map(BTreeMap::values_mut).for_each(|points| points.sort_by_key(|p| p.bars));
    (!families.is_empty()).then(|| {
        html! {
            @for (family, events) in &families {
                h3.family { (family) }
                div.studies { @for (event_type, points) in events { (study(event_type, points)) } }
            }
        }
    })
}

const W: f64 = 240.0;
const H: f64 = 132.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = 226.0;
const TOP: f64 = 10.0;
const BASE: f64 = 106.0;

/// Where bars and bps lie in a study.
struct Scale {
    /// Bars at the right edge.
    longest: u32,
    /// The largest distance from zero in sight, bps.
    reach: f64,
}

impl Scale {
    fn of(points: &[Point]) -> Self {
        Self {
            longest: points.iter().map(|p| p.bars).max().unwrap_or(1),
            reach: points.iter().map(|p| p.mean.abs() + p.half.unwrap_or(0.0)).fold(1.0, f64::max),
        }
    }

    fn x(&self, bars: u32) -> f64 {
        LEFT + libm::log1p(f64::from(bars)) / libm::log1p(f64::from(self.longest)) * (RIGHT - LEFT)
    }

    fn y(&self, bps: f64) -> f64 {
        (TOP + BASE) / 2.0 - bps.clamp(-self.reach, self.reach) / self.reach * (BASE - TOP) / 2.0
    }

    /// The corners of a line from the event on.
    fn line(&self, corners: impl Iterator<Item = (u32, f64)>) -> String {
        let mut line = format!("{:.1},{:.1}", self.x(0), self.y(0.0));
        for (bars, bps) in corners {
            let _ = write!(line, " {:.1},{:.1}", self.x(bars), self.y(bps));
        }
        line
    }
}

/// The corners of the band of uncertainty around the path; none where no point has a standard error.
fn band(points: &[Point], scale: &Scale) -> Option<String> {
    let banded: Vec<(&Point, f64)> = points.iter().filter_map(|p| Some((p, p.half?))).collect();
    let upper = banded.iter().map(|(p, half)| (p.bars, p.mean + half));
    let lower = banded.iter().rev().map(|(p, half)| (p.bars, p.mean - half));
    (!banded.is_empty()).then(|| scale.line(upper.chain(lower)))
}

fn study(event_type: &str, points: &[Point]) -> Markup {
    let scale = Scale::of(points);
    let n = points.iter().map(|p| p.n).max().unwrap_or(0);
    let days = points.iter().map(|p| p.days).max().unwrap_or(0);
    let found = points.iter().any(|p| p.is_discovery);
    let cost = points.iter().map(|p| p.cost).fold(0.0, f64::max);
    html! {
        figure class=[found.then_some("hit")] {
            figcaption { (event_type) span { (thousands(n)) " events, " (thousands(days)) " days" } }
            svg viewBox={ "0 0 " (W) " " (H) } role="img" aria-label={ "Mean path after " (event_type) } {
                @if let Some(corners) = band(points, &scale) { polygon points=(corners) class="band" {} }
                (level(&scale, 0.0, "axis"))
                @if cost > 0.0 && cost <= scale.reach {
                    (level(&scale, cost, "mark"))
                    (level(&scale, -cost, "mark"))
                }
                polyline points=(scale.line(points.iter().map(|p| (p.bars, p.mean)))) class="real" {}
                @for point in points { (dot(point, &scale)) }
                @for bps in [scale.reach, -scale.reach] {
                    text x=(px(LEFT - 4.0)) y=(px(scale.y(bps) + 4.0)) class="tick" text-anchor="end" {
                        (number(Some(bps), 0))
                    }
                }
            }
        }
    }
}

/// A line across the study.
fn level(scale: &Scale, bps: f64, class: &str) -> Markup {
    let y = scale.y(bps);
    html! { line x1=(LEFT) x2=(RIGHT) y1=(px(y)) y2=(px(y)) class=(class) {} }
}

/// A holding time with its numbers.
fn dot(p: &Point, scale: &Scale) -> Markup {
    let x = scale.x(p.bars);
    html! {
        circle cx=(px(x)) cy=(px(scale.y(p.mean))) r="3" class={ "point" @if p.is_discovery { " found" } } {
            title {
                (p.label) ": " (number(Some(p.mean), 1)) " bps"
                @if let Some(half) = p.half { " ± " (number(Some(half), 1)) }
                ", " (thousands(p.n)) " events on " (thousands(p.days)) " days"
            }
        }
        text x=(px(x.min(RIGHT - 4.0))) y=(px(H - 8.0)) class="tick" text-anchor="middle" { (p.label) }
    }
}
