//! What came with which source: the records of a file as lots of the store.

use std::collections::BTreeMap;

use clap::ValueEnum;

use backtestd_binance::archive::{Provenance, Told};
use backtestd_core::market::{Columns, RawPut, Records, SeriesKey};
use backtestd_store::Prefer;

/// Which of two values stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PreferArg {
    /// The better one: by where they come from, then more trades, then the later publication.
    #[default]
    Better,
    /// That of the files.
    New,
    /// That of the store.
    Stored,
}

impl From<PreferArg> for Prefer {
    fn from(prefer: PreferArg) -> Self {
        match prefer {
            PreferArg::Better => Self::Better,
            PreferArg::New => Self::New,
            PreferArg::Stored => Self::Stored,
        }
    }
}

/// Sorts records by what they came with: the file itself, or what a table of the lake says of its rows.
pub(super) fn by_source(
    puts: Vec<RawPut>,
    provenance: Provenance,
    file: Told,
) -> BTreeMap<Told, Vec<RawPut>> {
    let mut told: BTreeMap<SeriesKey, Vec<(i64, Told)>> = BTreeMap::new();
    for (series, rows) in provenance.told {
        told.entry(series).or_default().extend(rows);
    }
    told.values_mut().for_each(|rows| rows.sort_unstable());
    let mut out: BTreeMap<Told, Vec<RawPut>> = BTreeMap::new();
    for put in puts {
        let series = put.series();
        let Some(told) = told.get(&series) else {
            out.entry(file).or_default().push(put);
            continue;
        };
        let mut parts: BTreeMap<Told, Vec<(i64, Columns)>> = BTreeMap::new();
        put.records.rows().each(&mut |time, columns, _| {
            let at = told.partition_point(|(t, _)| *t < time);
            let source = told.get(at).filter(|(t, _)| *t == time).map_or(file, |(_, told)| *told);
            parts.entry(source).or_default().push((time, *columns));
        });
        for (source, rows) in parts {
            let records = Records::of(series.kind, series.market, &rows);
            out.entry(source).or_default().push(RawPut { symbol: series.symbol.clone(), records });
        }
    }
    out
}
