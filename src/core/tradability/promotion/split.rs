//! A history cut in time: train, validation, test. What reaches over a boundary belongs to neither side, and
//! what begins within the embargo after one is left out.

use crate::market::{BAR_MS, BarIndex, DAY_MS, Ts};
use crate::spec::strategies::PromotionSpec;
use crate::tradability::Trade;

/// A part of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// The first part.
    Train,
    /// The second part.
    Validation,
    /// The last part.
    Test,
}

/// Where a history is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Begin of the history.
    pub start: Ts,
    /// End of the first part.
    pub train_end: Ts,
    /// End of the second part.
    pub validation_end: Ts,
    /// End of the history.
    pub end: Ts,
    embargo_ms: i64,
}

impl Split {
    /// Cuts after whole days from the start; a day that has begun counts.
    #[must_use]
    pub fn new(start: Ts, end: Ts, spec: &PromotionSpec) -> Self {
        let days = ((end.0 - start.0).max(0) + DAY_MS - 1) / DAY_MS;
        let after = |share: f64| Ts(start.0 + (share * days as f64 + 1e-9).floor() as i64 * DAY_MS);
        Self {
            start,
            train_end: after(spec.train_share),
            validation_end: after(spec.train_share + spec.validation_share),
            end,
            embargo_ms: i64::from(spec.embargo_bars) * BAR_MS,
        }
    }

    /// The part that a trade belongs to, from its deciding bar to its exit bar; `None`: to no part.
    #[must_use]
    pub(super) fn window(&self, event: BarIndex, exit: BarIndex) -> Option<Window> {
        let (from, to) = (event.open().0, exit.close().0);
        let [start, train, validation, end] =
            [self.start.0, self.train_end.0, self.validation_end.0, self.end.0];
        match () {
            () if start <= from && to <= train => Some(Window::Train),
            () if train + self.embargo_ms <= from && to <= validation => Some(Window::Validation),
            () if validation + self.embargo_ms <= from && to <= end => Some(Window::Test),
            () => None,
        }
    }

    /// Trades of train, validation, test, and those of none.
    #[must_use]
    pub(super) fn parts<'a>(&self, trades: &'a [Trade]) -> [Vec<&'a Trade>; 4] {
        let mut out: [Vec<&Trade>; 4] = Default::default();
        for trade in trades {
            let part = match self.window(trade.event_bar, trade.exit_bar) {
                Some(Window::Train) => 0,
                Some(Window::Validation) => 1,
                Some(Window::Test) => 2,
                None => 3,
            };
            out[part].push(trade);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::parse_time;

    #[test]
    fn the_prior_systems_example_by_hand_without_its_leak() {
        let at = |text: &str| parse_time(text).unwrap();
        let spec: crate::spec::strategies::StrategiesSpec =
            serde_saphyr::from_str(include_str!("../../../../spec/strategies/default.yaml")).unwrap();
        let spec =
            PromotionSpec { train_share: 0.6, validation_share: 0.2, embargo_bars: 0, ..spec.promotion };
        let split = Split::new(at("2024-01-01T03:20:00Z"), at("2024-01-10T21:00:00Z"), &spec);
        // Ten days have begun: six, two, two.
        assert_eq!(split.train_end, at("2024-01-07T03:20:00Z"));
        assert_eq!(split.validation_end, at("2024-01-09T03:20:00Z"));
        // Lag 1 and 12 bars: the exit bar is 13 bars after the deciding one. 02:10 is the last that is over
        // by 03:20.
        let window = |text: &str| split.window(at(text).bar(), at(text).bar() + 13);
        assert_eq!(window("2024-01-07T02:10:00Z"), Some(Window::Train));
        assert_eq!(window("2024-01-09T02:10:00Z"), Some(Window::Validation));
        // The prior system labels the events of the purged hour before the test as train. They belong to no
        // part.
        for text in ["2024-01-09T02:15:00Z", "2024-01-09T02:20:00Z", "2024-01-09T03:15:00Z"] {
            assert_eq!(window(text), None, "{text}");
        }
        assert_eq!(window("2024-01-09T03:20:00Z"), Some(Window::Test));
        let embargoed = Split::new(split.start, split.end, &PromotionSpec { embargo_bars: 12, ..spec });
        assert_eq!(
            embargoed.window(at("2024-01-09T04:15:00Z").bar(), at("2024-01-09T05:20:00Z").bar()),
            None
        );
        assert!(
            embargoed.window(at("2024-01-09T04:20:00Z").bar(), at("2024-01-09T05:25:00Z").bar()).is_some()
        );
    }
}
