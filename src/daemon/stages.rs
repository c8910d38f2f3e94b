//! How long the way from the exchange to a signal takes, stage by stage: histograms that only rise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A stage of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the end of a bar to the arrival of its closing frame, by the daemon's clock.
    Wire,
    /// From the end of a bar to the close of its tick.
    Close,
    /// Pushing rows through the graph.
    Graph,
    /// Writing what they made.
    Commit,
    /// From the end of a bar to its signals.
    Signal,
    /// A discovery run that ended, up to the published version.
    Publish,
}

impl Stage {
    /// Every stage, in the order of the way.
    pub const ALL: [Self; 6] =
        [Self::Wire, Self::Close, Self::Graph, Self::Commit, Self::Signal, Self::Publish];

    /// The value of the label `stage`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Close => "close",
            Self::Graph => "graph",
            Self::Commit => "commit",
            Self::Signal => "signal",
            Self::Publish => "publish",
        }
    }
}

/// Upper bounds of the buckets, seconds: from a quick commit to a long run.
pub(super) const BOUNDS_S: [f64; 12] =
    [0.001, 0.005, 0.02, 0.1, 0.3, 1.0, 3.0, 8.0, 30.0, 120.0, 600.0, 3600.0];

/// Counts of one stage.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS_S.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

/// The histograms of all stages.
#[derive(Debug, Default)]
pub struct Stages([Histogram; Stage::ALL.len()]);

/// One stage as it is shown: counts up to each bound, all, and their sum in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Observations of at most each of [`BOUNDS_S`].
    pub up_to: [u64; BOUNDS_S.len()],
    /// Number of observations.
    pub count: u64,
    /// Their sum, seconds.
    pub sum_s: f64,
}

impl Stages {
    /// Notes a duration.
    pub fn observe(&self, stage: Stage, took: Duration) {
        let histogram = &self.0[stage as usize];
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS_S.iter().position(|bound| seconds <= *bound) {
            histogram.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        histogram.count.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        histogram.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// Notes a duration by the daemon's clock; one that is negative (a clock was behind) counts as none.
    pub fn observe_ms(&self, stage: Stage, ms: i64) {
        self.observe(stage, Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    }

    /// The counts of a stage.
    #[must_use]
    pub fn shown(&self, stage: Stage) -> Shown {
        let histogram = &self.0[stage as usize];
        let mut up_to = [0; BOUNDS_S.len()];
        let mut below = 0;
        for (shown, bucket) in up_to.iter_mut().zip(&histogram.buckets) {
            below += bucket.load(Ordering::Relaxed);
            *shown = below;
        }
        Shown {
            up_to,
            count: histogram.count.load(Ordering::Relaxed),
            sum_s: histogram.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_the_last_one_is_everything() {
        let stages = Stages::default();
        for ms in [0, 2, 4, 250, 250, 7_200_000] {
            stages.observe_ms(Stage::Close, ms);
        }
        stages.observe_ms(Stage::Close, -5);
        let shown = stages.shown(Stage::Close);
        assert_eq!((shown.up_to[0], shown.up_to[1], shown.up_to[4]), (2, 4, 6));
        assert_eq!((shown.up_to[11], shown.count), (6, 7), "two hours are beyond every bound");
        assert!((shown.sum_s - 7200.506).abs() < 1e-9);
        assert_eq!(stages.shown(Stage::Wire).count, 0);
    }
}
