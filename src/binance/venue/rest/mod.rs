//! REST: `/fapi/v1`, `/futures/data` and `/api/v3` on one port.

mod book;
mod error;
mod faults;
mod funding;
mod info;
mod klines;
mod micro;
mod params;
mod quotes;
mod statistics;
mod trades;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use backtestd_core::market::Ts;

use super::limits::{Admission, Pool};
use super::state::Venue;
use backtestd_lab::sim::Series;
use error::ApiError;
use faults::Trouble;
use params::Params;

pub(super) use funding::settled;
pub(super) use statistics::ratio;

/// What a handler is given: the venue, the instant of the request, its parameters.
#[derive(Clone, Copy)]
struct Request<'a> {
    venue: &'a Venue,
    now: Ts,
    params: &'a Params,
}

/// JSON text, or a refusal.
type Answer = Result<String, ApiError>;

/// All REST routes.
pub(crate) fn routes() -> Router<Arc<Venue>> {
    [futures(), spot()]
        .into_iter()
        .fold(Router::new(), Router::merge)
        .route("/_exchange/tally", get(|State(venue): State<Arc<Venue>>| async move { tally(&venue) }))
        .fallback(|| async { ApiError::NotFound })
}

/// The venue's own time in the header where servers say it, to the second, whatever `/time` says.
pub(crate) async fn dated(
    State(venue): State<Arc<Venue>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let mut response = next.run(request).await;
    if let Some(date) = http_date(venue.now()) {
        response.headers_mut().insert(axum::http::header::DATE, date);
    }
    response
}

