//! Bars that look as if they had been stored before they closed.
//!
//! A collector that saves the running bar leaves a record that looks like any other: prices in order, times
//! on the grid. Things that give it away: its close is not where the next bar opens, by far more than
//! elsewhere in the table; it has far fewer trades than its surroundings; it is the last row that its
//! collector wrote. The same is true of the last bar before the exchange halts. So a single such bar is *in
//! doubt*. Several of them in one table show what kind of collector wrote it: then they are *unfinished*, and
//! what looks only a little like them is too.
//!
//! The surroundings are judged without the bars that are suspected already, so that a run of them does not
//! hide itself.

use backtestd_core::market::{Bar, BarIndex, Market, Symbol};

/// How sure it is that a bar was stored before it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It was: its table has many of its kind.
    Unfinished,
    /// Perhaps; or it is the last bar before a halt.
    InDoubt,
}

/// A bar that looks as if it had been stored before it closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The symbol that it is of.
    pub symbol: Symbol,
    /// The market that it belongs to.
    pub market: Market,
    /// The bar that it belongs to.
    pub bar: BarIndex,
    /// How sure that is.
    pub certainty: Certainty,
    /// What gives it away.
    pub reason: String,
}

/// Shorter tables say too little about what is usual.
const MIN_BARS: usize = 50;
/// A suspicious jump from close to open is at least this many times the 90th percentile of jumps,
const TIMES_USUAL: f64 = 8.0;
/// at least so many of the smallest steps of the price,
const MIN_STEPS: f64 = 4.0;
/// and at least this many bps.
const MIN_JUMP_BPS: f64 = 0.5;
/// So many times the limit is suspicious with any number of trades below the usual.
const WIDE: f64 = 4.0;
/// Shares of the usual number of trades: of a bar that jumps, of one that is suspicious alone, of one without
/// a jump.
const FEW: f64 = 0.5;
const FEWER: f64 = 0.25;
const FEWEST: f64 = 0.1;
/// Bars on each side that make up the surroundings, and how many of them must be known.
const AROUND: usize = 12;
const FAR_AROUND: usize = 288;
const MIN_AROUND: usize = 6;
/// With fewer trades than this a bar may have any number of them by chance.
const MIN_TRADES: f64 = 50.0;
/// So many clear cases, and so many in a thousand bars, show that a table has unfinished bars.
const PROOF: usize = 3;
const PROOF_PER_MILLE: usize = 1;
/// Rounds in which suspected bars are taken out of the surroundings.
const ROUNDS: usize = 4;

/// Looks through the bars of a table, in order of time.
pub(super) fn search(symbol: &Symbol, market: Market, bars: &[Bar]) -> Vec<Suspect> {
    if bars.len() < MIN_BARS {
        return Vec::new();
    }
    let mut view = View::new(bars);
    for _ in 0..ROUNDS {
        let strong: Vec<bool> = (0..bars.len()).map(|i| view.is_strong(i)).collect();
        if strong == view.strong {
            break;
        }
        view.strong = strong;
        view.usual_jump = view.usual_jump();
    }
    // Volumes alone prove little.
    let count = (0..bars.len()).filter(|i| view.strong[*i] && !bars[*i].trades.is_nan()).count();
    let is_proven = count >= PROOF && count * 1000 >= bars.len() * PROOF_PER_MILLE;
    let certainty = if is_proven { Certainty::Unfinished } else { Certainty::InDoubt };
    (0..bars.len())
        .filter(|i| view.is_suspect(*i, is_proven))
        .map(|i| Suspect {
            symbol: symbol.clone(),
            market,
            bar: bars[i].bar,
            certainty,
            reason: view.reason(i),
        })
        .collect()
}

struct View<'a> {
    bars: &'a [Bar],
    /// From each close to the next open, bps; NaN across a gap.
    jumps: Vec<f64>,
    /// Their 90th percentile, suspected bars left out.
    usual_jump: f64,
    /// Smallest step of the price.
    step: f64,
    strong: Vec<bool>,
}

