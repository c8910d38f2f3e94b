//! The brute-force twin: every operator straight from the table, over whole series, nothing kept or shared.

use backtestd_core::graph::{Cmp, EventNode, Graph, Node, Onset, Op, Rolling, Rolling2, SymbolRef, Universe};
use backtestd_core::market::{BarIndex, Source, Symbol, TickBlock};

const U: f64 = f64::NAN;
/// Nothing to compare: the window spreads by mere rounding, which the direct formula cannot resolve.
pub(crate) const SKIP: f64 = f64::MAX;

/// `values[node][symbol][row]`
pub(crate) type Values = Vec<Vec<Vec<f64>>>;
pub(crate) struct Twin<'a> {
    pub graph: &'a Graph,
    pub symbols: &'a [Symbol],
    pub block: &'a TickBlock,
}

fn bit(c: bool) -> f64 {
    if c { 1.0 } else { 0.0 }
}

fn kleene(a: f64, b: f64, verdict: bool) -> f64 {
    if a.is_nan() || b.is_nan() { U } else { bit(verdict) }
}

impl Twin<'_> {
    /// What `node` should be for `symbol`, given the values of its operands.
    pub(crate) fn expect(&self, node: &Node, values: &Values, symbol: usize) -> Vec<f64> {
        let inputs: Vec<&[f64]> = node.inputs.iter().map(|id| values[id.ix()][symbol].as_slice()).collect();
        let first = self.block.first.0;
        match &node.op {
            Op::Source(source) => match self.block.symbols[symbol].get(*source) {
                Some(column) => column.to_vec(),
                None => vec![U; self.block.rows],
            },
            Op::Of(reference) => {
                let other = match reference {
                    SymbolRef::Named(name) => name,
                    SymbolRef::Leader { lead, other } if self.symbols[symbol] == *lead => other,
                    SymbolRef::Leader { lead, .. } => lead,
                };
                let other = self.symbols.iter().position(|s| s == other);
                (0..self.block.rows)
                    .map(|t| other.map_or(U, |s| self.live(&values[node.inputs[0].ix()], s, t)))
                    .collect()
            }
            Op::Pow if matches!(self.graph.node(node.inputs[1]).op, Op::Const(c) if c.get() == 2.0) => {
                inputs[0].iter().map(|a| a * a).collect()
            }
            Op::Universe { f, min } => (0..self.block.rows)
                .map(|t| self.universe(*f, *min as usize, &values[node.inputs[0].ix()], symbol, t))
                .collect(),
            // These read the detector itself, by their event.
            Op::Active(event) | Op::EventDir(event) => {
                let event = &self.graph.events[usize::from(event.0)];
                if event.needs.iter().any(|s| self.block.symbols[symbol].get(*s).is_none()) {
                    return vec![U; self.block.rows];
                }
                let of = |id: &backtestd_core::graph::NodeId| values[id.ix()][symbol].as_slice();
                let operands: Vec<&[f64]> = self.graph.node(event.detect).inputs.iter().map(of).collect();
                let onsets = detect(event, &operands);
                match node.op {
                    Op::Active(_) => active(event, &onsets, operands[1]),
                    _ => directions(&onsets, operands[2]),
                }
            }
            op => match node.clock {
                None => self.series(op, &inputs, first, self.block.rows, symbol),
                Some(clock) => {
                    let clock = &values[clock.ix()][symbol];
                    let ticks: Vec<usize> = (0..clock.len()).filter(|t| clock[*t] == 1.0).collect();
                    let compact: Vec<Vec<f64>> =
                        inputs.iter().map(|x| ticks.iter().map(|t| x[*t]).collect()).collect();
                    let compact: Vec<&[f64]> = compact.iter().map(Vec::as_slice).collect();
                    let at_ticks = self.series(op, &compact, 0, ticks.len(), symbol);
                    let mut held = vec![U; clock.len()];
                    for t in 0..clock.len() {
                        held[t] = match ticks.binary_search(&t) {
                            Ok(tick) => at_ticks[tick],
                            Err(_) if t > 0 => held[t - 1],
                            Err(_) => U,
                        };
                    }
                    held
                }
            },
        }
    }

    fn live(&self, x: &[Vec<f64>], symbol: usize, t: usize) -> f64 {
        match self.block.symbols[symbol].get(Source::Close) {
            Some(close) if !close[t].is_nan() => x[symbol][t],
            _ => U,
        }
    }

    fn universe(&self, f: Universe, min: usize, x: &[Vec<f64>], symbol: usize, t: usize) -> f64 {
        let mut order: Vec<usize> = (0..self.symbols.len()).collect();
        order.sort_by_key(|s| self.symbols[*s].as_str().to_owned());
        let all: Vec<f64> = order.iter().map(|s| self.live(x, *s, t)).filter(|v| !v.is_nan()).collect();
        if all.len() < min.max(1) {
            return U;
        }
        let own = self.live(x, symbol, t);
        match f {
            Universe::Median => quantile(&all, 0.5),
            Universe::Mean => mean(&all),
            Universe::Std => variance(&all).sqrt(),
            Universe::Rank => mid_rank(&all, own),
        }
    }

    fn series(&self, op: &Op, inputs: &[&[f64]], first: i64, n: usize, symbol: usize) -> Vec<f64> {
        if let Op::Detect(event) = op {
            let event = &self.graph.events[usize::from(event.0)];
            if event.needs.iter().any(|s| self.block.symbols[symbol].get(*s).is_none()) {
                return vec![U; n];
            }
        }
        match op {
            Op::Detect(event) => detect(&self.graph.events[usize::from(event.0)], inputs),
            Op::Since => {
                let c = inputs[0];
                (0..n).map(|t| (0..=t).position(|k| c[t - k] == 1.0).map_or(U, |k| k as f64)).collect()
            }
            Op::At => {
                let (x, c) = (inputs[0], inputs[1]);
                (0..n).map(|t| (0..=t).rev().find(|s| c[*s] == 1.0).map_or(U, |s| x[s])).collect()
            }
            Op::Latch => {
                let (set, reset) = (inputs[0], inputs[1]);
                (0..n)
                    .map(|t| {
                        let last = (0..=t).rev().find(|s| reset[*s] == 1.0 || set[*s] == 1.0);
                        last.map_or(U, |s| bit(reset[s] != 1.0))
                    })
                    .collect()
            }
            Op::Episode { max } => episode(inputs[0], inputs[1], *max as usize),
            Op::Ewm { halflife, min } => {
                let a = 1.0 - 2_f64.powf(-1.0 / halflife.get());
                let (mut m, mut seen) = (U, 0);
                inputs[0]
                    .iter()
                    .map(|x| {
                        if !x.is_nan() {
                            m = if seen == 0 { *x } else { m + a * (x - m) };
                            seen += 1;
                        }
                        if seen >= (*min).max(1) { m } else { U }
                    })
                    .collect()
            }
            Op::Vpin { buckets, min } => vpin(inputs, first, *buckets as usize, *min as usize),
            op => (0..n).map(|t| self.row(op, inputs, first, t)).collect(),
        }
    }

    fn row(&self, op: &Op, inputs: &[&[f64]], first: i64, t: usize) -> f64 {
        let x = |i: usize, back: usize| if back > t { U } else { inputs[i][t - back] };
        let (a, b) = (inputs.first().map_or(U, |a| a[t]), inputs.get(1).map_or(U, |b| b[t]));
        let window = |i: usize, w: u32| -> Vec<f64> { (0..w as usize).rev().map(|k| x(i, k)).collect() };
        match op {
            Op::Const(v) => v.get(),
            Op::Truth(v) => v.map_or(U, bit),
            Op::Add => a + b,
            Op::Sub => a - b,
            Op::Mul => a * b,
            Op::Div => a / b,
            Op::Pow => {
                if a > 0.0 && !b.is_nan() {
                    a.powf(b)
                } else {
                    U
                }
            }
            Op::Neg => -a,
            Op::Abs => a.abs(),
            Op::Sign => {
                if a.is_nan() || a == 0.0 {
                    a
                } else {
                    a.signum()
                }
            }
            Op::Ln => a.ln(),
            Op::Exp => a.exp(),
            Op::Sqrt => a.sqrt(),
            Op::NormCdf => backtestd_core::normal::cdf(a),
            Op::NormInv => backtestd_core::normal::inverse(a),
            Op::Min2 if a.is_nan() || b.is_nan() => U,
            Op::Max2 if a.is_nan() || b.is_nan() => U,
            Op::Min2 => a.min(b),
            Op::Max2 => a.max(b),
            Op::Clip if a.is_nan() || b.is_nan() || x(2, 0).is_nan() => U,
            Op::Clip => a.max(b).min(x(2, 0)),
            Op::Compare(cmp) => kleene(
                a,
                b,
                match cmp {
                    Cmp::Lt => a < b,
                    Cmp::Le => a <= b,
                    Cmp::Gt => a > b,
                    Cmp::Ge => a >= b,
                    Cmp::Eq => a == b,
                    Cmp::Ne => a != b,
                },
            ),
            Op::And if a == 0.0 || b == 0.0 => 0.0,
            Op::And => kleene(a, b, true),
            Op::Or if a == 1.0 || b == 1.0 => 1.0,
            Op::Or => kleene(a, b, false),
            Op::Not => 1.0 - a,
            Op::Known => bit(!a.is_nan()),
            Op::If if a.is_nan() => U,
            Op::If => {
                if a == 1.0 {
                    b
                } else {
                    x(2, 0)
                }
            }
            Op::Coalesce => {
                if a.is_nan() {
                    b
                } else {
                    a
                }
            }
            Op::Lag { k } => x(0, *k as usize),
            Op::Diff { k } => a - x(0, *k as usize),
            Op::PctChange { k } => a / x(0, *k as usize) - 1.0,
            Op::Ffill { max } => (0..=*max as usize).map(|k| x(0, k)).find(|v| !v.is_nan()).unwrap_or(U),
            Op::Roll { f, window: w, min } => rolling(*f, &window(0, *w), *min as usize, t),
            Op::Roll2 { f, window: w, min } => pair(*f, &window(0, *w), &window(1, *w), *min as usize),
            Op::TodMean { days, half, min } => {
                let (days, half) = (*days as usize, *half as usize);
                let rows: Vec<f64> = (1..=days)
                    .flat_map(|d| (0..=2 * half).map(move |j| 288 * d + half - j))
                    .map(|back| x(0, back))
                    .filter(|v| !v.is_nan())
                    .collect();
                if rows.len() < *min as usize { U } else { mean(&rows) }
            }
            Op::Rising | Op::Falling => {
                let (from, to) = if matches!(op, Op::Rising) { (0.0, 1.0) } else { (1.0, 0.0) };
                kleene(a, x(0, 1), a == to && x(0, 1) == from)
            }
            Op::Held { n } => {
                let c = window(0, *n);
                if c.iter().all(|v| *v == 1.0) {
                    1.0
                } else if c.contains(&0.0) {
                    0.0
                } else {
                    U
                }
            }
            Op::CrossesAbove | Op::CrossesBelow => {
                let (i, j) = if matches!(op, Op::CrossesAbove) { (0, 1) } else { (1, 0) };
                let now = kleene(x(i, 0), x(j, 0), x(i, 0) > x(j, 0));
                let before = kleene(x(i, 1), x(j, 1), x(i, 1) <= x(j, 1));
                if now == 0.0 || before == 0.0 { 0.0 } else { kleene(now, before, true) }
            }
            Op::Hour | Op::Minute | Op::Weekday => {
                let close = BarIndex(first + t as i64).close().to_string();
                let (date, time) = close.split_once('T').unwrap();
                match op {
                    Op::Hour => time[..2].parse().unwrap(),
                    Op::Minute => time[3..5].parse().unwrap(),
                    _ => {
                        let date: jiff::civil::Date = date.parse().unwrap();
                        f64::from(date.weekday().to_monday_zero_offset())
                    }
                }
            }
            other => unreachable!("{other:?} has no row form"),
        }
    }
}

