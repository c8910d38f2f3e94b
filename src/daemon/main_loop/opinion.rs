//! What aggregated trades say of klines: counted, and shown. Klines stand.

use super::MainLoop;
use backtestd_binance::aggregate::{Opinion, SecondOpinion};

impl MainLoop {
    /// Counts second opinions; a difference is worth a line.
    pub(super) fn note_opinions(&self, opinions: Vec<SecondOpinion>) {
        for SecondOpinion { market, symbol, bar, opinion } in opinions {
            let difference = match opinion {
                Opinion::Differs { column, trades, kline } => Some(format!(
                    "{symbol} {market} {bar}: {column} is {trades} by its trades, {kline} by its kline"
                )),
                Opinion::Matches { .. } | Opinion::Incomplete => None,
            };
            if let Some(difference) = &difference {
                tracing::info!(difference, "trades and kline disagree");
            }
            self.shared.update(|s| {
                let status = s.live.second_opinion.get_or_insert_default();
                status.compared += u64::from(opinion != Opinion::Incomplete);
                status.incomplete += u64::from(opinion == Opinion::Incomplete);
                status.matched += u64::from(matches!(opinion, Opinion::Matches { .. }));
                status.matched_in_value += u64::from(opinion == Opinion::Matches { in_value: true });
                if difference.is_some() {
                    status.last_difference = difference;
                }
            });
        }
    }
}
