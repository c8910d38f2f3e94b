//! Open interest and long/short ratios from the daily metrics files.
//!
//! Labels are floored to the 5-minute grid (they are often some seconds late). Rows that fall into one slot are
//! reduced to the first with a known value, of each ratio by itself; a reported 0 is a defect of the source and means
//! unknown.
//!
//! What a label means changed: the end of its 5 minutes until early 2026, the start of them from 2026-06-25 on (the
//! files then cover 00:00 to 23:55 again). The start-labelled value describes an instant up to 5 minutes later, so
//! from that day on 5 minutes are added: at worst the value is used one bar late, never early.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::table::{Column, Table};
use super::{ArchiveError, Finding};
use backtestd_core::market::{
    BAR_MS, Columns, Kind, MAX_COLUMNS, Market, OpenInterest, RawPut, Records, Symbol, Ts,
};

const TIME: usize = 0;
const SYMBOL: usize = 1;
const CONTRACTS: usize = 2;
const VALUE: usize = 3;
/// In the order of the stored columns.
const RATIOS: [usize; 4] = [4, 5, 6, 7];

const COLUMNS: &[Column] = &[
    Column {
        name: "create_time",
        place: 0,
        aliases: &["create_time", "timestamp", "time", "datetime"],
        required: true,
    },
    Column { name: "symbol", place: 1, aliases: &["symbol"], required: false },
    Column {
        name: "sum_open_interest",
        place: 2,
        aliases: &["sum_open_interest", "open_interest", "sumopeninterest", "oi"],
        required: true,
    },
    Column {
        name: "sum_open_interest_value",
        place: 3,
        aliases: &["sum_open_interest_value", "open_interest_value", "sumopeninterestvalue", "oi_value"],
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

/// What the times of a table mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// Labels of the archive, see the module's description.
    Archive,
    /// The instants themselves.
    Instants,
}

/// The instant a label describes, on the grid.
pub(super) const fn described(label: Ts) -> Ts {
    let slot = label.bar().open();
    if label.0 >= START_LABELS_FROM.0 { Ts(slot.0 + BAR_MS) } else { slot }
}

/// A reported 0 is a defect.
pub(super) fn unless_zero(v: f64) -> f64 {
    if v == 0.0 { f64::NAN } else { v }
}

/// The records of one symbol, by the instant that they describe.
#[derive(Default)]
struct Slots {
    open_interest: BTreeMap<Ts, OpenInterest>,
    ratios: BTreeMap<i64, Columns>,
}

impl Slots {
    /// Fills what the slot does not know yet; rows without any ratio leave no record.
    fn add_ratios(&mut self, ts: Ts, ratios: [f64; RATIOS.len()]) {
        if ratios.iter().all(|v| v.is_nan()) {
            return;
        }
        let slot = self.ratios.entry(ts.0).or_insert([f64::NAN; MAX_COLUMNS]);
        for (known, ratio) in slot.iter_mut().zip(ratios) {
            if known.is_nan() {
                *known = ratio;
            }
        }
    }

    fn into_records(self) -> [Records; 2] {
        let ratios: Vec<(i64, Columns)> = self.ratios.into_iter().collect();
        [
            self.open_interest.into_values().collect::<Vec<_>>().into(),
            Records::of(Kind::LongShortRatio, Market::Perp, &ratios),
        ]
    }
}

/// Reads the records of every symbol in the file.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    named: Option<&Symbol>,
    labels: Labels,
    findings: &mut Vec<Finding>,
) -> Result<Vec<RawPut>, ArchiveError> {
    // A header-less file starts with a digit as well: its first column is a time.
    let mut table = Table::open(file, input, COLUMNS, "metrics")?;
    let mut out: BTreeMap<Symbol, Slots> = BTreeMap::new();
    let (mut late, mut zeros, mut doubled) = (0_u64, 0_u64, 0_u64);
    while let Some(row) = table.next_row()? {
        let label = row.time(TIME)?;
        let symbol = super::row_symbol(&row, SYMBOL, named, file)?;
        let (contracts, value) = (row.number(CONTRACTS)?, row.number(VALUE)?);
        let mut ratios = [f64::NAN; RATIOS.len()];
        for (ratio, column) in ratios.iter_mut().zip(RATIOS) {
            *ratio = row.number(column)?;
        }
        let amounts =
            [(CONTRACTS, contracts), (VALUE, value)].into_iter().chain(RATIOS.into_iter().zip(ratios));
        for (column, v) in amounts {
            if v < 0.0 {
                return Err(row.bad(column, row.text(column)?, "amounts cannot be negative"));
            }
        }
        let ts = match labels {
            Labels::Archive => described(label),
            Labels::Instants => label,
        };
        late += u64::from(labels == Labels::Archive && label.0.rem_euclid(BAR_MS) != 0);
        zeros += u64::from(contracts == 0.0);
        let new = OpenInterest { ts, contracts: unless_zero(contracts), value: unless_zero(value) };
        let slots = out.entry(symbol).or_default();
        slots.add_ratios(ts, ratios.map(unless_zero));
        match slots.open_interest.entry(ts) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(new);
            }
            std::collections::btree_map::Entry::Occupied(mut slot) => {
                doubled += 1;
                if slot.get().contracts.is_nan() {
                    slot.insert(new);
                }
            }
        }
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
    let puts = out.into_iter().flat_map(|(symbol, slots)| {
        slots.into_records().map(|records| RawPut { symbol: symbol.clone(), records })
    });
    Ok(puts.filter(|put| !put.records.rows().is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::parse_time;

    #[test]
    fn a_label_is_the_instant_until_labels_became_starts() {
        let t = |s: &str| parse_time(s).unwrap();
        assert_eq!(START_LABELS_FROM, t("2026-06-25"));
        assert_eq!(described(t("2025-04-15T12:51:46Z")), t("2025-04-15T12:50:00Z"));
        assert_eq!(described(t("2026-06-24T23:55:00Z")), t("2026-06-24T23:55:00Z"));
        assert_eq!(described(t("2026-06-25T00:00:00Z")), t("2026-06-25T00:05:00Z"));
    }
}