fn known(window: &[f64]) -> Vec<f64> {
    window.iter().copied().filter(|v| !v.is_nan()).collect()
}

pub(crate) fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Weights 1, 2, ... from the oldest row of the window on, over its known rows.
pub(crate) fn weighted(window: &[f64]) -> f64 {
    let known = window.iter().zip(1_u32..).filter(|(v, _)| !v.is_nan());
    let (sum, weights) = known.fold((0.0, 0.0), |(sum, weights), (v, weight)| {
        (sum + f64::from(weight) * v, weights + f64::from(weight))
    });
    sum / weights
}

fn variance(x: &[f64]) -> f64 {
    if x.len() < 2 {
        return U;
    }
    if x.iter().all(|v| *v == x[0]) {
        return 0.0;
    }
    let m = mean(x);
    x.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / (x.len() - 1) as f64
}

/// The variance is positive but has lost its digits against the numbers it came from.
fn is_rounding(variance: f64, numbers: &[f64]) -> bool {
    let largest = numbers.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    variance > 0.0 && variance < 1e-8 * largest * largest
}

fn quantile(x: &[f64], q: f64) -> f64 {
    let mut x = x.to_vec();
    x.sort_by(f64::total_cmp);
    let h = (x.len() - 1) as f64 * q;
    let k = h.floor() as usize;
    if h.floor() == h { x[k] } else { x[k] + (h - h.floor()) * (x[k + 1] - x[k]) }
}

