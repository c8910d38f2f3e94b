//! Order books: twenty levels a side around the best bid and ask, new twice a second. A function of (market,
//! symbol, step), so that a snapshot and the differences after it agree.

use backtestd_core::market::{Draws, Ts, derive};
use backtestd_lab::sim::{Series, tick};

use super::state::Venue;
use super::text::decimal;

/// Levels of a side.
pub(crate) const LEVELS: usize = 20;

/// A book at the end of a step: prices with quantities as text, best first.
pub(crate) struct Depth {
    /// Rises from step to step.
    pub(crate) update_id: i64,
    pub(crate) bids: Vec<(String, String)>,
    pub(crate) asks: Vec<(String, String)>,
}

/// The book that stands at `at`, whose steps are `step_ms` long.
pub(crate) fn depth(venue: &Venue, symbol: usize, series: Series, at: Ts, step_ms: i64) -> Option<Depth> {
    let step = at.0.div_euclid(step_ms);
    let at = Ts(step * step_ms);
    let book = venue.market.book(symbol, series, at)?;
    let digits = venue.market.digits(symbol, series);
    let listing = &venue.market.scenario().symbols[symbol];
    let tick_decimals =
        if series == Series::Spot { listing.spot?.tick_decimals } else { listing.tick_decimals };
    let key = derive(derive(venue.market.seed(), "depth"), venue.name(symbol));
    let mut draws = Draws::numbered(key, step);
    let mut side = |best: f64, first: f64, away: f64| -> Vec<(String, String)> {
        (0..LEVELS)
            .map(|level| (best + away * level as f64 * tick(tick_decimals), level))
            .filter(|(price, _)| *price > 0.0)
            .map(|(price, level)| {
                let quantity = if level == 0 { first } else { first * draws.between(0.4, 3.0) };
                (decimal(price, digits.price), decimal(quantity, digits.volume))
            })
            .collect()
    };
    let bids = side(book.bid, book.bid_quantity, -1.0);
    let asks = side(book.ask, book.ask_quantity, 1.0);
    Some(Depth { update_id: step, bids, asks })
}

/// What changed from one book to the next: levels that are gone have quantity zero.
pub(crate) fn changes(before: &[(String, String)], after: &[(String, String)]) -> Vec<(String, String)> {
    let gone = before.iter().filter(|(price, _)| after.iter().all(|(other, _)| other != price));
    let gone = gone.map(|(price, _)| (price.clone(), "0".to_owned()));
    let new = after.iter().filter(|level| !before.contains(level)).cloned();
    gone.chain(new).collect()
}

/// Levels as the venue writes them.
pub(crate) fn levels(side: &[(String, String)]) -> String {
    let rows: Vec<String> =
        side.iter().map(|(price, quantity)| format!("[\"{price}\",\"{quantity}\"]")).collect();
    format!("[{}]", rows.join(","))
}
