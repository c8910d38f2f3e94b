//! What cannot be true: records of the raw log held against the bounds of `sources.yaml` and the records
//! around them.
//!
//! Two kinds of rules. *Bounds* ask one record alone, so that a live bar is judged as it closes. *Neighbours*
//! ask what came before and what comes after; live, the answer changes when the next bar is there. Whoever
//! keeps the verdicts judges again whatever lies within [`reach`] of a changed record, and so comes to the
//! same verdicts as a look at all of them at once: a verdict is a function of the record, of those within its
//! reach, and of the clock.

mod columns;
mod prices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::market::{BAR_MS, Bar, Columns, Kind, Record, Ts};
use crate::spec::Plausibility;

/// The rule that a record breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoubtRule {
    /// It describes an instant that has not come yet.
    BeyondNow,
    /// A value lies outside of its bounds.
    Bounds,
    /// Takers bought more than was traded.
    TakerVolume,
    /// The average price, quote volume by volume, lies outside of the bar's low and high.
    AveragePrice,
    /// The close lies outside of the exchange's own price band around the mark price.
    PriceBand,
    /// A price leaves both neighbours and returns.
    LeavesAndReturns,
    /// A price leaves the one neighbour that there is; the next bar will tell.
    Unconfirmed,
    /// An amount lies far outside of what is around it on both sides.
    Spike,
    /// It was stored before its bar closed: its table has many of the kind.
    Unfinished,
    /// It may have been stored before its bar closed, or stands before a halt.
    PerhapsUnfinished,
}

impl DoubtRule {
    /// Every rule, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::BeyondNow,
        Self::Bounds,
        Self::TakerVolume,
        Self::AveragePrice,
        Self::PriceBand,
        Self::LeavesAndReturns,
        Self::Unconfirmed,
        Self::Spike,
        Self::Unfinished,
        Self::PerhapsUnfinished,
    ];

    /// Its name in lists and stored records: never changed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeyondNow => "beyond_now",
            Self::Bounds => "bounds",
            Self::TakerVolume => "taker_volume",
            Self::AveragePrice => "average_price",
            Self::PriceBand => "price_band",
            Self::LeavesAndReturns => "leaves_and_returns",
            Self::Unconfirmed => "unconfirmed",
            Self::Spike => "spike",
            Self::Unfinished => "unfinished",
            Self::PerhapsUnfinished => "perhaps_unfinished",
        }
    }

    /// Whether later looks at a record and its neighbours may not show it, as the clock and the exchange's
    /// terms are others then: it stands until another value comes.
    #[must_use]
    pub const fn stands_by_itself(self) -> bool {
        matches!(self, Self::BeyondNow | Self::PriceBand | Self::Unfinished | Self::PerhapsUnfinished)
    }

    /// The rule of a name; `None` for a name that no rule has.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// Why a record is not taken for true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The rule that it breaks.
    pub rule: DoubtRule,
    /// What is wrong, with the values, in words.
    pub reason: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.rule.name())
    }
}

/// What records are held against beside each other.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// What a record must be like.
    pub rules: &'a Plausibility,
    /// The exchange's time; `None` when nobody knows it, and nothing is too far ahead.
    pub now: Option<Ts>,
}

/// How far the verdict on a record looks, in the time of its kind: bars or milliseconds.
#[must_use]
pub fn reach(rules: &Plausibility, kind: Kind) -> i64 {
    // A bar at the end is held against one that is no print, which is a question of the bars around that one.
    let bars = 2 * i64::from(rules.prices.reach_bars) + i64::from(rules.prices.longest_run_bars);
    if kind.is_bar_like() { bars } else { bars * BAR_MS }
}