fn mid_rank(all: &[f64], x: f64) -> f64 {
    if x.is_nan() {
        return U;
    }
    let less = all.iter().filter(|v| **v < x).count() as f64;
    let equal = all.iter().filter(|v| **v == x).count() as f64;
    (less + equal / 2.0) / all.len() as f64
}

fn rolling(f: Rolling, window: &[f64], min: usize, t: usize) -> f64 {
    let x = known(window);
    let now = *window.last().unwrap();
    let age = |best: fn(f64, f64) -> bool| {
        if t + 1 < window.len() || window[0].is_nan() {
            return U;
        }
        let extreme = x.iter().copied().fold(x[0], |m, v| if best(v, m) { v } else { m });
        window.iter().rev().position(|v| *v == extreme).unwrap() as f64
    };
    match f {
        Rolling::AgeMax => return age(|a, b| a > b),
        Rolling::AgeMin => return age(|a, b| a < b),
        Rolling::Any if x.contains(&1.0) => return 1.0,
        Rolling::All if x.contains(&0.0) => return 0.0,
        _ => {}
    }
    if x.len() < min {
        return U;
    }
    if matches!(f, Rolling::Std | Rolling::Z | Rolling::Skew) && is_rounding(variance(&x), &x) {
        return SKIP;
    }
    match f {
        Rolling::Sum => x.iter().sum(),
        Rolling::Mean => mean(&x),
        Rolling::Wma => weighted(window),
        Rolling::Var => variance(&x),
        Rolling::Std => variance(&x).sqrt(),
        Rolling::Z => (now - mean(&x)) / variance(&x).sqrt(),
        Rolling::Skew => {
            let (n, m) = (x.len() as f64, mean(&x));
            let s = variance(&x).sqrt();
            if x.len() < 3 || s == 0.0 {
                U
            } else {
                n / ((n - 1.0) * (n - 2.0)) * x.iter().map(|v| ((v - m) / s).powi(3)).sum::<f64>()
            }
        }
        Rolling::Min => x.iter().copied().fold(U, f64::min),
        Rolling::Max => x.iter().copied().fold(U, f64::max),
        Rolling::Quantile(_) | Rolling::PctRank if x.is_empty() => U,
        Rolling::Quantile(q) => quantile(&x, q.get()),
        Rolling::PctRank => mid_rank(&x, now),
        Rolling::Count => x.iter().sum(),
        Rolling::Any => 0.0,
        Rolling::All => 1.0,
        Rolling::AgeMax | Rolling::AgeMin => unreachable!(),
    }
}

