//! What spoils the outcomes of the nastier worlds, event by event: disasters that come once in many events,
//! days of a wild size, a symbol that hardly moves, absurd prints. None of it gives an event an expected
//! return.

use libm::{log, sqrt};

use super::lab::{Lab, NastySpec, WorldKind};
use super::onsets::Onset;
use super::prices::DAY;
use backtestd_core::market::{Draws, derive};

/// Days of a month of prints.
const MONTH: f64 = 30.0;
/// Degrees of freedom of a day's size.
const DAY_FREEDOM: i32 = 3;

/// Draws what happens to each event of a world, in order.
pub(super) struct Nasty {
    kind: WorldKind,
    spec: NastySpec,
    draws: Draws,
    /// The day whose size was drawn last, and the size.
    size: (usize, f64),
    /// By symbol: the bar of the next absurd print.
    prints: Vec<f64>,
}

/// What happens to the outcomes of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spoiled {
    /// Times every return and the known scale.
    share: f64,
    /// Times the return alone.
    size: f64,
    /// In `sigma_bar sqrt(H)`, in the event's direction.
    jump: f64,
    /// Instead of the return.
    print: Option<f64>,
}

impl Nasty {
    pub(super) fn new(seed: u64, kind: WorldKind, lab: &Lab) -> Self {
        let mut draws = Draws::numbered(derive(seed, "nasty"), 0);
        let spec = lab.nasty.clone();
        let prints = (0..lab.world.symbols).map(|_| wait(&mut draws, &spec)).collect();
        Self { kind, spec, draws, size: (usize::MAX, 1.0), prints }
    }

    /// What happens to an event. Worlds that are not nasty draw nothing.
    pub(super) fn at(&mut self, onset: &Onset) -> Spoiled {
        let mut spoiled = Spoiled { share: 1.0, size: 1.0, jump: 0.0, print: None };
        let [rare1, rare3, rare5] = self.spec.rare_shares;
        match self.kind {
            WorldKind::Rare1 => spoiled.jump = self.disaster(rare1),
            WorldKind::Rare3 => spoiled.jump = self.disaster(rare3),
            WorldKind::Rare5 => spoiled.jump = self.disaster(rare5),
            WorldKind::RareFollow => spoiled.jump = -self.disaster(self.spec.rare_follow_share),
            WorldKind::Tails => spoiled.size = self.size_of(onset.bar as usize / DAY),
            _ => {}
        }
        let is_rough = self.kind == WorldKind::Rough;
        if (is_rough || self.kind == WorldKind::Pegged) && onset.symbol == 0 {
            spoiled.share = self.spec.peg_share;
        }
        if is_rough || self.kind == WorldKind::Prints {
            spoiled.print = self.print(onset);
        }
        spoiled
    }

    /// A jump of the given chance, less what it is worth on average: a gain for who follows, a disaster for
    /// who fades.
    fn disaster(&mut self, chance: f64) -> f64 {
        let happens = self.draws.uniform() < chance;
        self.spec.rare_sigmas * (f64::from(u8::from(happens)) - chance)
    }

    /// The absolute value of a draw from Student's t, once a day: returns that are even stay even.
    fn size_of(&mut self, day: usize) -> f64 {
        if self.size.0 != day {
            let chi: f64 = (0..DAY_FREEDOM).map(|_| self.draws.normal()).map(|x| x * x).sum();
            self.size = (day, (self.draws.normal() / sqrt(chi / f64::from(DAY_FREEDOM))).abs());
        }
        self.size.1
    }

    /// The first event of the symbol after the print is due has it.
    fn print(&mut self, onset: &Onset) -> Option<f64> {
        let due = &mut self.prints[usize::from(onset.symbol)];
        if f64::from(onset.bar) < *due {
            return None;
        }
        *due = f64::from(onset.bar) + wait(&mut self.draws, &self.spec);
        let [low, high] = self.spec.print_sizes;
        Some(self.draws.sign() * self.draws.between(low, high))
    }
}

/// Bars to the next print of a symbol.
fn wait(draws: &mut Draws, spec: &NastySpec) -> f64 {
    -log(draws.uniform()) * MONTH * DAY as f64 / spec.prints_per_month
}

impl Spoiled {
    /// Return and scale of one of the event's outcomes.
    pub(super) fn outcome(self, plain: f64, sigma: f64, direction: i8, bars: u32) -> (f64, f64) {
        if self == (Self { share: 1.0, size: 1.0, jump: 0.0, print: None }) {
            return (plain, sigma);
        }
        let sigma = sigma * self.share;
        let jump = f64::from(direction) * self.jump * sigma * sqrt(f64::from(bars));
        (self.print.unwrap_or(plain * self.share * self.size + jump), sigma)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onset(bar: u32, symbol: u16) -> Onset {
        Onset { bar, symbol, event_type: 0, direction: 1 }
    }

    #[test]
    fn disasters_are_rare_large_and_paid_for() {
        let lab = Lab::default();
        let mut nasty = Nasty::new(1, WorldKind::Rare3, &lab);
        let n = 200_000;
        let jumps: Vec<f64> = (0..n).map(|bar| nasty.at(&onset(bar, 0)).jump).collect();
        let large = jumps.iter().filter(|j| **j > 10.0).count() as f64 / f64::from(n);
        let mean = jumps.iter().sum::<f64>() / f64::from(n);
        assert!((large - 0.03).abs() < 0.002 && mean.abs() < 0.02, "{large} {mean}");
        let against = Nasty::new(1, WorldKind::RareFollow, &lab).at(&onset(0, 0));
        assert!(against.outcome(0.0, 0.001, 1, 4).0 > 0.0, "who follows is paid for the disaster to come");
    }

    #[test]
    fn prints_come_about_once_a_month_and_a_day_has_one_size() {
        let lab = Lab::default();
        let mut nasty = Nasty::new(1, WorldKind::Prints, &lab);
        let bars = 3000 * DAY as u32;
        let prints = (0..bars).step_by(50).filter_map(|bar| nasty.at(&onset(bar, 2)).print);
        assert!((70..135).contains(&prints.count()));
        let mut nasty = Nasty::new(1, WorldKind::Tails, &lab);
        let [a, b, c] = [5, 200, 300].map(|bar| nasty.at(&onset(bar, 0)).size);
        assert!(a == b && b != c);
    }

    #[test]
    fn other_worlds_are_left_as_they_are() {
        let lab = Lab::default();
        let spoiled = Nasty::new(1, WorldKind::Struct, &lab).at(&onset(5, 0));
        assert_eq!(spoiled.outcome(0.01, 0.002, -1, 12), (0.01, 0.002));
    }
}
