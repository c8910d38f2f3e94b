//! The newest data over REST: bars that did not come, and the records at instants that a tick asks for.

use std::time::Duration;

use backtestd_binance::Rest;
use backtestd_core::market::{BarIndex, Kind, Market, RawPut, Records, SeriesKey, Symbol, Ts};

/// What asking for bars gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Bars that the exchange has.
    pub puts: Vec<RawPut>,
    /// Which slots these are.
    pub delivered: Vec<(Market, Symbol, BarIndex)>,
}

/// Asks for the bars of `[from, to)` of several series at once; what does not answer within `deadline` is left out.
pub async fn ask_bars(
    rest: &Rest,
    series: &[(Market, Symbol)],
    from: BarIndex,
    to: BarIndex,
    deadline: Duration,
) -> Asked {
    let ask = series.iter().map(|(market, symbol)| async move {
        match tokio::time::timeout(deadline, rest.klines(*market, symbol, from, to)).await {
            Ok(Ok(range)) => Some((*market, symbol, range.bars)),
            Ok(Err(error)) => {
                tracing::warn!(%error, %market, %symbol, "asking for a missing bar failed");
                None
            }
            Err(_) => {
                tracing::warn!(%market, %symbol, ?deadline, "asking for a missing bar took too long");
                None
            }
        }
    });
    let mut asked = Asked::default();
    for (market, symbol, bars) in futures_util::future::join_all(ask).await.into_iter().flatten() {
        asked.delivered.extend(bars.iter().map(|bar| (market, symbol.clone(), bar.bar)));
        if !bars.is_empty() {
            asked.puts.push(RawPut { symbol: symbol.clone(), records: Records::Bars(market, bars) });
        }
    }
    asked
}

/// Records of these kinds in `(after, through]` for all symbols, each asked for at once; what does not answer within
/// `deadline` is left out.
pub async fn instants(
    rest: &Rest,
    symbols: &[Symbol],
    kinds: &[Kind],
    after: Ts,
    through: Ts,
    deadline: Duration,
) -> Vec<RawPut> {
    let series = kinds.iter().flat_map(|kind| symbols.iter().map(|symbol| (*kind, symbol.clone())));
    let ask = series.map(|(kind, symbol)| async move {
        let series = SeriesKey { kind, market: Market::Perp, symbol };
        let asked = rest.history(&series, after.0 + 1, through.0 + 1, through);
        let SeriesKey { symbol, .. } = &series;
        match tokio::time::timeout(deadline, asked).await {
            Ok(Ok(page)) if page.records.rows().is_empty() => None,
            Ok(Ok(page)) => Some(RawPut { symbol: symbol.clone(), records: page.records }),
            Ok(Err(error)) => {
                tracing::warn!(%error, %symbol, kind = kind.name(), "asking for the newest records failed");
                None
            }
            Err(_) => {
                tracing::warn!(%symbol, kind = kind.name(), ?deadline, "asking for the newest records took too long");
                None
            }
        }
    });
    futures_util::future::join_all(ask).await.into_iter().flatten().collect()
}