impl<'a> View<'a> {
    fn new(bars: &'a [Bar]) -> Self {
        let jump = |pair: &[Bar]| {
            let follows = pair[1].bar == pair[0].bar.next();
            if follows { ((pair[1].open / pair[0].close - 1.0) * 1e4).abs() } else { f64::NAN }
        };
        let jumps: Vec<f64> = bars.windows(2).map(jump).chain([f64::NAN]).collect();
        let steps = bars.iter().flat_map(|b| {
            [(b.close - b.open).abs(), b.high - b.open.max(b.close), b.open.min(b.close) - b.low]
        });
        let between = bars.windows(2).map(|pair| (pair[1].open - pair[0].close).abs());
        let noise = bars.first().map_or(0.0, |b| b.close * 1e-9);
        let step = steps.chain(between).filter(|s| *s > noise).fold(f64::INFINITY, f64::min);
        let mut view = Self { bars, jumps, usual_jump: 0.0, step, strong: vec![false; bars.len()] };
        view.usual_jump = view.usual_jump();
        view
    }

    fn usual_jump(&self) -> f64 {
        let rest = self.jumps.iter().zip(&self.strong).filter(|(_, strong)| !**strong);
        quantile(rest.map(|(jump, _)| *jump), 0.9)
    }

    fn limit_bps(&self, at: usize) -> f64 {
        let steps = MIN_STEPS * self.step / self.bars[at].close * 1e4;
        (TIMES_USUAL * self.usual_jump).max(MIN_JUMP_BPS).max(if steps.is_finite() { steps } else { 0.0 })
    }

    /// Few trades, and the next bar opens elsewhere.
    fn is_strong(&self, at: usize) -> bool {
        // Most bars jump by nothing.
        let jump = self.jumps[at];
        if jump.is_nan() || jump < MIN_JUMP_BPS || self.is_quiet(at) || self.is_quiet(at + 1) {
            return false;
        }
        let (limit, share) = (self.limit_bps(at), self.share(at));
        // In the middle of a long run its neighbours are no measure.
        let wide = jump > WIDE * limit && (share < 1.0 || self.share_within(at, FAR_AROUND) < FEW);
        (jump > limit && share < FEW) || wide
    }

    fn is_suspect(&self, at: usize, is_proven: bool) -> bool {
        if self.is_quiet(at) {
            return false;
        }
        let share = self.share(at);
        let has_trades = !self.bars[at].trades.is_nan();
        let fewest = has_trades && share < FEWEST;
        let is_last = at + 1 == self.bars.len();
        // The last row of a collector that wrote more columns than the one after it.
        let is_last_of_kind = has_trades && self.bars.get(at + 1).is_some_and(|b| b.trades.is_nan());
        if !is_proven {
            let clear = share < FEWER || self.jumps[at] > WIDE * self.limit_bps(at);
            return (self.strong[at] && clear) || fewest || ((is_last || is_last_of_kind) && share < FEWER);
        }
        let in_run = (at > 0 && self.strong[at - 1]) || self.strong.get(at + 1).is_some_and(|s| *s);
        let jumps = self.jumps[at] > MIN_JUMP_BPS / WIDE;
        self.strong[at]
            || fewest
            || ((is_last || is_last_of_kind) && share < FEW)
            || (in_run && jumps && share < FEW)
    }

    /// Nothing was traded: true at a halt, and no collector's fault.
    fn is_quiet(&self, at: usize) -> bool {
        self.bars.get(at).is_none_or(|b| b.volume == 0.0 || b.trades == 0.0)
    }

    /// [`View::share_within`] near the bar, else within its day.
    fn share(&self, at: usize) -> f64 {
        let near = self.share_within(at, AROUND);
        if near.is_nan() { self.share_within(at, FAR_AROUND) } else { near }
    }

    /// Trades (volume, where trades around it are unknown) by what is usual around the bar; NaN unknown.
    fn share_within(&self, at: usize, reach: usize) -> f64 {
        let bar = &self.bars[at];
        let trades = bar.trades / self.usual(at, reach, |b| b.trades, MIN_TRADES);
        if trades.is_nan() { bar.volume / self.usual(at, reach, |b| b.volume, 0.0) } else { trades }
    }

