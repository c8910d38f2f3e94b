//! Probability of backtest overfitting by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez
//! de Prado and Zhu 2017): the days are cut into S blocks; for every choice of half of them, the strategy
//! that is best there is looked up in the other half. PBO is the share of choices in which it lies in the
//! lower half there.

use libm::sqrt;
use serde::Serialize;

use crate::discovery::cluster::count;

/// How likely the best was chosen by chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overfitting {
    /// Strategies that are chosen from.
    pub strategies: u64,
    /// Blocks of days.
    pub blocks: u64,
    /// Choices of half of the blocks.
    pub combinations: u64,
    /// Share of choices whose best strategy is at or below the median in the other half.
    pub pbo: f64,
}

/// Sums of one strategy over some days.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: usize,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum, squares: self.squares + other.squares }
    }

    /// Mean over sd; 0 where nothing moves.
    fn ratio(self) -> f64 {
        let n = count(self.n);
        let mean = self.sum / n;
        let variance = self.squares / n - mean * mean;
        if variance > f64::EPSILON * self.squares / n { mean / sqrt(variance) } else { 0.0 }
    }
}

/// Over `strategies`, each with its returns day by day; the last days that fill no block are left out. `None`
/// with fewer than two strategies, an odd number of blocks, or fewer than two days a block.
#[must_use]
pub(super) fn overfitting(strategies: &[Vec<f64>], blocks: usize) -> Option<Overfitting> {
    let days = strategies.iter().map(Vec::len).min()?;
    let length = days.checked_div(blocks)?;
    if strategies.len() < 2 || !blocks.is_multiple_of(2) || length < 2 {
        return None;
    }
    let sums: Vec<Vec<Sums>> =
        strategies.iter().map(|days| days.chunks_exact(length).take(blocks).map(sums_of).collect()).collect();
    let (mut combinations, mut below) = (0_u64, 0_u64);
    for chosen in (0_u32..1 << blocks).filter(|set| set.count_ones() as usize * 2 == blocks) {
        combinations += 1;
        let over = |blocks_of: &[Sums], inside: bool| {
            let parts = blocks_of.iter().enumerate().filter(|(b, _)| (chosen >> b & 1 == 1) == inside);
            parts.fold(Sums::default(), |sum, (_, part)| sum.add(*part)).ratio()
        };
        let Some((best, _)) = sums
            .iter()
            .map(|s| over(s, true))
            .enumerate()
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
        else {
            continue;
        };
        let outside: Vec<f64> = sums.iter().map(|s| over(s, false)).collect();
        // Rank among all, ties in the middle: at most half of N + 1 is at or below the median.
        let lower = outside.iter().filter(|x| **x < outside[best]).count();
        let equal = outside.iter().filter(|x| **x == outside[best]).count();
        let rank = count(lower) + 0.5 * (count(equal) + 1.0);
        below += u64::from(rank / count(outside.len() + 1) <= 0.5);
    }
    Some(Overfitting {
        strategies: strategies.len() as u64,
        blocks: blocks as u64,
        combinations,
        pbo: below as f64 / combinations as f64,
    })
}

fn sums_of(days: &[f64]) -> Sums {
    days.iter().fold(Sums::default(), |s, x| s.add(Sums { n: 1, sum: *x, squares: x * x }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Draws;

    #[test]
    fn two_strategies_and_two_blocks_by_hand() {
        // Best where it was chosen, worst elsewhere, both ways: certain overfitting.
        let swapped = [vec![3.0, 2.0, -3.0, -2.0], vec![-3.0, -2.0, 3.0, 2.0]];
        let found = overfitting(&swapped, 2).unwrap();
        assert_eq!((found.combinations, found.pbo), (2, 1.0));
        // One is better everywhere.
        let steady = [vec![3.0, 2.0, 3.0, 2.0], vec![1.0, -1.0, 1.0, -1.0]];
        assert_eq!(overfitting(&steady, 2).unwrap().pbo, 0.0);
        // Three strategies: the best of block 1 (first) is in the middle of block 2, rank 2 of 3, 2/4 = the
        // median: below. The best of block 2 (second: 9.0) is last in block 1.
        let three = [vec![5.0, 6.0, 1.0, 2.0], vec![-5.0, -6.0, 8.0, 9.0], vec![1.0, 2.0, -1.0, -2.0]];
        assert_eq!(overfitting(&three, 2).unwrap().pbo, 1.0);
    }

    #[test]
    fn of_noise_about_half_is_overfitting_and_of_an_edge_nothing_is() {
        let noise = |key: u64, edge: f64| -> Vec<f64> {
            (0..160).map(|day| edge + Draws::numbered(key, day).normal()).collect()
        };
        let pbo: f64 = (0..20)
            .map(|world| {
                let all: Vec<Vec<f64>> = (0..10).map(|s| noise(1000 * world + s, 0.0)).collect();
                overfitting(&all, 8).unwrap().pbo
            })
            .sum::<f64>()
            / 20.0;
        assert!((0.35..0.65).contains(&pbo), "{pbo}");
        let mut all: Vec<Vec<f64>> = (0..10).map(|s| noise(77 + s, 0.0)).collect();
        all[3] = noise(5, 1.0);
        let found = overfitting(&all, 8).unwrap();
        assert_eq!((found.combinations, found.pbo), (70, 0.0));
    }

    #[test]
    fn a_sample_that_is_too_small_is_not_asked() {
        assert_eq!(overfitting(&[vec![1.0; 40]], 8), None);
        assert_eq!(overfitting(&[vec![1.0; 15], vec![2.0; 15]], 8), None);
        assert_eq!(overfitting(&[], 8), None);
    }
}
