//! Events of the lab: they come when the market is hot, they come in bursts, and some hit every symbol at
//! once.

use libm::{log, pow, sqrt};

use super::lab::WorldSpec;
use super::prices::{DAY, Path};
use backtestd_core::market::{Draws, derive};

/// One detection of the lab, on a symbol's bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Onset {
    /// Deciding bar, from the first day of the study.
    pub bar: u32,
    /// Number of the symbol, from 0.
    pub symbol: u16,
    /// Event type number.
    pub event_type: u16,
    /// -1 or 1.
    pub direction: i8,
}

/// Every detection of the world, sorted by (bar, symbol, event type).
pub(super) fn onsets(seed: u64, world: &WorldSpec, paths: &[Path]) -> Vec<Onset> {
    let mut out = Vec::new();
    for event_type in 0..world.event_types {
        of_type(derive(seed, &format!("event {event_type}")), event_type, world, paths, &mut out);
    }
    out.sort_unstable();
    out
}

/// Inverse of the cumulated intensity: the next onset comes when an exponential has been used up.
struct Clock {
    left: f64,
    excited_until: usize,
}

fn of_type(key: u64, number: usize, world: &WorldSpec, paths: &[Path], out: &mut Vec<Onset>) {
    let mut draws = Draws::numbered(key, 0);
    let [low, high] = world.events_per_symbol_day;
    let place = (number as f64 + draws.uniform()) / world.event_types as f64;
    // Bursts multiply the rate by about 1 + (excitation - 1) x bars x rate; small enough to leave alone.
    let per_bar = low * pow(high / low, place) / DAY as f64;
    let wide = draws.between(world.market_wide[0], world.market_wide[1]);
    let trailing = world.trailing_bars[(draws.uniform() * world.trailing_bars.len() as f64) as usize];
    let is_long = number % world.always_long_every == world.always_long_every - 1;
    let side = |path: &Path, bar: usize| -> i8 {
        if is_long || path.close[bar] >= path.close[bar.saturating_sub(trailing)] { 1 } else { -1 }
    };
    let (calm, hot) = (1.0 - world.volatility_share, world.volatility_share);
    let next = |draws: &mut Draws| -log(draws.uniform());

    let bars = paths.first().map_or(0, |p| p.close.len());
    let mut common = Clock { left: next(&mut draws), excited_until: 0 };
    let mut own: Vec<Clock> =
        paths.iter().map(|_| Clock { left: next(&mut draws), excited_until: 0 }).collect();
    let ticks = |clock: &mut Clock, bar: usize, rate: f64| {
        clock.left -= if bar < clock.excited_until { rate * world.excitation } else { rate };
        clock.left <= 0.0
    };
    let excited = world.excitation_bars as usize;
    for bar in 1..bars {
        // The first symbol's volatility stands for the market's: they move together.
        let heat = calm + hot * sqrt(f64::from(paths[0].heat[bar]));
        let all_at_once = ticks(&mut common, bar, per_bar * wide * heat);
        if all_at_once {
            common = Clock { left: next(&mut draws), excited_until: bar + excited };
        }
        for (symbol, (path, clock)) in paths.iter().zip(&mut own).enumerate() {
            let heat = calm + hot * sqrt(f64::from(path.heat[bar]));
            let mut fires = ticks(clock, bar, per_bar * (1.0 - wide) * heat);
            if fires {
                *clock = Clock { left: next(&mut draws), excited_until: bar + excited };
            }
            fires |= all_at_once && draws.uniform() < world.market_wide_reach;
            if fires {
                out.push(Onset {
                    bar: bar as u32,
                    symbol: symbol as u16,
                    event_type: number as u16,
                    direction: side(path, bar),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::lab::{Lab, WorldKind};
    use crate::calibrate::prices::paths;

    #[test]
    fn events_cluster_in_hot_markets_and_rates_span_the_declared_range() {
        let lab = Lab::default();
        let days = 300;
        let paths = paths(3, WorldKind::Null, &lab, days);
        let onsets = onsets(3, &lab.world, &paths);
        assert!(onsets.windows(2).all(|w| w[0] < w[1]), "sorted, each detection once");
        let count = |t: u16| onsets.iter().filter(|o| o.event_type == t).count() as f64 / 8.0 / days as f64;
        assert!(count(0) < 0.3 && count(19) > 0.6, "{} {}", count(0), count(19));
        let at_onsets = onsets.iter().map(|o| f64::from(paths[o.symbol as usize].heat[o.bar as usize]));
        let mean_heat = at_onsets.sum::<f64>() / onsets.len() as f64;
        let everywhere: f64 =
            paths[0].heat.iter().map(|h| f64::from(*h)).sum::<f64>() / paths[0].heat.len() as f64;
        assert!(mean_heat > 1.2 * everywhere, "{mean_heat} {everywhere}");
        let longs = onsets.iter().filter(|o| o.event_type == 4);
        assert!(longs.clone().all(|o| o.direction == 1) && longs.count() > 0);
    }
}
