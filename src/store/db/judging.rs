//! Judging what is written, in the batch that writes it: by the rules and the time that the store was told.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use fjall::OwnedWriteBatch;

use super::commit::COMMITTED;
use super::error::During;
use super::facts::user_key;
use super::kv::quarantine::{self as layout, Entry};
use super::put::Row;
use super::quarantine::row_of;
use super::{FACTS_DIRTY, Store, StoreError};
use backtestd_core::clean::doubt::{Doubt, DoubtRule, Judge, reach};
use backtestd_core::market::{
    BAR_MS, Bar, BarIndex, Columns, Kind, MarkBar, Market, Record, SeriesKey, Symbol, Ts,
};
use backtestd_core::spec::Plausibility;

/// Under this name the store keeps the rules that its records were judged by, as JSON.
const RULES: &str = "plausibility";
/// Bars of a series that are judged at a time.
const CHUNK_BARS: i64 = 20_000;

/// The rules of a store and the time by which it judges.
#[derive(Clone, Debug, Default)]
pub(super) struct Judging {
    pub(super) rules: Option<Plausibility>,
    pub(super) now: Option<Ts>,
    /// The exchange's price bands, by the mark price.
    pub(super) bands: BTreeMap<Symbol, (f64, f64)>,
}

/// What a batch writes, by series, in order of time.
pub(super) type Written = BTreeMap<SeriesKey, Vec<Row>>;

/// What a judgement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Records that went into quarantine.
    pub masked: u64,
    /// Records that came out of it.
    pub unmasked: u64,
    /// The first row whose facts may read differently.
    pub from: Option<BarIndex>,
}

impl Judged {
    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.masked += other.masked;
        self.unmasked += other.unmasked;
        self.from = self.from.into_iter().chain(other.from).min();
    }

    pub(super) fn note(&mut self, kind: Kind, time: i64, masks: bool) {
        if masks {
            self.masked += 1;
        } else {
            self.unmasked += 1;
        }
        self.from = self.from.into_iter().chain([row_of(kind, time)]).min();
    }
}

impl Store {
    /// Says what time it is where the records come from. Until then nothing is too far ahead.
    pub const fn tell_time(&mut self, now: Ts) {
        self.judging.now = Some(now);
    }

    /// Says between which multiples of the mark price the exchange lets orders of each perpetual rest.
    pub fn tell_bands(&mut self, bands: BTreeMap<Symbol, (f64, f64)>) {
        self.judging.bands = bands;
    }