fn http_date(now: Ts) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_millisecond(now.0).ok()?;
    HeaderValue::from_str(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

/// What was asked and what went wrong so far: not a path of the venue, for tests of clients.
fn tally(venue: &Venue) -> impl IntoResponse + use<> {
    faults::json(venue.tally.json())
}

type Weigh = fn(&Params) -> u32;
type Handle = fn(&Request<'_>) -> Answer;

fn table(rows: &[(&str, Pool, Weigh, Handle)]) -> Router<Arc<Venue>> {
    rows.iter().fold(Router::new(), |router, &(path, pool, weigh, handle)| {
        router.route(
            path,
            get(move |state, from, parts, query| serve(state, from, parts, query, pool, weigh, handle)),
        )
    })
}

const ONE: Weigh = |_| 1;

fn futures() -> Router<Arc<Venue>> {
    use Pool::{Funding, Futures, FuturesData};
    let data = statistics::FUTURES_DATA.iter().map(|&(path, handle)| (path, FuturesData, ONE, handle));
    table(&data.collect::<Vec<_>>()).merge(table(&[
        ("/fapi/v1/ping", Futures, ONE, |_| Ok("{}".to_owned())),
        ("/fapi/v1/time", Futures, ONE, info::time),
        ("/fapi/v1/exchangeInfo", Futures, ONE, info::futures),
        ("/fapi/v1/klines", Futures, klines::weight, |r| klines::futures(r, Series::Perp)),
        ("/fapi/v1/continuousKlines", Futures, klines::weight, klines::continuous),
        ("/fapi/v1/markPriceKlines", Futures, klines::weight, |r| klines::futures(r, Series::Mark)),
        ("/fapi/v1/premiumIndexKlines", Futures, klines::weight, |r| klines::futures(r, Series::Premium)),
        ("/fapi/v1/indexPriceKlines", Futures, klines::weight, |r| klines::futures(r, Series::Index)),
        ("/fapi/v1/fundingRate", Funding, ONE, funding::history),
        ("/fapi/v1/fundingInfo", Funding, ONE, funding::info),
        ("/fapi/v1/premiumIndex", Futures, quotes::premium_weight, quotes::premium_index),
        ("/fapi/v1/openInterest", Futures, ONE, statistics::open_interest),
        ("/fapi/v1/ticker/bookTicker", Futures, quotes::futures_book_weight, quotes::futures_book),
        ("/fapi/v1/ticker/24hr", Futures, book::day_weight, |r| book::day(r, Series::Perp)),
        ("/fapi/v1/ticker/price", Futures, book::price_weight, |r| book::price(r, Series::Perp)),
        ("/fapi/v2/ticker/price", Futures, book::price_weight, |r| book::price(r, Series::Perp)),
        ("/fapi/v1/depth", Futures, book::depth_weight, |r| book::depth(r, Series::Perp)),
        ("/fapi/v1/trades", Futures, |_| 5, |r| trades::single(r, Series::Perp)),
        ("/fapi/v1/aggTrades", Futures, |_| 20, |r| trades::aggregated(r, Series::Perp)),
        ("/fapi/v1/historicalTrades", Futures, |_| 200, |_| Err(ApiError::NeedsKey)),
    ]))
}

fn spot() -> Router<Arc<Venue>> {
    use Pool::Spot;
    table(&[
        ("/api/v3/ping", Spot, ONE, |_| Ok("{}".to_owned())),
        ("/api/v3/time", Spot, ONE, info::time),
        ("/api/v3/exchangeInfo", Spot, |_| 20, info::spot),
        ("/api/v3/klines", Spot, |_| 2, klines::spot),
        ("/api/v3/uiKlines", Spot, |_| 2, klines::spot),
        ("/api/v3/ticker/bookTicker", Spot, quotes::spot_book_weight, quotes::spot_book),
        ("/api/v3/ticker/24hr", Spot, |_| 2, |r| book::day(r, Series::Spot)),
        ("/api/v3/ticker/price", Spot, |_| 2, |r| book::price(r, Series::Spot)),
        ("/api/v3/avgPrice", Spot, |_| 2, book::average),
        ("/api/v3/depth", Spot, |_| 5, |r| book::depth(r, Series::Spot)),
        ("/api/v3/trades", Spot, |_| 25, |r| trades::single(r, Series::Spot)),
        ("/api/v3/aggTrades", Spot, |_| 4, |r| trades::aggregated(r, Series::Spot)),
        ("/api/v3/historicalTrades", Spot, |_| 25, |_| Err(ApiError::NeedsKey)),
    ])
}

/// What the scenario answers to a request of a path in place of the truth, after the wait that it imposes.
pub(super) async fn refusal(venue: &Venue, path: &str) -> Option<Response> {
    let mut trouble = Trouble::new(venue, path, venue.now());
    if let Some(pause) = trouble.pause() {
        tokio::time::sleep(pause).await;
    }
    trouble.refusal()
}

/// A file of the archive, spoilt where the scenario says so.
pub(super) fn spoilt(venue: &Venue, path: &str, bytes: Vec<u8>) -> Response {
    Trouble::new(venue, path, venue.now()).spoil_file(bytes)
}

/// Charges the limits, answers off the async threads (a day of klines of many bars takes a while), sets the
/// headers. What the scenario does to the answer comes before and after.
async fn serve(
    State(venue): State<Arc<Venue>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    parts: Parts,
    Query(query): Query<BTreeMap<String, String>>,
    pool: Pool,
    weigh: Weigh,
    handle: Handle,
) -> Response {
    let params = Params(query);
    let path = parts.uri.path();
    let is_fine = pool == Pool::Spot && micro::is_asked_for(&parts.headers);
    venue.tally.count(format!("request {path}"));
    if let Some(refusal) = refusal(&venue, path).await {
        return refusal;
    }
    let now = venue.now();
    let mut trouble = Trouble::new(&venue, path, now);
    let verdict = venue.limiter.charge(from.ip(), pool, weigh(&params), Instant::now());
    let used = match verdict {
        Admission::Served { used } | Admission::Refused { limit: used, .. } => used,
        Admission::Banned { .. } => 0,
    };
    let refused = match verdict {
        Admission::Served { .. } => None,
        Admission::Refused { limit, wait } => Some(ApiError::TooMany { limit, wait }),
        Admission::Banned { wait } => {
            Some(ApiError::Banned { until_ms: now.0 + virtual_ms(&venue, wait), wait })
        }
    };
    let mut response = if let Some(refused) = refused {
        venue.tally.count(refused.status().as_str());
        refused.into_response()
    } else {
        let answered = tokio::task::spawn_blocking({
            let venue = Arc::clone(&venue);
            move || handle(&Request { venue: &venue, now, params: &params })
        });
        match answered.await {
            Ok(Ok(text)) if is_fine => trouble.spoil(micro::in_microseconds(text)),
            Ok(Ok(text)) => trouble.spoil(text),
            Ok(Err(error)) => error.into_response(),
            Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    // The side pools send no weight header at all, and who is banned gets none.
    let headers = response.headers_mut();
    if matches!(pool, Pool::Futures | Pool::Spot) && used > 0 {
        headers.insert("x-mbx-used-weight-1m", HeaderValue::from(used));
        if pool == Pool::Spot {
            headers.insert("x-mbx-used-weight", HeaderValue::from(used));
        }
    }
    response
}

/// How far the exchange's clock runs in a stretch of real time.
fn virtual_ms(venue: &Venue, real: Duration) -> i64 {
    (real.as_secs_f64() * 1000.0 * venue.clock.speed()) as i64
}
