//! Real day scores as a null: taken from an evidence book, centred, drawn anew by day. The mean is then zero
//! by construction, while skewness and tails are the market's own. Left-skewed scores (the fade side of
//! continuation) are where evidence processes break first.

use serde::Serialize;

use super::lab::Acceptance;
use super::many::{JobsError, many};
use super::tally::Estimate;
use backtestd_core::discovery::cluster::count;
use backtestd_core::discovery::eprocess::MixParams;
use backtestd_core::discovery::signs::SignProcesses;
use backtestd_core::discovery::{Catalogue, EvidenceBook};
use backtestd_core::market::{Draws, derive};

/// The day scores of one unit, gross, follow side.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSeries {
    /// What it is, for people.
    pub name: String,
    /// One score per active day, centred.
    pub scores: Vec<f64>,
}

/// `P(p_any <= a) / a` over resampled series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoresTally {
    /// Number of series resampled.
    pub series: usize,
    /// Draws of each.
    pub draws: usize,
    /// Days per draw.
    pub days: usize,
    /// Median skewness of the follow side.
    pub median_skewness: f64,
    /// Fade side, by level.
    pub fade: Vec<(f64, Estimate)>,
    /// Follow side, by level.
    pub follow: Vec<(f64, Estimate)>,
}

/// The unconditional single-symbol series with at least `least_days` active days.
#[must_use]
pub fn real_series(catalogue: &Catalogue, book: &EvidenceBook, least_days: usize) -> Vec<ScoreSeries> {
    let mut out = Vec::new();
    for (at, block) in catalogue.blocks.iter().enumerate() {
        for (scope, symbol) in catalogue.symbols.iter().enumerate() {
            let days = book.days(at, catalogue.local(at, scope, 0));
            let finite = days.iter().all(|d| d.z.is_finite());
            if days.len() >= least_days && finite {
                let mean = days.iter().map(|d| d.z).sum::<f64>() / count(days.len());
                out.push(ScoreSeries {
                    name: format!("{} {symbol} {}", block.event_type, block.horizon.label),
                    scores: days.iter().map(|d| d.z - mean).collect(),
                });
            }
        }
    }
    out
}

/// Draws every series `draws` times and lets both sides' processes run over it.
///
/// # Errors
/// When the threads cannot be started.
pub fn resample(
    series: &[ScoreSeries],
    seed: u64,
    draws: usize,
    jobs: usize,
    params: &MixParams,
    acceptance: &Acceptance,
    done: &(dyn Fn() + Sync),
) -> Result<ScoresTally, JobsError> {
    let levels = &acceptance.scores_levels;
    let one = |at: usize| -> [Vec<usize>; 2] {
        let s = &series[at];
        let mut dice = Draws::numbered(derive(seed, &s.name), 0);
        let mut below = [vec![0; levels.len()], vec![0; levels.len()]];
        for _ in 0..draws {
            let mut sides = SignProcesses::<2>::new(params);
            for _ in 0..acceptance.scores_days {
                let z = s.scores[(dice.uniform() * s.scores.len() as f64) as usize];
                sides.step([z, -z], params);
            }
            for (side, counts) in below.iter_mut().enumerate() {
                let p = sides.sign(side).p_any();
                counts.iter_mut().zip(levels).for_each(|(n, level)| *n += usize::from(p <= *level));
            }
        }
        below
    };
    let counts = many(series.len(), jobs, &one, done)?;
    let ratio = |side: usize| -> Vec<(f64, Estimate)> {
        let of_level = |(at, level): (usize, &f64)| {
            let by_series: Vec<(f64, f64)> =
                counts.iter().map(|c| (count(c[side][at]) / level, count(draws))).collect();
            (*level, Estimate::ratio(&by_series))
        };
        levels.iter().enumerate().map(of_level).collect()
    };
    let mut skews: Vec<f64> = series.iter().map(|s| skewness(&s.scores)).collect();
    skews.sort_by(f64::total_cmp);
    Ok(ScoresTally {
        series: series.len(),
        draws,
        days: acceptance.scores_days,
        median_skewness: skews.get(skews.len() / 2).copied().unwrap_or(f64::NAN),
        follow: ratio(0),
        fade: ratio(1),
    })
}

/// Of centred numbers.
fn skewness(x: &[f64]) -> f64 {
    let n = count(x.len());
    let second = x.iter().map(|v| v * v).sum::<f64>() / n;
    let third = x.iter().map(|v| v * v * v).sum::<f64>() / n;
    third / (second * libm::sqrt(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::lab::Lab;
    use backtestd_core::spec::gates::GatesSpec;

    #[test]
    fn an_even_series_is_calibrated_on_both_sides() {
        let mut dice = Draws::numbered(8, 0);
        let scores: Vec<f64> = (0..300).map(|_| dice.normal()).flat_map(|z| [z, -z]).collect();
        let series = [ScoreSeries { name: "even".to_owned(), scores }];
        let mut acceptance = Lab::default().acceptance;
        acceptance.scores_levels = vec![0.1];
        let gates: GatesSpec = serde_saphyr::from_str(include_str!("../../../spec/gates.yaml")).unwrap();
        let params = MixParams::from(&gates.evidence);
        let tally = resample(&series, 1, 2000, 2, &params, &acceptance, &|| ()).unwrap();
        for (_, ratio) in tally.fade.iter().chain(&tally.follow) {
            let ratio = ratio.value.unwrap();
            assert!(ratio > 0.1 && ratio < 1.15, "{ratio}");
        }
        assert!(tally.median_skewness.abs() < 1e-9);
    }
}
