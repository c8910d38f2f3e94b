//! pandas as a second opinion, for what it has. Skipped, visibly, where python3 with numpy and pandas is not
//! at hand.

use std::io::Write as _;
use std::process::{Command, Stdio};

use backtestd_core::graph::engine::{Engine, EngineOptions};
use backtestd_core::graph::{Literal, Op, Rolling, Rolling2};
use backtestd_core::market::{BarIndex, Source, TickBlock};

use super::build::{Build, Noise, columns, roll, symbol};
use super::recorded::skipped;
use super::run;
use super::table::compiled;

/// Reads rows `x,y` from stdin, prints a row of statistics for each.
const SCRIPT: &str = r"
import math, sys, numpy as np, pandas as pd
df = pd.read_csv(sys.stdin, names=['x', 'y'])
x, y = df.x, df.y
out = {}
def wma(s, w, m):
    def mean(v):
        k = ~np.isnan(v)
        return np.average(v[k], weights=np.arange(1, len(v) + 1)[k])
    # With rows before the first one: a short window weighs its rows as a long one does.
    padded = pd.concat([pd.Series([np.nan] * w), s], ignore_index=True)
    return padded.rolling(w, min_periods=m).apply(mean, raw=True).iloc[w:].reset_index(drop=True)
def hma(s, w, m):
    part = lambda n: -(-m * n // w)
    ahead = 2 * wma(s, w // 2, part(w // 2)) - wma(s, w, m)
    root = math.isqrt(w)
    return wma(ahead, root, part(root))
for w, m in WINDOWS:
    r = x.rolling(w, min_periods=m)
    p = x.rolling(w, min_periods=m)
    n = x.rolling(w, min_periods=1).count()
    out[f'sum{w}'], out[f'mean{w}'], out[f'std{w}'], out[f'var{w}'] = r.sum(), r.mean(), r.std(), r.var()
    out[f'skew{w}'], out[f'min{w}'], out[f'max{w}'] = r.skew(), r.min(), r.max()
    out[f'med{w}'], out[f'q10{w}'], out[f'q97{w}'] = r.median(), r.quantile(0.10), r.quantile(0.97)
    # pandas counts a tie's upper half: its average rank is less + (equal + 1) / 2.
    out[f'rank{w}'] = r.rank(pct=True) - 0.5 / n
    out[f'corr{w}'], out[f'cov{w}'] = p.corr(y), p.cov(y)
    out[f'wma{w}'] = wma(x, w, m)
for h, m in [(3, 3), (20.5, 10)]:
    out[f'ewm{h}'] = x.ewm(halflife=h, adjust=False, ignore_na=True, min_periods=m).mean()
for w, m in [(16, 8), (55, 40), (200, 120)]:
    out[f'hma{w}'] = hma(x, w, m)
pd.DataFrame(out).to_csv(sys.stdout, header=False, index=False, na_rep='nan')
";

const WINDOWS: [(u32, u32); 4] = [(5, 3), (12, 12), (96, 72), (288, 144)];

fn data(rows: usize) -> (Vec<f64>, Vec<f64>) {
    let mut noise = Noise(20);
    let mut level = 100.0;
    let mut pair = || {
        level += noise.normal();
        // Rounding makes ties.
        let x = (level * 4.0).round() / 4.0;
        let y = 0.5 * level + noise.normal();
        let gap = |v: f64, u: u64| if u.is_multiple_of(40) { f64::NAN } else { v };
        (gap(x, noise.next()), gap(y, noise.next()))
    };
    (0..rows).map(|_| pair()).unzip()
}

/// The same columns in the same order, by the engine.
fn ours(x: &[f64], y: &[f64]) -> Vec<Vec<f64>> {
    let mut b = Build::default();
    let (nx, ny) = (b.source(Source::Close), b.source(Source::Volume));
    let quantile = |q| Rolling::Quantile(Literal::new(q));
    for (w, min) in WINDOWS {
        for f in [
            Rolling::Sum,
            Rolling::Mean,
            Rolling::Std,
            Rolling::Var,
            Rolling::Skew,
            Rolling::Min,
            Rolling::Max,
            quantile(0.5),
            quantile(0.1),
            quantile(0.97),
            Rolling::PctRank,
        ] {
            b.node(roll(f, w, min), &[nx]);
        }
        for f in [Rolling2::Corr, Rolling2::Cov] {
            b.node(Op::Roll2 { f, window: w, min }, &[nx, ny]);
        }
        b.node(roll(Rolling::Wma, w, min), &[nx]);
    }
    for (halflife, min) in [(3.0, 3), (20.5, 10)] {
        b.node(Op::Ewm { halflife: Literal::new(halflife), min }, &[nx]);
    }
    let columns = columns(&[(Source::Close, x.to_vec()), (Source::Volume, y.to_vec())]);
    let block = TickBlock { first: BarIndex(5_800_123), rows: x.len(), symbols: vec![columns] };
    let mut engine = Engine::new(b.done(), &[symbol("BTCUSDT")], block.first, EngineOptions::BATCH);
    let out = engine.push(&block).unwrap();
    let mut all: Vec<Vec<f64>> = out.symbols[0].features.iter().skip(2).map(<[f64]>::to_vec).collect();
    // `hma` is made of several nodes: by its call.
    let calls = [(16, 8), (55, 40), (200, 120)].map(|(w, m)| format!("hma(close, window={w}, min={m})"));
    let calls: Vec<(&str, &str)> = calls.iter().map(|call| ("hma", call.as_str())).collect();
    let out = run(&compiled(&calls), &[symbol("BTCUSDT")], &block, EngineOptions::BATCH);
    all.extend(out.symbols[0].features.iter().map(<[f64]>::to_vec));
    all
}

fn pandas(x: &[f64], y: &[f64]) -> Option<Vec<Vec<f64>>> {
    let windows: Vec<String> = WINDOWS.iter().map(|(w, m)| format!("({w},{m})")).collect();
    let script = SCRIPT.replace("WINDOWS", &format!("[{}]", windows.join(",")));
    let probe = Command::new("python3").args(["-c", "import numpy, pandas"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut child = Command::new("python3")
        .args(["-W", "ignore", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let rows: String = x.iter().zip(y).map(|(x, y)| format!("{x},{y}\n")).collect();
    child.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    let table: Vec<Vec<f64>> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split(',').map(|v| v.parse().unwrap()).collect())
        .collect();
    Some((0..table[0].len()).map(|c| table.iter().map(|row| row[c]).collect()).collect())
}

#[test]
fn rolling_statistics_agree_with_pandas() {
    let (x, y) = data(3000);
    let Some(theirs) = pandas(&x, &y) else {
        skipped("python3 with numpy and pandas is not at hand, so pandas was not asked");
        return;
    };
    let ours = ours(&x, &y);
    assert_eq!(ours.len(), theirs.len());
    for (c, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours.len(), theirs.len());
        let mut compared = 0;
        for (t, (a, b)) in ours.iter().zip(theirs).enumerate() {
            let same = (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-7 * (1.0 + b.abs());
            assert!(same, "column {c} row {t}: {a} here, {b} in pandas");
            compared += usize::from(!a.is_nan());
        }
        assert!(compared > 1000, "column {c} has only {compared} known rows");
    }
}
