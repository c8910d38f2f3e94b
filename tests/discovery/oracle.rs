//! Against other people's code: thirteen whole tables once more in numpy and scipy, single procedures in
//! scipy and statsmodels. Skipped, visibly, where Python or a package is not at hand.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use backtestd_core::discovery::cluster::{ClusterSum, ClusterT};
use backtestd_core::discovery::multiplicity::{bh_adjust, by_adjust, ebh_reject};
use backtestd_core::discovery::special::{log_normal_cdf, normal_isf, t_sf};

use super::python::{Wanted, python};
use super::world::Dice;

const PYTHON: Wanted = Wanted {
    venv: "oracle-venv",
    imports: &["numpy", "scipy", "pyarrow", "statsmodels"],
    install: &["numpy", "scipy", "pyarrow", "statsmodels"],
};

#[test]
fn thirteen_tables_through_the_command_agree_with_numpy_and_scipy_in_every_column() {
    let Some(python) = python(&PYTHON) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(root.join("tests/discovery/oracle/main.py"))
        .args([Path::new(env!("CARGO_BIN_EXE_backtestd")), &root.join("spec"), scratch.path()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(last["compared"].as_u64().unwrap() > 10_000, "{said}");
}

/// Reads lines `name, numbers` from stdin and answers each with one line of numbers.
const SCRIPT: &str = r"
import sys, numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
import statsmodels.api as sm
for line in sys.stdin:
    name, *x = line.split()
    x = np.array(x, float)
    if name == 't_sf':
        out = stats.t.sf(x[0::2], x[1::2])
    elif name == 'isf':
        out = stats.norm.isf(x)
    elif name == 'logcdf':
        out = stats.norm.logcdf(x)
    elif name == 'bh':
        out = multipletests(x, method='fdr_bh')[1]
    elif name == 'by':
        out = multipletests(x, method='fdr_by')[1]
    elif name == 'cr1':
        # pairs (cluster, value): the mean as a regression on a constant
        fit = sm.OLS(x[1::2], np.ones(len(x) // 2)).fit(
            cov_type='cluster', cov_kwds={'groups': x[0::2].astype(int), 'use_correction': False})
        g = len(set(x[0::2]))
        out = [fit.params[0], fit.bse[0] * np.sqrt(g / (g - 1))]
    elif name == 'ebh':
        # the definition: the largest k with k e_(k) / m >= 1 / q at q = 0.1
        e = np.sort(x)[::-1]
        out = [max([k for k in range(1, len(e) + 1) if k * e[k - 1] * 0.1 >= len(e)], default=0)]
    print(*[repr(float(v)) for v in out])
";

fn ask(questions: &[(&str, Vec<f64>)]) -> Option<Vec<Vec<f64>>> {
    let python = python(&PYTHON)?;
    let mut text = String::new();
    for (name, numbers) in questions {
        text.push_str(name);
        numbers.iter().for_each(|x| write!(text, " {x:e}").unwrap());
        text.push('\n');
    }
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let numbers = |line: &str| line.split(' ').map(|x| x.parse().unwrap()).collect();
    Some(answers.lines().map(numbers).collect())
}

#[track_caller]
fn agree(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1e-290), "{a:e} {b:e}");
    }
}

#[test]
fn tails_and_quantiles_agree_with_scipy() {
    let mut dice = Dice::new(1);
    let pairs: Vec<f64> =
        (0..400).flat_map(|_| [dice.normal() * 6.0, 1.0 + 200.0 * dice.uniform() * dice.uniform()]).collect();
    let p: Vec<f64> = (0..200).map(|_| libm::exp(-60.0 * dice.uniform())).collect();
    let x: Vec<f64> = (0..200).map(|_| -29.0 * dice.uniform() + 3.0 * dice.uniform()).collect();
    let Some(theirs) = ask(&[("t_sf", pairs.clone()), ("isf", p.clone()), ("logcdf", x.clone())]) else {
        return;
    };
    let t: Vec<f64> = pairs.chunks(2).map(|c| t_sf(c[0], c[1])).collect();
    agree(&t, &theirs[0], 1e-9);
    agree(&p.iter().map(|p| normal_isf(*p)).collect::<Vec<_>>(), &theirs[1], 1e-9);
    agree(&x.iter().map(|x| log_normal_cdf(*x)).collect::<Vec<_>>(), &theirs[2], 1e-9);
}

#[test]
fn adjusted_p_values_agree_with_statsmodels_and_e_bh_with_its_definition() {
    let mut dice = Dice::new(2);
    let sets: Vec<Vec<f64>> = (1..60)
        .map(|n| (0..n).map(|_| libm::exp(-9.0 * dice.uniform() * dice.uniform())).collect())
        .collect();
    let e_sets: Vec<Vec<f64>> =
        (1..60).map(|n| (0..n).map(|_| libm::exp(2.0 * dice.normal() + 1.0)).collect()).collect();
    let mut questions: Vec<(&str, Vec<f64>)> = Vec::new();
    questions.extend(sets.iter().flat_map(|p| [("bh", p.clone()), ("by", p.clone())]));
    questions.extend(e_sets.iter().map(|e| ("ebh", e.clone())));
    let Some(theirs) = ask(&questions) else { return };
    for (i, p) in sets.iter().enumerate() {
        agree(&bh_adjust(p, p.len()), &theirs[2 * i], 1e-12);
        agree(&by_adjust(p, p.len()), &theirs[2 * i + 1], 1e-12);
    }
    for (e, k) in e_sets.iter().zip(&theirs[2 * sets.len()..]) {
        assert_eq!(ebh_reject(e, e.len(), 0.1).0 as f64, k[0]);
    }
}

#[test]
fn the_clustered_error_of_a_mean_agrees_with_a_regression_on_a_constant() {
    let mut dice = Dice::new(3);
    let mut samples = Vec::new();
    for _ in 0..20 {
        let groups = 5 + dice.below(40);
        let mut values = Vec::new();
        for g in 0..groups {
            let common = dice.normal();
            (0..1 + dice.below(9)).for_each(|_| values.extend([g as f64, common + dice.normal() + 0.2]));
        }
        samples.push(values);
    }
    let questions: Vec<(&str, Vec<f64>)> = samples.iter().map(|s| ("cr1", s.clone())).collect();
    let Some(theirs) = ask(&questions) else { return };
    for (sample, theirs) in samples.iter().zip(theirs) {
        let last = sample[sample.len() - 2] as usize;
        let of = |g: usize| sample.chunks(2).filter(move |c| c[0] as usize == g).map(|c| c[1]);
        let sums: Vec<ClusterSum> =
            (0..=last).map(|g| ClusterSum { n: of(g).count() as f64, sum: of(g).sum() }).collect();
        let t = ClusterT::from_sums(sums.iter().copied()).unwrap();
        agree(&[t.mean, t.se_cr1], &theirs, 1e-9);
    }
}
