//! Open interest and long/short ratios from the daily metrics files.
//!
//! Labels are floored to the 5-minute grid (they are often some seconds late; one a few seconds early belongs
//! to the slot that it just missed). Rows that fall into one slot are reduced to the first with a known
//! value, of each ratio by itself; a reported 0 is a defect of the source and means unknown.
//!
//! What a label means changed: the end of its 5 minutes until early 2026, the start of them from 2026-06-25
//! on (the files then cover 00:00 to 23:55 again). The start-labelled value describes an instant up to 5
//! minutes later, so from that day on 5 minutes are added: at worst the value is used one bar late, never
//! early. The label 2026-06-25 00:00 is both the end of the day before and the start of its own, told apart
//! by the rows around it. All of this is decided by columns and dates: only the lake's own table, known by
//! its columns, holds instants.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table};
use super::{ArchiveError, FileSpec, Finding};
use backtestd_core::market::{BAR_MS, Columns, Kind, MAX_COLUMNS, Market, OpenInterest, Records, Symbol, Ts};

const TIME: usize = 0;
const SYMBOL: usize = 1;
const CONTRACTS: usize = 2;
const VALUE: usize = 3;
/// In the order of the stored columns.
const RATIOS: [usize; 4] = [4, 5, 6, 7];

const SCHEMA: Schema<'static> = Schema {
    kind: "metrics",
    columns: COLUMNS,
    ignored: &["cmc_circulating_supply", "source", "exchange", "pair"],
    more: None,
};

const COLUMNS: &[Column] = &[
    Column {
        name: "create_time",
        place: 0,
        aliases: &["create_time", "timestamp", "time", "datetime", "date"],
        required: true,
    },
    Column { name: "symbol", place: 1, aliases: &["symbol", "pair"], required: false },
    Column {
        name: "sum_open_interest",
        place: 2,
        aliases: &["sum_open_interest", "open_interest", "oi"],
        required: true,
    },
    Column {
        name: "sum_open_interest_value",
        place: 3,
        aliases: &["sum_open_interest_value", "open_interest_value", "oi_value"],
        required: false,
    },
    ratio(RATIOS[0], "count_toptrader_long_short_ratio", &["count_toptrader_long_short_ratio"]),
    ratio(RATIOS[1], "sum_toptrader_long_short_ratio", &["sum_toptrader_long_short_ratio"]),
    ratio(RATIOS[2], "count_long_short_ratio", &["count_long_short_ratio"]),
    ratio(RATIOS[3], "sum_taker_long_short_vol_ratio", &["sum_taker_long_short_vol_ratio"]),
];

const fn ratio(place: usize, name: &'static str, aliases: &'static [&'static str]) -> Column {
    Column { name, place, aliases, required: false }
}

/// 2026-06-25T00:00:00Z: from here labels are the start of their period.
const START_LABELS_FROM: Ts = Ts(1_782_345_600_000);

/// A label so little before the grid belongs to what comes, not to the slot before.
const EARLY_MS: i64 = 5000;

/// The slot of a label.
const fn slot_of(label: Ts) -> Ts {
    Ts(label.0 + EARLY_MS).bar().open()
}

/// The instant that a slot's label describes.
const fn described(slot: Ts) -> Ts {
    if slot.0 >= START_LABELS_FROM.0 { Ts(slot.0 + BAR_MS) } else { slot }
}

/// A reported 0 is a defect.
pub(super) fn unless_zero(v: f64) -> f64 {
    if v == 0.0 { f64::NAN } else { v }
}

/// What a row says.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    open_interest: OpenInterest,
    ratios: [f64; RATIOS.len()],
}

/// Snapshots of one symbol, by the instant that they describe.
#[derive(Debug, Default)]
struct Slots {
    open_interest: BTreeMap<Ts, OpenInterest>,
    ratios: BTreeMap<Ts, Columns>,
    /// Rows whose label is the day on which labels changed, in the order of the table.
    between: Vec<Snapshot>,
    first: Option<Ts>,
    last: Option<Ts>,
    doubled: u64,
}

