//! Life after publication: a Shiryaev-Roberts e-detector for "the edge is below its floor" (Shin, Ramdas and Rinaldo
//! 2024). While the mean is at or above the floor, the mean time until `R >= A` is at least `A` active days.

use super::eprocess::{MixParams, RunningScale};

/// Detector state.
#[derive(Clone, Debug, PartialEq)]
pub struct RetireDetector {
    scale: RunningScale,
    wealth: Vec<f64>,
    bets: Vec<f64>,
    clip: f64,
    decay: f64,
}

impl RetireDetector {
    /// With bet sizes `bets` (each below `1/clip`), day scores clipped at `clip` scales.
    #[must_use]
    pub fn new(bets: &[f64], clip: f64, params: &MixParams) -> Self {
        Self {
            scale: RunningScale::new(params.scale_prior),
            wealth: vec![0.0; bets.len()],
            bets: bets.to_vec(),
            clip,
            decay: params.scale_decay,
        }
    }

    /// Takes a day's gross score and weight in the traded direction; `floor` is the least acceptable return per trade,
    /// decimal. Returns the mean of `R = (R + 1)(1 + l y)` over the bets, `y = -(z - floor W) / scale`, clipped.
    pub fn step(&mut self, z: f64, weight: f64, floor: f64) -> f64 {
        let scale = self.scale.step(z, self.decay);
        let y = (-(z - floor * weight) / scale).clamp(-self.clip, self.clip);
        let mut sum = 0.0;
        for (r, l) in self.wealth.iter_mut().zip(&self.bets) {
            *r = (*r + 1.0) * (1.0 + l * y);
            sum += *r;
        }
        sum / super::cluster::count(self.wealth.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::eprocess::lab_params;

    fn run(mean: f64) -> f64 {
        let mut detector = RetireDetector::new(&[0.05, 0.1, 0.2], 4.0, &lab_params());
        (0..200)
            .map(|i| detector.step(mean + if i % 2 == 0 { 1.0 } else { -1.0 }, 400.0, 0.0))
            .fold(0.0, f64::max)
    }

    #[test]
    fn a_dead_edge_is_retired_and_a_living_one_is_not() {
        assert!(run(-0.5) > 1000.0);
        assert!(run(0.5) < 200.0);
    }
}
