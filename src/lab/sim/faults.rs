//! Troubles of a scenario: one rule language for the market, the sockets, the answers and the clock.

use serde::{Deserialize, Serialize};

use backtestd_core::market::{BAR_MS, BarIndex, Market, Symbol, Ts, parse_time};

/// What can go wrong. The words of the scenario file are these in snake case; `default_scenario.yaml` has the
/// table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The venue stops matching: flat bars without trades, in history as on the wire.
    #[default]
    Halt,
    /// The contract exists from here on; before, nobody knows it.
    Listing,
    /// The contract is settled and stops trading; where the rule ends it trades again.
    Delisting,
    /// Funding is settled every `hours` from here on.
    FundingInterval,
    /// One more settlement (`rateType` Special) at the end of the rule's first bar.
    SpecialSettlement,
    /// Websockets are cut and refused.
    Disconnect,
    /// Sockets stay open and say nothing: no frame, no answer, no ping.
    HalfOpen,
    /// Subscribed streams are acknowledged and silent.
    SilentStreams,
    /// Frames are lost.
    DropFrames,
    /// Frames come twice.
    DuplicateFrames,
    /// Frames come `seconds` late.
    DelayFrames,
    /// Frames that are due together come in another order.
    ReorderFrames,
    /// Frames are cut or garbled.
    CorruptFrames,
    /// Frames carry unknown fields, and unknown events come between them.
    StrangeFrames,
    /// The closing frame of the bar is never sent.
    DropClose,
    /// The closing frame comes `seconds` late.
    LateClose,
    /// The closing frame tells another close and half the volume; history is right.
    WrongClose,
    /// A closed bar of long ago comes again with a false price.
    StaleClose,
    /// A closed bar that has not begun comes.
    FutureClose,
    /// A closing frame that cannot be true comes: takers bought more than was traded, the price is a
    /// ten-thousandth.
    AbsurdClose,
    /// Stream and history tell a false version of the bar until `seconds` after its end, then the true one.
    CorrectedKline,
    /// Stream and history tell a false version of the bar for ever; the archive's file of the day has the
    /// true one, from `seconds` after the bar's end on.
    CorrectedArchive,
    /// REST says 429.
    TooManyRequests,
    /// REST says 418.
    Banned,
    /// REST says 500.
    ServerError,
    /// REST says 503 with code -1008.
    Unavailable,
    /// REST answers with a page of a gateway and status 200.
    HtmlAnswer,
    /// REST answers end in the middle.
    TruncatedAnswer,
    /// REST answers `[]` and status 200.
    EmptyAnswer,
    /// Rows in the middle of an answer are missing.
    MissingRows,
    /// Kline rows have a thirteenth value.
    ExtraColumn,
    /// REST answers `seconds` late, in the exchange's time.
    SlowAnswer,
    /// `/time` is wrong by `seconds`.
    WrongClock,
}

impl FaultKind {
    /// Whether it is a property of whole bars and of the market itself, not of the wire.
    const fn is_of_market(self) -> bool {
        matches!(
            self,
            Self::Halt | Self::Listing | Self::Delisting | Self::FundingInterval | Self::SpecialSettlement
        )
    }

    /// Whether a rule without an end lasts for ever.
    const fn lasts(self) -> bool {
        matches!(self, Self::Listing | Self::Delisting | Self::FundingInterval)
    }
}

/// A trouble, once or again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Period in bars; 0: once.
    #[serde(default)]
    pub every_bars: i64,
    /// Bar number (epoch / 300 s) at which it begins: modulo the period, or itself.
    #[serde(default)]
    pub at_bar: i64,
    /// Instead of `at_bar`: when it begins, once (RFC 3339, on the 5-minute grid).
    #[serde(default)]
    pub at: Option<String>,
    /// Length in bars; 0 for ever, where the kind can.
    #[serde(default = "one_bar")]
    pub bars: i64,
    /// Seconds from the beginning of its first bar to its own beginning.
    #[serde(default)]
    pub at_second: i64,
    /// Length in seconds instead of bars.
    #[serde(default)]
    pub lasts_seconds: i64,
    /// Whom it hits; empty = everybody.
    #[serde(default)]
    pub symbols: Vec<Symbol>,
    /// Which market it hits; none = both.
    #[serde(default)]
    pub market: Option<Market>,
    /// Beginnings of the REST paths or socket paths it hits; empty = all.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Stream kinds it hits (`kline`, `markPrice`, `bookTicker`, …); empty = all.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Share of frames, requests or rows that it hits, drawn from the seed.
    #[serde(default = "all_of_them")]
    pub share: f64,
    /// A delay, an offset of the clock, a `Retry-After`.
    #[serde(default)]
    pub seconds: i64,
    /// Hours between settlements.
    #[serde(default)]
    pub hours: i64,
}

const fn one_bar() -> i64 {
    1
}

const fn all_of_them() -> f64 {
    1.0
}

impl Fault {
    /// A trouble of everybody, once, from a bar on.
    #[must_use]
    pub fn once(kind: FaultKind, first: BarIndex, bars: i64) -> Self {
        Self { kind, at_bar: first.0, bars, share: 1.0, ..Self::default() }
    }

