//! The newest data over REST: bars that did not come, and the instants of a tick (open interest, funding).

use std::time::Duration;

use backtestd_binance::Rest;
use backtestd_core::market::{BarIndex, Market, Symbol, Ts};
use backtestd_core::market::{RawPut, Records};

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

/// Open interest and funding in `(after, through]` for all symbols.
pub async fn instants(
    rest: &Rest,
    symbols: &[Symbol],
    open_interest: bool,
    funding: bool,
    after: Ts,
    through: Ts,
    deadline: Duration,
) -> Vec<RawPut> {
    let ask = symbols.iter().map(|symbol| async move {
        let mut puts = Vec::new();
        let (from, to) = (Ts(after.0 + 1), Ts(through.0 + 1));
        if open_interest {
            match tokio::time::timeout(deadline, rest.open_interest_hist(symbol, from, to)).await {
                Ok(Ok(rows)) if rows.is_empty() => {}
                Ok(Ok(rows)) => {
                    puts.push(RawPut { symbol: symbol.clone(), records: Records::OpenInterest(rows) });
                }
                Ok(Err(error)) => tracing::warn!(%error, %symbol, "open interest failed"),
                Err(_) => tracing::warn!(%symbol, ?deadline, "open interest took too long"),
            }
        }
        if funding {
            match tokio::time::timeout(deadline, rest.funding_rates(symbol, from, to)).await {
                Ok(Ok(rows)) if rows.is_empty() => {}
                Ok(Ok(rows)) => {
                    let prints = rows.into_iter().map(|row| row.print).collect();
                    puts.push(RawPut { symbol: symbol.clone(), records: Records::Funding(prints) });
                }
                Ok(Err(error)) => tracing::warn!(%error, %symbol, "funding failed"),
                Err(_) => tracing::warn!(%symbol, ?deadline, "funding took too long"),
            }
        }
        puts
    });
    futures_util::future::join_all(ask).await.into_iter().flatten().collect()
}