fn pair(f: Rolling2, x: &[f64], y: &[f64], min: usize) -> f64 {
    let rows: Vec<(f64, f64)> =
        x.iter().copied().zip(y.iter().copied()).filter(|(x, y)| !x.is_nan() && !y.is_nan()).collect();
    if rows.len() < min.max(2) {
        return U;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
    let (mx, my) = (mean(&x), mean(&y));
    let both = [x.as_slice(), y.as_slice()].concat();
    if f != Rolling2::Cov && (is_rounding(variance(&x), &both) || is_rounding(variance(&y), &both)) {
        return SKIP;
    }
    let cov = rows.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / (rows.len() - 1) as f64;
    match f {
        Rolling2::Cov => cov,
        Rolling2::Beta if variance(&y) == 0.0 => U,
        Rolling2::Beta => cov / variance(&y),
        Rolling2::Corr if variance(&x) == 0.0 || variance(&y) == 0.0 => U,
        Rolling2::Corr => (cov / (variance(&x).sqrt() * variance(&y).sqrt())).clamp(-1.0, 1.0),
    }
}

fn episode(enter: &[f64], exit: &[f64], max: usize) -> Vec<f64> {
    let mut entered: Option<usize> = None;
    (0..enter.len())
        .map(|t| {
            if let Some(start) = entered {
                if exit[t] == 1.0 || t - start == max {
                    entered = None;
                }
            } else if t > 0 && enter[t] == 1.0 && enter[t - 1] == 0.0 && exit[t] != 1.0 {
                entered = Some(t);
            }
            bit(entered.is_some())
        })
        .collect()
}

fn detect(event: &EventNode, inputs: &[&[f64]]) -> Vec<f64> {
    let [when, exit, direction, severity] = [inputs[0], inputs[1], inputs[2], inputs[3]];
    let mut onsets: Vec<usize> = Vec::new();
    for t in 0..when.len() {
        let trigger = match event.onset {
            Onset::Level => when[t] == 1.0,
            Onset::Rising => t > 0 && when[t] == 1.0 && when[t - 1] == 0.0,
        };
        let free = onsets.last().is_none_or(|last| {
            let ended = match (event.has_exit, event.max_bars) {
                (false, None) => t > *last,
                (_, max) => {
                    (last + 1..=t).any(|s| exit[s] == 1.0) || max.is_some_and(|max| t - last >= max as usize)
                }
            };
            ended && t - last >= event.spacing_bars as usize
        });
        let told =
            !direction[t].is_nan() && !severity[t].is_nan() && (event.undirected || direction[t] != 0.0);
        if trigger && free && told {
            onsets.push(t);
        }
    }
    (0..when.len()).map(|t| bit(onsets.contains(&t))).collect()
}

/// Per row: whether an episode is open, the onset row included.
fn active(event: &EventNode, onsets: &[f64], exit: &[f64]) -> Vec<f64> {
    let longest = match (event.has_exit, event.max_bars) {
        (false, None) => 1,
        (_, max) => max.map_or(usize::MAX, |max| max as usize),
    };
    let open = |t: usize| {
        let Some(onset) = (0..=t).rev().find(|s| onsets[*s] == 1.0) else { return false };
        t - onset < longest && !(onset + 1..=t).any(|s| exit[s] == 1.0)
    };
    (0..onsets.len()).map(|t| bit(open(t))).collect()
}

/// Per row: the sign of the direction on the last onset.
fn directions(onsets: &[f64], direction: &[f64]) -> Vec<f64> {
    let last = |t: usize| (0..=t).rev().find(|s| onsets[*s] == 1.0);
    let sign = |d: f64| if d == 0.0 { 0.0 } else { d.signum() };
    (0..onsets.len()).map(|t| last(t).map_or(U, |s| sign(direction[s]))).collect()
}

fn vpin(inputs: &[&[f64]], first: i64, buckets: usize, min: usize) -> Vec<f64> {
    let (mut yields, mut open) = (Vec::new(), None::<(f64, f64, f64)>);
    (0..inputs[0].len())
        .map(|t| {
            let [buy, total, size] = [0, 1, 2].map(|i| inputs[i][t]);
            open = open.filter(|_| (first + t as i64).rem_euclid(288) != 0);
            if !buy.is_nan() && total > 0.0 {
                let mut rest = total;
                while rest > 0.0 {
                    let (size, filled, bought) = match open {
                        Some(bucket) => bucket,
                        None if size > 0.0 => {
                            // Only the last `buckets` full ones can show.
                            rest -= ((rest / size).floor() - buckets as f64).max(0.0) * size;
                            (size, 0.0, 0.0)
                        }
                        None => break,
                    };
                    let part = rest.min(size - filled);
                    let (filled, bought) = (filled + part, bought + part * (buy / total));
                    rest -= part;
                    open = Some((size, filled, bought));
                    if filled >= size * (1.0 - 1e-12) {
                        yields.push((2.0 * bought - filled).abs() / filled);
                        open = None;
                    }
                }
            }
            let last = &yields[yields.len().saturating_sub(buckets)..];
            if last.len() < min.max(1) { U } else { mean(last) }
        })
        .collect()
}
