//! The calibration line: the sizes of p that came out, against the sizes that chance alone gives.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::format::px;

/// The smallest p that is drawn, as a power of ten: beyond it dots sit on the edge.
const DEEPEST: f64 = 5.0;
/// Points of a line, evenly on the logarithmic axis.
const POINTS: usize = 90;

/// A set of p-values.
pub(super) struct Line<'a> {
    /// Style class of the line.
    pub(super) class: &'a str,
    /// The p-values in ascending order.
    pub(super) p: &'a [f64],
}

const W: f64 = 420.0;
const H: f64 = 260.0;
const LEFT: f64 = 46.0;
const BASE: f64 = 222.0;
const TOP: f64 = 12.0;

/// Observed against expected quantiles, both as -log10: a line above the diagonal has more small p than
/// chance gives.
pub(super) fn calibration(lines: &[Line<'_>]) -> Markup {
    let deepest = lines.iter().map(|l| libm::log10(l.p.len() as f64 + 1.0)).fold(1.0, f64::max).min(DEEPEST);
    let x = |v: f64| LEFT + v.min(deepest) / deepest * (W - LEFT - 12.0);
    let y = |v: f64| BASE - v.min(DEEPEST) / DEEPEST * (BASE - TOP);
    html! {
        svg.chart viewBox={ "0 0 " (W) " " (H) } role="img" aria-label="Observed and expected p-values" {
            line x1=(LEFT) x2=(px(W - 12.0)) y1=(BASE) y2=(BASE) class="axis" {}
            line x1=(LEFT) x2=(LEFT) y1=(TOP) y2=(BASE) class="axis" {}
            line x1=(px(x(0.0))) y1=(px(y(0.0))) x2=(px(x(deepest))) y2=(px(y(deepest))) class="mark" {}
            @for line in lines.iter().filter(|l| !l.p.is_empty()) {
                polyline points=(corners(line.p, deepest, &x, &y)) class=(line.class) {}
            }
            @for power in 0..=DEEPEST as i32 {
                @let (at, name) = (f64::from(power), power_name(power));
                @if at <= deepest {
                    text x=(px(x(at))) y=(px(BASE + 16.0)) class="tick" text-anchor="middle" { (name) }
                }
                text x=(px(LEFT - 6.0)) y=(px(y(at) + 4.0)) class="tick" text-anchor="end" { (name) }
            }
            text x=(px((LEFT + W) / 2.0)) y=(px(H - 6.0)) class="tick" text-anchor="middle" {
                "expected p (vertical: observed)"
            }
        }
    }
}

fn power_name(power: i32) -> String {
    if power == 0 { "1".to_owned() } else { format!("1e-{power}") }
}

/// The corners of the line of ascending p-values.
fn corners(p: &[f64], deepest: f64, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let n = p.len();
    let reach = libm::log10(n as f64 + 1.0).min(deepest);
    let mut corners = String::new();
    let mut last = usize::MAX;
    for k in 0..=POINTS {
        // Ranks evenly on the axis, each once.
        let expected = libm::exp10(-reach * k as f64 / POINTS as f64);
        let rank = ((expected * (n as f64 + 1.0)).round() as usize).clamp(1, n);
        if rank == last {
            continue;
        }
        last = rank;
        let across = -libm::log10(rank as f64 / (n as f64 + 1.0));
        let up = -libm::log10(p[rank - 1].max(1e-300));
        let _ = write!(corners, "{:.1},{:.1} ", x(across), y(up));
    }
    corners.truncate(corners.trim_end().len());
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_p_values_lie_on_the_diagonal() {
        let p: Vec<f64> = (1..=999).map(|i| f64::from(i) / 1000.0).collect();
        let svg = calibration(&[Line { class: "real", p: &p }]).into_string();
        let points = svg.split("polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let across = (x.parse::<f64>().unwrap() - 46.0) / (420.0 - 58.0) * 3.0;
            let up = (222.0 - y.parse::<f64>().unwrap()) / 210.0 * 5.0;
            assert!((across - up).abs() < 0.02, "{point}");
        }
    }
}