impl Judge<'_> {
    /// What is wrong with a record, whatever stands around it.
    #[must_use]
    pub fn alone(&self, kind: Kind, time: i64, values: &Columns) -> Option<Doubt> {
        let ahead = |now: Ts| kind.instant(time).0 > now.0 + i64::from(self.rules.beyond_now_s) * 1000;
        if let Some(now) = self.now.filter(|now| ahead(*now)) {
            let reason = format!("it is of {}, and it is {now} now", kind.instant(time));
            return Some(Doubt { rule: DoubtRule::BeyondNow, reason });
        }
        let bar = (kind == Kind::Bars).then(|| Bar::from_columns(time, values));
        columns::outside(self.rules, kind, values).or_else(|| bar.and_then(|bar| amounts(self.rules, &bar)))
    }

    /// What is wrong with a bar that has just closed, as far as the bar before it can tell; the bar after it
    /// will tell more.
    #[must_use]
    pub fn closing(&self, bar: &Bar, before: Option<&Bar>) -> Option<Doubt> {
        let rows: Vec<(i64, Columns)> =
            before.into_iter().chain([bar]).map(|bar| (bar.time(), bar.columns())).collect();
        self.series(Kind::Bars, &rows, bar.bar.0..bar.bar.0 + 1).remove(&bar.bar.0)
    }

    /// The doubts about the records of a series with times in `wanted`. `rows` rise in time and have what
    /// lies within [`reach`] of them too.
    #[must_use]
    pub fn series(&self, kind: Kind, rows: &[(i64, Columns)], wanted: Range<i64>) -> BTreeMap<i64, Doubt> {
        debug_assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "records are judged in order of time");
        let from = rows.partition_point(|(time, _)| *time < wanted.start);
        let to = rows.partition_point(|(time, _)| *time < wanted.end);
        let mut out = BTreeMap::new();
        for (time, values) in &rows[from..to] {
            if let Some(doubt) = self.alone(kind, *time, values) {
                out.insert(*time, doubt);
            }
        }
        if kind == Kind::Bars {
            prices::judge(&self.rules.prices, rows, from..to, &mut out);
        }
        columns::spikes(self.rules, kind, rows, from..to, &mut out);
        out
    }

    /// A close outside of the exchange's price band. `band`: the lowest and the highest price by the mark
    /// price at which an order may rest (`multiplierDown`, `multiplierUp`).
    #[must_use]
    pub fn band(&self, bar: &Bar, mark: f64, band: (f64, f64)) -> Option<Doubt> {
        let widen = |multiplier: f64| 1.0 + (multiplier - 1.0) * self.rules.band_factor;
        let (low, high) = (mark * widen(band.0), mark * widen(band.1));
        if !(mark > 0.0 && (bar.close < low || bar.close > high)) {
            return None;
        }
        let reason = format!(
            "its close {} lies outside of the exchange's price band, {low} to {high} around the mark price {mark}",
            bar.close
        );
        Some(Doubt { rule: DoubtRule::PriceBand, reason })
    }
}

/// What the amounts of a bar must be to each other. Unknown ones say nothing.
fn amounts(rules: &Plausibility, bar: &Bar) -> Option<Doubt> {
    /// Sums in floating point differ in the last digits.
    const ROUNDING: f64 = 1.0 + 1e-9;
    for (name, bought, all) in [
        ("volume", bar.taker_buy_volume, bar.volume),
        ("quote volume", bar.taker_buy_quote, bar.quote_volume),
    ] {
        if bought > all * ROUNDING {
            let reason = format!("takers bought {bought} of a {name} of {all}");
            return Some(Doubt { rule: DoubtRule::TakerVolume, reason });
        }
    }
    let average = bar.quote_volume / bar.volume;
    let slack = rules.average_price_slack;
    let is_outside = average < bar.low * (1.0 - slack) || average > bar.high * (1.0 + slack);
    (bar.volume > 0.0 && is_outside).then(|| {
        let reason = format!(
            "its average price {average} (quote volume {} by volume {}) is not between its low {} and its high {}",
            bar.quote_volume, bar.volume, bar.low, bar.high
        );
        Doubt { rule: DoubtRule::AveragePrice, reason }
    })
}
