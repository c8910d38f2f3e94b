//! Trades, single and aggregated.

use crate::venue::state::Venue;
use crate::venue::text::decimal;
use backtestd_core::market::{DAY_MS, Ts};
use backtestd_lab::sim::{Market, Print, Series};

use super::params::{Params, TooMany};
use super::{Answer, Request};

/// The prints of a request: from an id, from a time, or the newest.
fn wanted(
    request: &Request<'_>,
    symbol: usize,
    series: Series,
    from_id: Option<i64>,
) -> Result<Vec<Print>, super::ApiError> {
    let (venue, now) = (request.venue, request.now);
    let range = request.params.range(500, 1000, TooMany::Clamp)?;
    let oldest = now.0 - DAY_MS;
    let of_bar = |bar| venue.market.prints(symbol, series, bar, venue.print_step_ms());
    let fits = |print: &Print| {
        print.at.0 <= now.0
            && print.at.0 >= range.start.unwrap_or(oldest).max(oldest)
            && range.end.is_none_or(|end| print.at.0 <= end)
            && from_id.is_none_or(|id| print.id >= id)
    };
    let mut found: Vec<Print> = Vec::new();
    let begin = from_id.map(Market::bar_of_print).or(range.start.map(|start| Ts(start.max(oldest)).bar()));
    if let Some(begin) = begin {
        let mut bar = begin.max(Ts(oldest).bar());
        while bar <= now.bar() && found.len() < range.limit {
            found.extend(of_bar(bar).into_iter().filter(fits));
            bar = bar.next();
        }
        found.truncate(range.limit);
        return Ok(found);
    }
    let mut bar = Ts(range.end.unwrap_or(now.0).min(now.0)).bar();
    while bar >= Ts(oldest).bar() && found.len() < range.limit {
        let mut earlier: Vec<Print> = of_bar(bar).into_iter().filter(fits).collect();
        earlier.append(&mut found);
        found = earlier;
        bar = bar + -1;
    }
    found.drain(..found.len().saturating_sub(range.limit));
    Ok(found)
}

/// Aggregated trades of the last day.
pub(super) fn aggregated(request: &Request<'_>, series: Series) -> Answer {
    let symbol = request.params.symbol_of(request.venue, series)?;
    let from_id = request.params.number("fromId")?;
    let prints = wanted(request, symbol, series, from_id)?;
    let rows: Vec<String> =
        prints.iter().map(|print| aggregated_row(request.venue, symbol, series, print)).collect();
    Ok(format!("[{}]", rows.join(",")))
}

fn aggregated_row(venue: &Venue, symbol: usize, series: Series, print: &Print) -> String {
    let digits = venue.market.digits(symbol, series);
    let quantity = decimal(print.quantity, digits.volume);
    let tail =
        if series == Series::Spot { ",\"M\":true".to_owned() } else { format!(",\"nq\":\"{quantity}\"") };
    format!(
        "{{\"a\":{},\"p\":\"{}\",\"q\":\"{quantity}\",\"f\":{},\"l\":{},\"T\":{},\"m\":{}{tail}}}",
        print.id,
        decimal(print.price, digits.price),
        print.ids.0,
        print.ids.1,
        print.at.0,
        print.is_buyer_maker,
    )
}

/// The newest trades; those of one instant and side are told as one.
pub(super) fn single(request: &Request<'_>, series: Series) -> Answer {
    let venue = request.venue;
    let symbol = request.params.symbol_of(venue, series)?;
    let digits = venue.market.digits(symbol, series);
    let only_limit = Params(
        request.params.0.iter().filter(|(k, _)| *k == "limit").map(|(k, v)| (k.clone(), v.clone())).collect(),
    );
    let newest = Request { params: &only_limit, ..*request };
    let rows: Vec<String> = wanted(&newest, symbol, series, None)?
        .iter()
        .map(|print| {
            let tail = if series == Series::Spot { ",\"isBestMatch\":true" } else { ",\"isRPITrade\":false" };
            format!(
                "{{\"id\":{},\"price\":\"{}\",\"qty\":\"{}\",\"quoteQty\":\"{:.8}\",\"time\":{},\"isBuyerMaker\":{}{tail}}}",
                print.ids.1,
                decimal(print.price, digits.price),
                decimal(print.quantity, digits.volume),
                print.price * print.quantity,
                print.at.0,
                print.is_buyer_maker,
            )
        })
        .collect();
    Ok(format!("[{}]", rows.join(",")))
}
