//! The clock of a trading day: two humps (Asian morning, the London to New York overlap) and quiet weekends.

use backtestd_core::market::{BARS_PER_DAY, BarIndex};

/// Log factors of the time of day: their day mean is about zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    /// Log factor of the time of day on volatility.
    pub volatility: f64,
    /// Log factor of the time of day on turnover.
    pub turnover: f64,
}

/// The table of one week, so that a bar costs a look-up.
#[derive(Clone, Debug)]
pub(crate) struct Diurnal {
    day: Vec<f64>,
}

impl Diurnal {
    pub(crate) fn new() -> Self {
        let bump = |hour: f64, centre: f64, width: f64| {
            let away = (hour - centre).abs();
            let away = away.min(24.0 - away) / width;
            libm::exp(-0.5 * away * away)
        };
        let raw: Vec<f64> = (0..BARS_PER_DAY)
            .map(|slot| {
                let hour = slot as f64 / 12.0;
                0.75 * bump(hour, 14.7, 2.4) + 0.30 * bump(hour, 0.8, 2.0) + 0.22 * bump(hour, 8.0, 1.6)
            })
            .collect();
        let mean = raw.iter().sum::<f64>() / raw.len() as f64;
        Self { day: raw.into_iter().map(|x| x - mean).collect() }
    }

    pub(crate) fn at(&self, bar: BarIndex) -> Clock {
        let slot = bar.0.rem_euclid(BARS_PER_DAY);
        // Day 0 of the epoch was a Thursday: 2 is Saturday, 3 Sunday.
        let is_weekend = matches!(bar.open().day().rem_euclid(7), 2 | 3);
        let hour_of_day = self.day[usize::try_from(slot).unwrap_or(0)];
        let weekend = if is_weekend { -0.30 } else { 0.08 };
        Clock { volatility: hour_of_day + weekend, turnover: 1.5 * hour_of_day + 1.4 * weekend }
    }
}