    /// Judges by these rules from now on. Where they are not those that the store was judged by, every record
    /// is judged again; releases stay.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn judge_by(&mut self, rules: &Plausibility) -> Result<Judged, StoreError> {
        let mut out = Judged::default();
        if self.judging.rules.as_ref() == Some(rules) {
            return Ok(out);
        }
        self.judging.rules = Some(rules.clone());
        for (series, summary) in self.series()? {
            let step = CHUNK_BARS * if series.kind.is_bar_like() { 1 } else { BAR_MS };
            let mut from = summary.first;
            while from <= summary.last {
                let mut batch = self.db.batch();
                let to = from.saturating_add(step);
                out.add(self.stage_verdicts(&mut batch, &series, (from, to), &Written::new())?);
                self.stage_stale(&mut batch, out.from)?;
                if !batch.is_empty() {
                    batch.commit().during("store verdicts")?;
                }
                from = to;
            }
        }
        let text = serde_json::to_vec(rules).unwrap_or_default();
        self.put_meta(RULES, &text)?;
        Ok(out)
    }

    /// The rules that the store was judged by last; none in a store that was never judged, or by another
    /// version.
    pub(super) fn known_rules(&self) -> Result<Option<Plausibility>, StoreError> {
        Ok(self.meta(RULES)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Whether there are rules to judge by.
    #[must_use]
    pub const fn has_rules(&self) -> bool {
        self.judging.rules.is_some()
    }

    /// Adds to a batch the verdicts on what it writes of a series and on everything in reach of it. The facts
    /// that read it go stale by [`Store::stage_stale`], once for the whole batch.
    pub(super) fn stage_judgement(
        &self,
        batch: &mut OwnedWriteBatch,
        series: &SeriesKey,
        written: &Written,
    ) -> Result<Judged, StoreError> {
        let mut out = Judged::default();
        let (Some(rules), Some(rows)) = (&self.judging.rules, written.get(series)) else { return Ok(out) };
        let far = reach(rules, series.kind);
        // Records that lie far apart are judged apart, so that little is read.
        for group in rows.chunk_by(|a, b| b.0 - a.0 <= 4 * far) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            out.add(self.stage_verdicts(batch, series, (first.0 - far, last.0 + far + 1), written)?);
            // A mark price says where its bar may have closed.
            if series.kind == Kind::Mark && self.judging.bands.contains_key(&series.symbol) {
                let bars = SeriesKey { kind: Kind::Bars, ..series.clone() };
                out.add(self.stage_verdicts(batch, &bars, (first.0, last.0 + 1), written)?);
            }
        }
        Ok(out)
    }

    /// The verdicts on the records of `[wanted.0, wanted.1)`, of which some are being written.
    fn stage_verdicts(
        &self,
        batch: &mut OwnedWriteBatch,
        series: &SeriesKey,
        wanted: (i64, i64),
        written: &Written,
    ) -> Result<Judged, StoreError> {
        let mut out = Judged::default();
        let Some(rules) = &self.judging.rules else { return Ok(out) };
        let far = reach(rules, series.kind);
        let rows = self.rows_with(series, (wanted.0 - far, wanted.1 + far), written)?;
        let list: Vec<Row> = rows.iter().map(|(time, columns)| (*time, *columns)).collect();
        let judge = Judge { rules, now: self.judging.now };
        let mut doubts = judge.series(series.kind, &list, wanted.0..wanted.1);
        self.add_band_doubts(&judge, series, wanted, (&rows, written), &mut doubts)?;
        let known = self.entries(series, wanted.0, wanted.1)?;
        for time in doubts.keys().chain(known.keys()).copied().collect::<BTreeSet<_>>() {
            let (entry, doubt) = (known.get(&time), doubts.get(&time));
            let Some(columns) = rows.get(&time) else { continue };
            let stands = |entry: &Entry| {
                DoubtRule::from_name(&entry.rule).is_some_and(DoubtRule::stands_by_itself)
                    && entry.bits == layout::bits(series.kind, columns)
            };
            if !entry.is_some_and(stands) {
                out.add(self.stage_verdict(batch, series, time, columns, entry, doubt));
            }
        }
        Ok(out)
    }

    /// Stored records of a stretch, those that are being written in their places.
    fn rows_with(
        &self,
        series: &SeriesKey,
        (from, to): (i64, i64),
        written: &Written,
    ) -> Result<BTreeMap<i64, Columns>, StoreError> {
        let mut rows = self.log_rows(series, from, to)?;
        let new = written.get(series).into_iter().flatten().filter(|row| (from..to).contains(&row.0));
        rows.extend(new.copied());
        Ok(rows)
    }

    /// Adds the doubts about closes outside of the exchange's price band, where it and the mark price are
    /// known.
    fn add_band_doubts(
        &self,
        judge: &Judge<'_>,
        series: &SeriesKey,
        wanted: (i64, i64),
        (rows, written): (&BTreeMap<i64, Columns>, &Written),
        doubts: &mut BTreeMap<i64, Doubt>,
    ) -> Result<(), StoreError> {
        let Some(band) = self.judging.bands.get(&series.symbol) else { return Ok(()) };
        if series.kind != Kind::Bars || series.market != Market::Perp {
            return Ok(());
        }
        let marks = SeriesKey { kind: Kind::Mark, ..series.clone() };
        for (time, mark) in self.rows_with(&marks, wanted, written)? {
            let mark = MarkBar::from_columns(time, &mark).mark;
            let bar = rows.get(&time).map(|columns| Bar::from_columns(time, columns));
            if let Some(doubt) = bar.and_then(|bar| judge.band(&bar, mark, *band)) {
                doubts.entry(time).or_insert(doubt);
            }
        }
        Ok(())
    }

    pub(super) fn log_rows(
        &self,
        series: &SeriesKey,
        from: i64,
        to: i64,
    ) -> Result<BTreeMap<i64, Columns>, StoreError> {
        let mut out = BTreeMap::new();
        self.scan(series.kind, series.market, &series.symbol, from, to, |time, columns, _| {
            out.insert(time, *columns);
        })?;
        Ok(out)
    }

    /// Marks committed facts that read a record which is masked now, or no longer is.
    pub(super) fn stage_stale(
        &self,
        batch: &mut OwnedWriteBatch,
        from: Option<BarIndex>,
    ) -> Result<(), StoreError> {
        let committed = self.meta_i64(COMMITTED)?.map(BarIndex);
        let (Some(from), Some(committed)) = (from, committed) else { return Ok(()) };
        let is_news = self.facts_dirty()?.is_none_or(|known| from < known);
        if from <= committed && is_news {
            batch.insert(&self.spaces.meta, user_key(FACTS_DIRTY), from.0.to_le_bytes());
        }
        Ok(())
    }
}