impl Slots {
    fn put(&mut self, ts: Ts, row: Snapshot) {
        let new = OpenInterest { ts, ..row.open_interest };
        self.put_ratios(ts, row.ratios);
        match self.open_interest.entry(ts) {
            Entry::Vacant(slot) => {
                slot.insert(new);
            }
            Entry::Occupied(mut slot) => {
                self.doubled += 1;
                if slot.get().contracts.is_nan() {
                    slot.insert(new);
                }
            }
        }
    }

    /// Fills what the slot does not know yet; rows without any ratio leave no record.
    fn put_ratios(&mut self, ts: Ts, ratios: [f64; RATIOS.len()]) {
        if ratios.iter().all(|v| v.is_nan()) {
            return;
        }
        let slot = self.ratios.entry(ts).or_insert([f64::NAN; MAX_COLUMNS]);
        for (known, ratio) in slot.iter_mut().zip(ratios) {
            if known.is_nan() {
                *known = ratio;
            }
        }
    }

    fn label(&mut self, slot: Ts, row: Snapshot) {
        self.first = self.first.or(Some(slot));
        self.last = Some(slot);
        if slot == START_LABELS_FROM {
            self.between.push(row);
        } else {
            self.put(described(slot), row);
        }
    }

    /// The row that is a neighbour of the day before ends that day; the others start their own.
    fn settle(&mut self) {
        let mut rows = std::mem::take(&mut self.between);
        let has_before = self.open_interest.keys().next().is_some_and(|ts| *ts < START_LABELS_FROM);
        let has_after = self.open_interest.keys().next_back().is_some_and(|ts| *ts > START_LABELS_FROM);
        if self.first > self.last {
            rows.reverse();
        }
        let ends = match (has_before, has_after) {
            (true, false) => rows.len(),
            (true, true) if rows.len() > 1 => 1,
            _ => 0,
        };
        for (ix, row) in rows.into_iter().enumerate() {
            let ts = if ix < ends { START_LABELS_FROM } else { described(START_LABELS_FROM) };
            self.put(ts, row);
        }
    }

    fn into_records(self) -> [Records; 2] {
        let ratios: Vec<(i64, Columns)> =
            self.ratios.into_iter().map(|(ts, columns)| (ts.0, columns)).collect();
        [
            self.open_interest.into_values().collect::<Vec<_>>().into(),
            Records::of(Kind::LongShortRatio, Market::Perp, &ratios),
        ]
    }
}

/// Reads the records of every symbol in the file, those of both kinds.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(Symbol, Records)>, ArchiveError> {
    // A header-less file starts with a digit as well: its first column is a time.
    let mut table = Table::open(file, input, &SCHEMA, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut out: BTreeMap<Symbol, Slots> = BTreeMap::new();
    let (mut late, mut zeros) = (0_u64, 0_u64);
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let label = row.time(TIME)?;
        let snapshot = snapshot(&row, label)?;
        zeros += u64::from(row.number(CONTRACTS)? == 0.0);
        let slots = out.entry(symbol).or_default();
        late += u64::from(label.0.rem_euclid(BAR_MS) != 0);
        slots.label(slot_of(label), snapshot);
    }
    owner.report(findings);
    let mut doubled = 0;
    for slots in out.values_mut() {
        slots.settle();
        doubled += slots.doubled;
    }
    for (count, what) in [
        (late, "labels off the 5-minute grid, floored"),
        (zeros, "rows with open interest 0, stored as unknown"),
        (doubled, "rows in a slot that already had one, dropped"),
    ] {
        if count > 0 {
            findings.push(Finding {
                file: file.display().to_string(),
                line: None,
                what: format!("{count} {what}"),
            });
        }
    }
    let records = out
        .into_iter()
        .flat_map(|(symbol, slots)| slots.into_records().map(|records| (symbol.clone(), records)));
    Ok(records.filter(|(_, records)| !records.rows().is_empty()).collect())
}

