//! The 5-minute statistics of `/futures/data`, of which the exchange keeps 30 days.

use std::collections::BTreeMap;

use super::http::{Budget, Call};
use super::{Rest, RestError};
use crate::wire::{self, StatisticsRow};
use backtestd_core::market::{BAR_MS, Columns, Kind, MAX_COLUMNS, Market, Symbol, Ts};

/// Rows per request.
const PAGE_ROWS: i64 = 500;

/// An endpoint and the fields that it has of a record.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Its path below the base URL of the futures.
    pub path: &'static str,
    /// Name of a row in messages.
    pub row: &'static str,
    /// Field and the column that it fills. A row without the first one says nothing.
    pub fields: &'static [(&'static str, usize)],
}

const OPEN_INTEREST: &[Endpoint] = &[Endpoint {
    path: "/futures/data/openInterestHist",
    row: "openInterestHist row",
    fields: &[("sumOpenInterest", 0), ("sumOpenInterestValue", 1)],
}];

const LONG_SHORT_RATIO: &[Endpoint] = &[
    Endpoint {
        path: "/futures/data/topLongShortAccountRatio",
        row: "topLongShortAccountRatio row",
        fields: &[("longShortRatio", 0)],
    },
    Endpoint {
        path: "/futures/data/topLongShortPositionRatio",
        row: "topLongShortPositionRatio row",
        fields: &[("longShortRatio", 1)],
    },
    Endpoint {
        path: "/futures/data/globalLongShortAccountRatio",
        row: "globalLongShortAccountRatio row",
        fields: &[("longShortRatio", 2)],
    },
    Endpoint {
        path: "/futures/data/takerlongshortRatio",
        row: "takerlongshortRatio row",
        fields: &[("buySellRatio", 3)],
    },
];

/// The endpoints of a kind; none where it is not a statistic.
pub(super) const fn endpoints(kind: Kind) -> &'static [Endpoint] {
    match kind {
        Kind::OpenInterest => OPEN_INTEREST,
        Kind::LongShortRatio => LONG_SHORT_RATIO,
        Kind::Bars | Kind::Funding | Kind::Mark | Kind::Liquidations | Kind::Quotes | Kind::Depth => &[],
    }
}

impl Rest {
    /// Records labelled within `[from, to)`, ascending, each label once, joined from all endpoints: where one
    /// of them has nothing for a label, its columns are unknown.
    ///
    /// Whether a label is the start or the end of its period changed in 2026 for the archive and is unknown
    /// here: a value must not be used before its label + 5 minutes.
    pub(super) async fn statistics(
        &self,
        endpoints: &'static [Endpoint],
        symbol: &Symbol,
        from: Ts,
        to: Ts,
    ) -> Result<Vec<(i64, Columns)>, RestError> {
        let all = endpoints.iter().map(|endpoint| self.rows_of(endpoint, symbol, from, to));
        let mut records: BTreeMap<i64, Columns> = BTreeMap::new();
        for (endpoint, rows) in endpoints.iter().zip(futures_util::future::try_join_all(all).await?) {
            let Some((_, first)) = endpoint.fields.first() else { continue };
            for row in rows {
                let columns = records.entry(row.ts.0).or_insert([f64::NAN; MAX_COLUMNS]);
                // A defective repeat of a label must not win over the good one.
                if columns[*first].is_nan() {
                    for ((_, column), value) in endpoint.fields.iter().zip(row.values) {
                        columns[*column] = value;
                    }
                }
            }
        }
        Ok(records.into_iter().collect())
    }

    async fn rows_of(
        &self,
        endpoint: &'static Endpoint,
        symbol: &Symbol,
        from: Ts,
        to: Ts,
    ) -> Result<Vec<StatisticsRow>, RestError> {
        let fields: Vec<&'static str> = endpoint.fields.iter().map(|(field, _)| *field).collect();
        let mut all = Vec::new();
        // Windows that fit into one answer: which end of a longer range would come is not documented.
        let mut start = from.0;
        while start < to.0 {
            let end = to.0.min(start + PAGE_ROWS * BAR_MS);
            let query = vec![
                ("symbol", symbol.to_string()),
                ("period", "5m".to_owned()),
                ("limit", PAGE_ROWS.to_string()),
                ("startTime", start.to_string()),
                ("endTime", (end - 1).to_string()),
            ];
            let call = Call { market: Market::Perp, path: endpoint.path, query, budget: Budget::FuturesData };
            let rows =
                self.http.get(&call, |body| wire::parse_statistics(body, endpoint.row, &fields)).await?;
            all.extend(rows);
            start = end;
        }
        all.retain(|row| row.ts >= from && row.ts < to && row.symbol.as_ref().is_none_or(|s| s == symbol));
        Ok(all)
    }
}