    /// The occurrence that holds at an instant: first and one past its last millisecond.
    #[must_use]
    pub fn window(&self, at: Ts) -> Option<(Ts, Ts)> {
        let shift = self.at_second * 1000;
        let length = match (self.lasts_seconds, self.bars) {
            (0, 0) => i64::MAX / 4,
            (0, bars) => bars * BAR_MS,
            (seconds, _) => seconds * 1000,
        };
        let first = if self.every_bars > 0 {
            let bar = Ts(at.0 - shift).bar().0;
            bar - (bar - self.at_bar).rem_euclid(self.every_bars)
        } else {
            self.begins().0
        };
        let begin = first * BAR_MS + shift;
        (begin <= at.0 && at.0 < begin + length).then_some((Ts(begin), Ts(begin + length)))
    }

    /// First bar of a rule that holds once.
    #[must_use]
    pub fn begins(&self) -> BarIndex {
        let at = self.at.as_deref().and_then(|text| parse_time(text).ok());
        at.map_or(BarIndex(self.at_bar), Ts::bar)
    }

    /// Whether it concerns a symbol; `None` asks about everybody.
    #[must_use]
    pub fn hits(&self, symbol: Option<&Symbol>) -> bool {
        self.symbols.is_empty() || symbol.is_some_and(|s| self.symbols.contains(s))
    }

    /// Whether it concerns a market.
    #[must_use]
    pub fn hits_market(&self, market: Market) -> bool {
        self.market.is_none_or(|m| m == market)
    }

    /// Whether it concerns a path of REST or of a socket.
    #[must_use]
    pub fn hits_path(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|p| path.starts_with(p.as_str()))
    }

    /// Whether it concerns a kind of stream, by the word after `@` or `!`.
    #[must_use]
    pub fn hits_stream(&self, family: &str) -> bool {
        self.streams.is_empty() || self.streams.iter().any(|s| s == family)
    }

    /// What is wrong with the rule: field, value, what it should be.
    pub(super) fn problem(&self) -> Option<(&'static str, String, &'static str)> {
        let is_endless = self.bars == 0 && self.lasts_seconds == 0;
        let is_off_grid =
            |text: &String| !parse_time(text).is_ok_and(|ts| ts.0.rem_euclid(BAR_MS) == 0 && ts.0 >= 0);
        if self.every_bars < 0 || self.bars < 0 || self.every_bars > 0 && self.bars > self.every_bars {
            let expected = "the period must be at least 1 bar and no shorter than the fault, or 0 for once";
            return Some(("every_bars", self.every_bars.to_string(), expected));
        }
        if let Some(text) = self.at.as_ref().filter(|text| is_off_grid(text) || self.every_bars > 0) {
            let expected = "it must be a time on the 5-minute grid, for a fault without every_bars";
            return Some(("at", text.clone(), expected));
        }
        if is_endless && !(self.kind.lasts() && self.every_bars == 0) {
            let expected = "only listing, delisting and funding_interval may last for ever";
            return Some(("bars", "0".into(), expected));
        }
        if !(0.0..=1.0).contains(&self.share) {
            return Some(("share", self.share.to_string(), "it must lie between 0 and 1"));
        }
        if self.kind.is_of_market() && (self.at_second != 0 || self.lasts_seconds != 0) {
            return Some(("at_second", self.at_second.to_string(), "this kind holds for whole bars"));
        }
        if self.at_second < 0 || self.lasts_seconds < 0 {
            return Some(("lasts_seconds", self.lasts_seconds.to_string(), "seconds are not negative"));
        }
        if self.kind == FaultKind::FundingInterval && !(1..=24).contains(&self.hours) {
            return Some(("hours", self.hours.to_string(), "a settlement interval has 1 to 24 hours"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_in_its_seconds_and_comes_again() {
        let fault = Fault {
            kind: FaultKind::Banned,
            every_bars: 10,
            at_bar: 3,
            at_second: 280,
            lasts_seconds: 45,
            ..Fault::default()
        };
        let at = |bar: i64, second: i64| fault.window(Ts(bar * BAR_MS + second * 1000)).is_some();
        assert!(!at(13, 279) && at(13, 280) && at(14, 24) && !at(14, 25));
        assert!(!at(12, 290) && at(23, 299));
    }

    #[test]
    fn a_rule_without_a_period_holds_once() {
        let fault = Fault::once(FaultKind::Disconnect, BarIndex(50), 2);
        let at = |bar: i64| fault.window(BarIndex(bar).open()).is_some();
        assert!(!at(49) && at(50) && at(51) && !at(52) && !at(5_000_050));
        let named = Fault { at: Some("2026-03-01T00:00:00Z".into()), ..fault };
        assert_eq!(named.begins().open().0, 1_772_323_200_000);
    }

    #[test]
    fn a_rule_that_cannot_be_is_named_by_its_field() {
        let check = |fault: Fault, field: &str| assert_eq!(fault.problem().unwrap().0, field, "{fault:?}");
        let sound = Fault::once(FaultKind::Halt, BarIndex(0), 1);
        assert!(sound.problem().is_none());
        check(Fault { every_bars: 2, bars: 3, ..sound.clone() }, "every_bars");
        check(Fault { at: Some("yesterday".into()), ..sound.clone() }, "at");
        check(Fault { bars: 0, ..sound.clone() }, "bars");
        check(Fault { share: 1.5, ..sound.clone() }, "share");
        check(Fault { at_second: 5, ..sound.clone() }, "at_second");
        check(Fault { kind: FaultKind::FundingInterval, bars: 0, ..sound }, "hours");
    }
}