fn snapshot(row: &Row<'_>, ts: Ts) -> Result<Snapshot, ArchiveError> {
    let (contracts, value) = (row.number(CONTRACTS)?, row.number(VALUE)?);
    let mut ratios = [f64::NAN; RATIOS.len()];
    for (ratio, column) in ratios.iter_mut().zip(RATIOS) {
        *ratio = row.number(column)?;
    }
    let amounts = [(CONTRACTS, contracts), (VALUE, value)].into_iter().chain(RATIOS.into_iter().zip(ratios));
    for (column, v) in amounts {
        if v < 0.0 {
            return Err(row.bad(column, row.text(column)?, "amounts cannot be negative"));
        }
    }
    let open_interest = OpenInterest { ts, contracts: unless_zero(contracts), value: unless_zero(value) };
    Ok(Snapshot { open_interest, ratios: ratios.map(unless_zero) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::FileKind;
    use backtestd_core::market::parse_time;

    fn t(text: &str) -> Ts {
        parse_time(text).unwrap()
    }

    #[test]
    fn a_label_is_the_instant_until_labels_became_starts() {
        let of = |label: &str| described(slot_of(t(label)));
        assert_eq!(START_LABELS_FROM, t("2026-06-25"));
        assert_eq!(of("2025-04-15T12:51:46Z"), t("2025-04-15T12:50:00Z"));
        assert_eq!(of("2025-04-15T12:49:59Z"), t("2025-04-15T12:50:00Z"), "a second early");
        assert_eq!(of("2026-06-24T23:55:00Z"), t("2026-06-24T23:55:00Z"));
        assert_eq!(of("2026-06-25T00:05:00Z"), t("2026-06-25T00:10:00Z"));
    }

    fn instants(labels: &[&str]) -> Vec<(String, f64)> {
        let rows: String = labels
            .iter()
            .enumerate()
            .map(|(i, label)| format!("{label},BTCUSDT,{},{},{}\n", i + 1, i + 1, i + 1))
            .collect();
        let ratio = "count_long_short_ratio";
        let text = format!("create_time,symbol,sum_open_interest,sum_open_interest_value,{ratio}\n{rows}");
        let spec = FileSpec::of(FileKind::Metrics);
        let out = read(Path::new("x.csv"), text.as_bytes(), &spec, &mut Vec::new()).unwrap();
        let shown = |ts: Ts, v: f64| (ts.to_string()[5..16].to_owned(), v);
        let [(_, Records::OpenInterest(amounts)), (_, Records::LongShortRatio(ratios))] = &out[..] else {
            panic!("{out:?}");
        };
        let amounts: Vec<_> = amounts.iter().map(|o| shown(o.ts, o.contracts)).collect();
        assert_eq!(amounts, ratios.iter().map(|r| shown(r.ts, r.accounts)).collect::<Vec<_>>());
        amounts
    }

    #[test]
    fn the_label_at_the_change_is_told_by_its_neighbours() {
        let at = |text: &str, v: f64| (text.to_owned(), v);
        let (end, change, start) = ("2026-06-24 23:55:00", "2026-06-25 00:00:00", "2026-06-25 00:05:00");
        assert_eq!(instants(&[end, change]), [at("06-24T23:55", 1.0), at("06-25T00:00", 2.0)]);
        assert_eq!(instants(&[change, start]), [at("06-25T00:05", 1.0), at("06-25T00:10", 2.0)]);
        let whole = [("06-24T23:55", 1.0), ("06-25T00:00", 2.0), ("06-25T00:05", 3.0), ("06-25T00:10", 4.0)];
        assert_eq!(instants(&[end, change, change, start]), whole.map(|(text, v)| at(text, v)));
        let reversed =
            [("06-24T23:55", 4.0), ("06-25T00:00", 3.0), ("06-25T00:05", 2.0), ("06-25T00:10", 1.0)];
        assert_eq!(instants(&[start, change, change, end]), reversed.map(|(text, v)| at(text, v)));
    }
}
