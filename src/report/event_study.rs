//! Event studies: the mean path after an event, in the event's direction, with the uncertainty of days.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::format::{escape, number, thousands};
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

/// The studies of every event type with data, family by family.
pub(super) fn studies(candidates: &[Candidate]) -> String {
    let has_pooled = candidates.iter().any(|c| matches!(c.scope, Scope::Pooled(_)));
    let mut events: BTreeMap<(&str, &str), Vec<Point>> = BTreeMap::new();
    for c in candidates.iter().filter(|c| c.state.is_none()) {
        if has_pooled != matches!(c.scope, Scope::Pooled(_)) {
            continue;
        }
        let Some(raw) = c.effect_raw_bps.filter(|v| v.is_finite()) else { continue };
        events.entry((&c.canonical_family, &c.event_type)).or_default().push(Point {
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
    let mut out = String::new();
    let mut family = "";
    for ((of, event_type), mut points) in events {
        if of != family {
            if !family.is_empty() {
                out.push_str("</div>");
            }
            family = of;
            let _ = write!(out, r#"<h3 class="family">{}</h3><div class="studies">"#, escape(of));
        }
        points.sort_by_key(|p| p.bars);
        study(&mut out, event_type, &points);
    }
    if !family.is_empty() {
        out.push_str("</div>");
    }
    out
}

/// The band of uncertainty around the path; empty where no point has a standard error.
fn band(points: &[Point], x: &dyn Fn(u32) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let banded: Vec<&Point> = points.iter().filter(|p| p.half.is_some()).collect();
    if banded.is_empty() {
        return String::new();
    }
    let mut path = format!("{:.1},{:.1}", x(0), y(0.0));
    for p in &banded {
        let _ = write!(path, " {:.1},{:.1}", x(p.bars), y(p.mean + p.half.unwrap_or(0.0)));
    }
    for p in banded.iter().rev() {
        let _ = write!(path, " {:.1},{:.1}", x(p.bars), y(p.mean - p.half.unwrap_or(0.0)));
    }
    format!(r#"<polygon points="{path}" class="band"/>"#)
}

fn study(out: &mut String, event_type: &str, points: &[Point]) {
    const W: f64 = 240.0;
    const H: f64 = 132.0;
    const LEFT: f64 = 34.0;
    const RIGHT: f64 = 226.0;
    const TOP: f64 = 10.0;
    const BASE: f64 = 106.0;
    let longest = points.iter().map(|p| p.bars).max().unwrap_or(1);
    let x =
        |bars: u32| LEFT + libm::log1p(f64::from(bars)) / libm::log1p(f64::from(longest)) * (RIGHT - LEFT);
    let reach = points.iter().map(|p| p.mean.abs() + p.half.unwrap_or(0.0)).fold(1.0, f64::max);
    let y = |v: f64| (TOP + BASE) / 2.0 - v.clamp(-reach, reach) / reach * (BASE - TOP) / 2.0;
    let n = points.iter().map(|p| p.n).max().unwrap_or(0);
    let days = points.iter().map(|p| p.days).max().unwrap_or(0);
    let found = points.iter().any(|p| p.is_discovery);
    let _ = write!(
        out,
        r#"<figure{}><figcaption>{}<span>{} events, {} days</span></figcaption><svg viewBox="0 0 {W} {H}" role="img" aria-label="Mean path after {}">"#,
        if found { " class=\"hit\"" } else { "" },
        escape(event_type),
        thousands(n),
        thousands(days),
        escape(event_type)
    );
    out.push_str(&band(points, &x, &y));
    let _ =
        write!(out, r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{:.1}" y2="{:.1}" class="axis"/>"#, y(0.0), y(0.0));
    let cost = points.iter().map(|p| p.cost).fold(0.0, f64::max);
    if cost > 0.0 && cost <= reach {
        for level in [cost, -cost] {
            let _ = write!(
                out,
                r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{:.1}" y2="{:.1}" class="mark"/>"#,
                y(level),
                y(level)
            );
        }
    }
    let mut line = format!("{:.1},{:.1}", x(0), y(0.0));
    for p in points {
        let _ = write!(line, " {:.1},{:.1}", x(p.bars), y(p.mean));
    }
    let _ = write!(out, r#"<polyline points="{line}" class="real"/>"#);
    for p in points {
        let _ = write!(
            out,
            r#"<circle cx="{:.1}" cy="{:.1}" r="3" class="point{}"><title>{}: {} bps{}, {} events on {} days</title></circle><text x="{:.1}" y="{:.1}" class="tick" text-anchor="middle">{}</text>"#,
            x(p.bars),
            y(p.mean),
            if p.is_discovery { " found" } else { "" },
            p.label,
            number(Some(p.mean), 1),
            p.half.map_or_else(String::new, |h| format!(" ± {}", number(Some(h), 1))),
            thousands(p.n),
            thousands(p.days),
            x(p.bars).min(RIGHT - 4.0),
            H - 8.0,
            escape(&p.label)
        );
    }
    for level in [reach, -reach] {
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="end">{}</text>"#,
            LEFT - 4.0,
            y(level) + 4.0,
            number(Some(level), 0)
        );
    }
    out.push_str("</svg></figure>");
}
