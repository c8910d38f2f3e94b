//! The market as others see it: any bar of any symbol, made once per use, remembered for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::sim::scenario::Scenario;
use backtestd_core::market::{BARS_PER_DAY, BarIndex, Symbol};

use super::diurnal::Diurnal;
use super::factor::{Factor, FactorBar};
use super::symbol::{SimBar, SymbolParams, SymbolState};

/// Days of bars kept of all symbols together (a day is about 80 kB), and of one symbol at least and at most.
const DAYS_KEPT: usize = 1500;
const DAYS_KEPT_EACH: (usize, usize) = (2, 24);

/// The simulated market.
#[derive(Debug)]
pub struct Market {
    scenario: Arc<Scenario>,
    seed: u64,
    genesis: BarIndex,
    clock: Diurnal,
    factor: Mutex<FactorTape>,
    symbols: Vec<(SymbolParams, Mutex<SymbolTape>)>,
}

#[derive(Debug)]
struct FactorTape {
    state: Factor,
    bars: Vec<FactorBar>,
}

/// States at the start of each day since genesis, and a few days of bars.
#[derive(Debug)]
struct SymbolTape {
    starts: Vec<SymbolState>,
    days: BTreeMap<usize, (u64, Arc<Vec<SimBar>>)>,
    uses: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The guarded values are only ever extended by pure functions: a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Market {
    /// The market of a seed. Nothing is computed before it is asked for.
    #[must_use]
    pub fn new(seed: u64, scenario: Arc<Scenario>) -> Self {
        let factor = Factor::new(seed, scenario.market_sigma_bps);
        let symbols = scenario
            .symbols
            .iter()
            .map(|listing| {
                let params = SymbolParams::new(seed, &scenario, listing);
                let first = SymbolState::new(&params, &scenario);
                let tape = SymbolTape { starts: vec![first], days: BTreeMap::new(), uses: 0 };
                (params, Mutex::new(tape))
            })
            .collect();
        Self {
            seed,
            genesis: scenario.genesis_bar(),
            clock: Diurnal::new(),
            factor: Mutex::new(FactorTape { state: factor, bars: Vec::new() }),
            symbols,
            scenario,
        }
    }

    /// What is simulated.
    #[must_use]
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// Seed that the market is made from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The first bar there is.
    #[must_use]
    pub const fn genesis(&self) -> BarIndex {
        self.genesis
    }

    /// Position of a symbol in the scenario's list.
    #[must_use]
    pub fn position(&self, symbol: &Symbol) -> Option<usize> {
        self.scenario.symbols.iter().position(|s| s.name == *symbol)
    }

    /// One bar; `None` before genesis or for an unknown position.
    #[must_use]
    pub fn bar(&self, symbol: usize, bar: BarIndex) -> Option<SimBar> {
        let (day, slot) = self.place(bar)?;
        self.day(symbol, day)?.get(slot).copied()
    }

    /// Bars `[first, first + count)`, those before genesis left out.
    #[must_use]
    pub fn bars(&self, symbol: usize, first: BarIndex, count: usize) -> Vec<SimBar> {
        let end = first + i64::try_from(count).unwrap_or(i64::MAX / 2);
        let mut at = first.max(self.genesis);
        let mut out = Vec::with_capacity(usize::try_from(end - at).unwrap_or(0));
        while at < end {
            let Some((day, slot)) = self.place(at) else { break };
            let Some(bars) = self.day(symbol, day) else { break };
            let take = (bars.len() - slot).min(usize::try_from(end - at).unwrap_or(0));
            out.extend_from_slice(&bars[slot..slot + take]);
            at = at + i64::try_from(take).unwrap_or(1);
        }
        out
    }

    /// Runs every symbol's recursion up to `bar`, so that later questions are quick. Uses all cores.
    pub fn prepare(&self, bar: BarIndex) {
        let Some((day, _)) = self.place(bar) else { return };
        self.extend_factor(day);
        let traded = (0..self.symbols.len()).into_par_iter();
        traded.filter(|&s| !self.scenario.symbols[s].contract.is_resting()).for_each(|symbol| {
            let _ = self.day(symbol, day);
        });
    }

    /// Days are counted from genesis, not from midnight.
    fn place(&self, bar: BarIndex) -> Option<(usize, usize)> {
        let since = bar - self.genesis;
        if since < 0 {
            return None;
        }
        let day = usize::try_from(since / BARS_PER_DAY).ok()?;
        Some((day, usize::try_from(since % BARS_PER_DAY).ok()?))
    }

    fn extend_factor(&self, day: usize) {
        let mut tape = lock(&self.factor);
        let want = (day + 1) * BARS_PER_DAY as usize;
        while tape.bars.len() < want {
            let bar = self.genesis + i64::try_from(tape.bars.len()).unwrap_or(0);
            let made = tape.state.step(bar, &self.clock);
            tape.bars.push(made);
        }
    }

    fn factor_day(&self, day: usize) -> Vec<FactorBar> {
        self.extend_factor(day);
        let bars_per_day = BARS_PER_DAY as usize;
        lock(&self.factor).bars[day * bars_per_day..(day + 1) * bars_per_day].to_vec()
    }

    fn day(&self, symbol: usize, day: usize) -> Option<Arc<Vec<SimBar>>> {
        let (params, tape) = self.symbols.get(symbol)?;
        let mut tape = lock(tape);
        tape.uses += 1;
        let now = tape.uses;
        if let Some((used, bars)) = tape.days.get_mut(&day) {
            *used = now;
            return Some(Arc::clone(bars));
        }
        while tape.starts.len() <= day {
            let last = tape.starts.len() - 1;
            self.run_day(params, &mut tape, last);
        }
        let bars = self.run_day(params, &mut tape, day);
        tape.days.insert(day, (now, Arc::clone(&bars)));
        let kept = (DAYS_KEPT / self.symbols.len()).clamp(DAYS_KEPT_EACH.0, DAYS_KEPT_EACH.1);
        if tape.days.len() > kept {
            let oldest = tape.days.iter().min_by_key(|(_, (used, _))| *used).map(|(day, _)| *day);
            if let Some(oldest) = oldest {
                tape.days.remove(&oldest);
            }
        }
        Some(bars)
    }

    /// Makes the bars of a day from its start; notes the start of the next day if it is new.
    fn run_day(&self, params: &SymbolParams, tape: &mut SymbolTape, day: usize) -> Arc<Vec<SimBar>> {
        let mut state = tape.starts[day].clone();
        let first = self.genesis + i64::try_from(day).unwrap_or(0) * BARS_PER_DAY;
        let bars = self
            .factor_day(day)
            .iter()
            .enumerate()
            .map(|(slot, factor)| {
                let bar = first + i64::try_from(slot).unwrap_or(0);
                state.step(params, &self.scenario, &self.clock, bar, factor)
            })
            .collect();
        if tape.starts.len() == day + 1 {
            tape.starts.push(state);
        }
        Arc::new(bars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(seed: u64) -> Market {
        Market::new(seed, Arc::new(Scenario::default()))
    }

    #[test]
    fn a_bar_is_the_same_whatever_was_asked_before() {
        let (a, b) = (market(1), market(1));
        let late = a.genesis() + 40 * BARS_PER_DAY + 7;
        // As text: a bar without a settlement has a NaN, which equals nothing.
        let told = |market: &Market, bar| format!("{:?}", market.bar(2, bar));
        let direct = told(&a, late);
        for day in 0..41 {
            let _ = b.bar(2, b.genesis() + day * BARS_PER_DAY);
        }
        assert_eq!(told(&b, late), direct);
        assert_eq!(told(&b, b.genesis() + 3), told(&a, a.genesis() + 3));
        assert_ne!(told(&market(2), late), direct);
    }

    #[test]
    fn bars_are_consistent_with_themselves_and_with_their_neighbours() {
        let market = market(5);
        for symbol in 0..6 {
            let bars = market.bars(symbol, market.genesis(), 3000);
            assert_eq!(bars.len(), 3000);
            for pair in bars.windows(2) {
                assert_eq!(pair[0].perp.close, pair[1].perp.open);
                for bar in [Some(pair[1].perp), pair[1].spot].into_iter().flatten() {
                    assert!(bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close));
                    assert!(bar.taker_buy_volume <= bar.volume && bar.taker_buy_quote <= bar.quote_volume);
                    assert!(bar.quote_volume >= bar.volume * bar.low * 0.999_999);
                    assert!(bar.quote_volume <= bar.volume * bar.high * 1.000_001);
                }
            }
        }
    }
}
