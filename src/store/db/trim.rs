//! Taking records out that cannot be: those that lie behind the present.

use super::error::During;
use super::kv::series;
use super::kv::summary;
use super::raw::corrupt;
use super::{Store, StoreError, Summary};
use crate::db::kv::time_at_end;
use backtestd_core::market::SeriesKey;

impl Store {
    /// Removes the records of a series after the time `last`, in one atomic batch; says how many there were.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn trim_after(&mut self, series: &SeriesKey, last: i64) -> Result<u64, StoreError> {
        let Some(extent) = self.summary(series)?.filter(|extent| extent.last > last) else { return Ok(0) };
        let space = self.spaces.raw[series.kind.index()].clone();
        let key = |time| series::key(series.market, &series.symbol, time);
        let mut batch = self.db.batch();
        let mut removed = 0;
        for pair in space.range(key(last.saturating_add(1))..=key(i64::MAX)) {
            batch.remove(&space, pair.key().during("read the raw log")?);
            removed += 1;
        }
        let newest = match space.range(key(extent.first)..=key(last)).next_back() {
            Some(pair) => {
                let found = pair.key().during("read the raw log")?;
                Some(
                    time_at_end(&found)
                        .ok_or_else(|| corrupt(series.kind.name(), &found, "key too short"))?,
                )
            }
            None => None,
        };
        match newest {
            Some(newest) => {
                let records = extent.records.saturating_sub(removed);
                let left = Summary { last: newest, records, ..extent };
                batch.insert(&self.spaces.summaries, summary::key(series), summary::encode(&left));
            }
            None => batch.remove(&self.spaces.summaries, summary::key(series)),
        }
        self.write_durably(batch, "remove records")?;
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Delivery, Origin};
    use backtestd_core::market::{Bar, BarIndex, Kind, Market, Symbol};

    #[test]
    fn records_after_the_present_go_and_the_extent_follows() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let bars: Vec<Bar> =
            [5, 6, 9].map(|slot| Bar::from_values(BarIndex(slot), [1.0; Bar::COLUMNS])).to_vec();
        let delivery = Delivery::new(Origin::Stream, "test");
        store.put_bars(Market::Perp, &symbol, &bars, delivery).unwrap();
        store.put_bars(Market::Spot, &symbol, &bars, delivery).unwrap();
        let series = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: symbol.clone() };
        assert_eq!(store.trim_after(&series, 9).unwrap(), 0);
        assert_eq!(store.trim_after(&series, 6).unwrap(), 1);
        let extent = store.summary(&series).unwrap().unwrap();
        assert_eq!((extent.first, extent.last, extent.records), (5, 6, 2));
        assert_eq!(store.trim_after(&series, 4).unwrap(), 2);
        assert_eq!(store.summary(&series).unwrap(), None);
        let spot = store.bars(Market::Spot, &symbol, BarIndex(0), BarIndex(20)).unwrap();
        assert_eq!(spot.len(), 3, "another series stays");
    }
}