    /// The median around a bar, itself and suspected ones left out; NaN when too few are known or it is below
    /// `least`.
    fn usual(&self, at: usize, reach: usize, value: impl Fn(&Bar) -> f64, least: f64) -> f64 {
        let range = at.saturating_sub(reach)..(at + reach + 1).min(self.bars.len());
        let around: Vec<f64> = range
            .filter(|i| *i != at && !self.strong[*i])
            .map(|i| value(&self.bars[i]))
            .filter(|v| !v.is_nan())
            .collect();
        let usual = if around.len() >= MIN_AROUND { quantile(around.into_iter(), 0.5) } else { f64::NAN };
        if usual >= least { usual } else { f64::NAN }
    }

    fn reason(&self, at: usize) -> String {
        let bar = &self.bars[at];
        let what = if bar.trades.is_nan() {
            format!("volume {}", bar.volume)
        } else {
            format!("{} trades", bar.trades)
        };
        let percent = self.share(at) * 100.0;
        let next = match self.jumps[at] {
            jump if jump.is_nan() => "no bar follows".to_owned(),
            jump => format!("the next bar opens {jump:.2} bps away"),
        };
        format!("{what}, {percent:.0} % of what is usual there, and {next}")
    }
}

/// A quantile of what is known; 0 when nothing is.
fn quantile(values: impl Iterator<Item = f64>, q: f64) -> f64 {
    let mut known: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
    if known.is_empty() {
        return 0.0;
    }
    let at = ((known.len() as f64 * q) as usize).min(known.len() - 1);
    *known.select_nth_unstable_by(at, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prices that go on from bar to bar, about 2000 trades in each.
    fn market(rows: usize) -> Vec<Bar> {
        let price = |i: usize| 100_000.0 + ((i * 37) % 101) as f64 * 10.0;
        (0..rows)
            .map(|i| {
                let (open, close) = (price(i), price(i + 1));
                let trades = 2000.0 + ((i * 13) % 17) as f64 * 50.0;
                let (high, low) = (open.max(close) + 5.0, open.min(close) - 5.0);
                let values = [open, high, low, close, 50.0, 5e6, trades, 25.0, 2.5e6];
                Bar::from_values(BarIndex(6_000_000 + i as i64), values)
            })
            .collect()
    }

    /// The bar as it was some seconds after its open.
    fn cut(bar: &mut Bar, trades: f64) {
        bar.trades = trades;
        bar.volume = 50.0 * trades / 2000.0;
        bar.close = bar.open + (bar.close - bar.open) * 0.1;
    }

    fn found(bars: &[Bar]) -> Vec<(i64, Certainty)> {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let first = bars[0].bar;
        search(&symbol, Market::Perp, bars).iter().map(|s| (s.bar - first, s.certainty)).collect()
    }

    #[test]
    fn a_table_of_whole_bars_has_no_suspects() {
        assert_eq!(found(&market(600)), []);
    }

    #[test]
    fn a_single_one_is_in_doubt_because_a_halt_looks_the_same() {
        let mut bars = market(600);
        cut(&mut bars[400], 180.0);
        assert_eq!(found(&bars), [(400, Certainty::InDoubt)]);
    }

    #[test]
    fn a_run_of_them_does_not_hide_itself() {
        let mut bars = market(600);
        for bar in &mut bars[300..330] {
            cut(bar, 150.0);
        }
        let want: Vec<_> = (300..330).map(|i| (i, Certainty::Unfinished)).collect();
        assert_eq!(found(&bars), want);
    }

    #[test]
    fn the_last_bar_of_a_table_is_judged_by_its_trades() {
        let mut bars = market(600);
        cut(&mut bars[599], 300.0);
        assert_eq!(found(&bars), [(599, Certainty::InDoubt)]);
    }

    #[test]
    fn a_halt_without_trades_is_no_suspect() {
        let mut bars = market(600);
        for bar in &mut bars[200..203] {
            *bar = Bar::from_values(
                bar.bar,
                [100_000.0, 100_000.0, 100_000.0, 100_000.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            );
        }
        assert_eq!(found(&bars), []);
    }
}
