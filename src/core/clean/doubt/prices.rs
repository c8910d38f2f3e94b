//! Prices of bars held against the bars around them.
//!
//! Trading is continuous: a bar opens near where the one before it closed. A crash keeps to that down and up
//! again, however deep it is. So what gives a print away is not that it lies far off, but that the bar after
//! it opens back where the bar before it closed, and not where it closed itself.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Doubt, DoubtRule};
use crate::market::{Bar, Columns, Record};
use crate::spec::PricePlausibility;

/// Adds the doubts about the prices of the wanted rows.
pub(super) fn judge(
    rules: &PricePlausibility,
    rows: &[(i64, Columns)],
    wanted: Range<usize>,
    out: &mut BTreeMap<i64, Doubt>,
) {
    let view = View { rules, rows };
    for i in wanted {
        let time = rows[i].0;
        if out.contains_key(&time) {
            continue;
        }
        if let Some(doubt) = view.returns(i).or_else(|| view.wick(i)).or_else(|| view.one_sided(i)) {
            out.insert(time, doubt);
        }
    }
}

struct View<'a> {
    rules: &'a PricePlausibility,
    rows: &'a [(i64, Columns)],
}

impl View<'_> {
    fn bar(&self, at: usize) -> Bar {
        Bar::from_columns(self.rows[at].0, &self.rows[at].1)
    }

    /// The bar after `at`, within reach.
    fn after(&self, at: usize) -> Option<Bar> {
        let next = self.rows.get(at + 1)?;
        (next.0 - self.rows[at].0 <= i64::from(self.rules.reach_bars)).then(|| self.bar(at + 1))
    }

    /// The bar before `at`, within reach.
    fn before(&self, at: usize) -> Option<Bar> {
        let previous = at.checked_sub(1)?;
        (self.rows[at].0 - self.rows[previous].0 <= i64::from(self.rules.reach_bars))
            .then(|| self.bar(previous))
    }

    /// A run of bars around `at`, all of which leave the bar before the run, and the bar after it opens back
    /// there.
    fn returns(&self, at: usize) -> Option<Doubt> {
        let longest = self.rules.longest_run_bars as usize;
        for first in (at + 1).saturating_sub(longest)..=at {
            let Some(reference) = self.before(first).map(|bar| bar.close) else { continue };
            for last in at..first + longest {
                // A hole inside of a run ends it: what is not there leaves nothing.
                let is_whole = |row: &(i64, Columns)| row.0 - self.rows[first].0 == (last - first) as i64;
                if !self.rows.get(last).is_some_and(is_whole) {
                    break;
                }
                let Some(next) = self.after(last) else { break };
                if self.is_return(first, last, reference, next.open) {
                    let bar = self.bar(at);
                    let reason = format!(
                        "it opens at {} and closes at {}, where the bar before closed at {reference} and the bar \
                         after opens at {}",
                        bar.open, bar.close, next.open
                    );
                    return Some(Doubt { rule: DoubtRule::LeavesAndReturns, reason });
                }
            }
        }
        None
    }

    fn is_return(&self, first: usize, last: usize, reference: f64, back: f64) -> bool {
        let factor = self.rules.close_factor;
        if leaves(back, reference, factor) {
            return false;
        }
        let ends = self.bar(last);
        if first == last && leaves(ends.open, reference, factor) && !leaves(ends.close, back, factor) {
            // The open alone: the close is back already.
            return true;
        }
        (first..=last).all(|at| {
            let bar = self.bar(at);
            leaves(bar.close, reference, factor) && leaves(bar.close, back, factor)
        })
    }

    /// A high or a low far beyond everything that was opened and closed at.
    fn wick(&self, at: usize) -> Option<Doubt> {
        let bar = self.bar(at);
        let around = [Some(bar.open), Some(bar.close)]
            .into_iter()
            .chain([self.before(at).map(|b| b.close), self.after(at).map(|b| b.open)]);
        let (least, most) = around
            .flatten()
            .fold((f64::INFINITY, 0.0_f64), |(least, most), price| (least.min(price), most.max(price)));
        let factor = self.rules.wick_factor;
        let (name, value) = if bar.high >= most * factor {
            ("high", bar.high)
        } else if bar.low * factor <= least {
            ("low", bar.low)
        } else {
            return None;
        };
        let reason = format!(
            "its {name} {value} leaves what it and the bars around it open and close at, {least} to {most}"
        );
        Some(Doubt { rule: DoubtRule::LeavesAndReturns, reason })
    }

    /// The nearest bar on one side, within reach, that is no print itself: a print is no witness.
    fn witness(&self, at: usize, is_before: bool) -> Option<Bar> {
        let mut next = at;
        loop {
            next = if is_before { next.checked_sub(1)? } else { next + 1 };
            let row = self.rows.get(next)?;
            if (row.0 - self.rows[at].0).abs() > i64::from(self.rules.reach_bars) {
                return None;
            }
            if self.returns(next).is_none() {
                return Some(self.bar(next));
            }
        }
    }

    /// A bar that leaves the only neighbour that it has.
    fn one_sided(&self, at: usize) -> Option<Doubt> {
        let (bar, factor) = (self.bar(at), self.rules.alone_factor);
        let (place, price, leaves) = match (self.before(at), self.after(at)) {
            (Some(_), None) => {
                let price = self.witness(at, true)?.close;
                ("before closed", price, leaves(bar.open, price, factor) || leaves(bar.close, price, factor))
            }
            (None, Some(_)) => {
                let price = self.witness(at, false)?.open;
                ("after opens", price, leaves(bar.close, price, factor))
            }
            _ => return None,
        };
        leaves.then(|| Doubt {
            rule: DoubtRule::Unconfirmed,
            reason: format!(
                "it opens at {} and closes at {}, the bar {place} at {price}, and there is no bar on its other side",
                bar.open, bar.close
            ),
        })
    }
}

/// Whether a price lies off another one by at least a factor.
fn leaves(price: f64, other: f64, factor: f64) -> bool {
    price >= other * factor || price * factor <= other
}
