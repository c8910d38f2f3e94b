//! Rows of klines, in any order and more than once, to bars.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::klines::interval_error;
use super::parts::BarParts;
use super::{ArchiveError, FileKind, FileSpec, Finding};
use backtestd_core::market::{BAR_MS, Bar, BarIndex, Symbol, Ts};

/// What the rows of one symbol come to.
#[derive(Debug, Default)]
pub(super) struct Klines {
    /// The bars that are complete.
    pub bars: Vec<Bar>,
    /// Parts of bars of which others are missing here.
    pub parts: Vec<BarParts>,
}

/// A row that waits for the width of its table.
type Waiting = (Symbol, Ts, [f64; Bar::COLUMNS], u64);

/// Rows on their way to bars.
pub(super) struct Rows<'a> {
    file: &'a Path,
    spec: &'a FileSpec,
    /// Width of a row, once it is known.
    pub width: Option<i64>,
    waiting: Vec<Waiting>,
    makers: BTreeMap<Symbol, Maker>,
}

impl<'a> Rows<'a> {
    pub(super) const fn new(file: &'a Path, spec: &'a FileSpec) -> Self {
        Self { file, spec, width: spec.interval_ms, waiting: Vec::new(), makers: BTreeMap::new() }
    }

    pub(super) fn add(
        &mut self,
        symbol: Symbol,
        open: Ts,
        values: [f64; Bar::COLUMNS],
        line: u64,
    ) -> Result<(), ArchiveError> {
        let Some(width) = self.width else {
            self.waiting.push((symbol, open, values, line));
            return Ok(());
        };
        self.settle(width)?;
        self.make(width, (symbol, open, values, line))
    }

    /// Hands over what waited.
    fn settle(&mut self, width: i64) -> Result<(), ArchiveError> {
        if width <= 0 || BAR_MS % width != 0 {
            return Err(interval_error(self.file, width));
        }
        for row in std::mem::take(&mut self.waiting) {
            self.make(width, row)?;
        }
        Ok(())
    }

    fn make(&mut self, width: i64, (symbol, open, values, line): Waiting) -> Result<(), ArchiveError> {
        if open.0.rem_euclid(width) != 0 {
            return Err(ArchiveError::Value {
                file: self.file.to_owned(),
                line,
                field: "open_time",
                value: open.to_string(),
                problem: format!("not on the grid of {} s bars", width / 1000),
            });
        }
        let maker = self.makers.entry(symbol).or_default();
        if width == BAR_MS {
            maker.whole(Bar::from_values(open.bar(), values));
        } else if self.spec.kind == FileKind::Klines {
            maker.part(open, width, values);
        } else if open.0 + width == open.bar().close().0 {
            maker.whole(Bar::from_values(open.bar(), values));
        }
        Ok(())
    }

    /// The bars by symbol, of rows of this width.
    pub(super) fn finish(
        mut self,
        width: i64,
        findings: &mut Vec<Finding>,
    ) -> Result<BTreeMap<Symbol, Klines>, ArchiveError> {
        self.settle(width)?;
        let (mut repeats, mut doubled) = (0, 0);
        let mut out = BTreeMap::new();
        for (symbol, maker) in self.makers {
            repeats += maker.repeats;
            doubled += maker.doubled;
            for bar in &maker.disputed {
                findings.push(Finding {
                    file: self.file.display().to_string(),
                    line: None,
                    what: format!("the parts of the bar {bar} of {symbol} contradict each other: left out"),
                });
            }
            out.insert(symbol, maker.finish());
        }
        for (count, what) in [
            (repeats, "rows repeat another one, dropped"),
            (doubled, "rows repeat a bar with other values: the one with more trades stands"),
        ] {
            if count > 0 {
                let what = format!("{count} {what}");
                findings.push(Finding { file: self.file.display().to_string(), line: None, what });
            }
        }
        Ok(out)
    }
}

/// Collects the rows of one symbol.
#[derive(Debug, Default)]
struct Maker {
    bars: BTreeMap<BarIndex, Bar>,
    open: BTreeMap<BarIndex, BarParts>,
    /// Of each bar that was made of parts: a hash of each part, by place.
    made: BTreeMap<BarIndex, Vec<u64>>,
    disputed: BTreeSet<BarIndex>,
    repeats: u64,
    doubled: u64,
}

impl Maker {
    fn whole(&mut self, new: Bar) {
        let Some(old) = self.bars.get_mut(&new.bar) else {
            self.bars.insert(new.bar, new);
            return;
        };
        if old.same_as(&new) {
            self.repeats += 1;
            return;
        }
        self.doubled += 1;
        // A bar that was saved while it ran has fewer trades than the same bar later on.
        let rank = |bar: &Bar| [bar.trades, bar.volume].map(|v| if v.is_nan() { -1.0 } else { v });
        let new_stands = rank(&new).partial_cmp(&rank(old)).is_none_or(std::cmp::Ordering::is_ge);
        let (stands, other) = if new_stands { (new, *old) } else { (*old, new) };
        let mut values = stands.values();
        for (value, other) in values.iter_mut().zip(other.values()) {
            if value.is_nan() {
                *value = other;
            }
        }
        *old = Bar::from_values(new.bar, values);
    }

    fn part(&mut self, open: Ts, width: i64, values: [f64; Bar::COLUMNS]) {
        let bar = open.bar();
        if self.disputed.contains(&bar) {
            return;
        }
        let hash = hash(&values);
        if let Some(hashes) = self.made.get(&bar) {
            let place = BarParts::new(bar, width).place(open);
            if hashes.get(usize::from(place)) == Some(&hash) {
                self.repeats += 1;
            } else {
                self.made.remove(&bar);
                self.bars.remove(&bar);
                self.disputed.insert(bar);
            }
            return;
        }
        let parts = self.open.entry(bar).or_insert_with(|| BarParts::new(bar, width));
        if let Some(old) = parts.add(open, values) {
            if self::hash(&old) == hash {
                self.repeats += 1;
            } else {
                self.open.remove(&bar);
                self.disputed.insert(bar);
            }
            return;
        }
        if let Some(made) = parts.finish() {
            self.made.insert(bar, parts.values().map(self::hash).collect());
            self.open.remove(&bar);
            self.bars.insert(bar, made);
        }
    }

    fn finish(self) -> Klines {
        Klines { bars: self.bars.into_values().collect(), parts: self.open.into_values().collect() }
    }
}

/// Tells rows apart (FNV-1a over their bits).
fn hash(values: &[f64; Bar::COLUMNS]) -> u64 {
    values
        .iter()
        .flat_map(|v| v.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
