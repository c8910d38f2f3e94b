//! REST: `/fapi/v1`, `/futures/data` and `/api/v3` on one port.

mod error;
mod info;
mod klines;
mod params;
mod quotes;
mod statistics;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use backtestd_core::market::Ts;

use super::limits::{Admission, Pool};
use super::state::Venue;
use backtestd_lab::sim::Series;
use error::ApiError;
use params::Params;

/// What a handler is given: the venue, the instant of the request, its parameters.
struct Request<'a> {
    venue: &'a Venue,
    now: Ts,
    params: &'a Params,
}

/// JSON text, or a refusal.
type Answer = Result<String, ApiError>;

/// All REST routes.
pub(crate) fn routes() -> Router<Arc<Venue>> {
    use Pool::{Funding, Futures, FuturesData, Spot};
    let route = |pool, weigh: fn(&Params) -> u32, handle: fn(&Request<'_>) -> Answer| {
        get(move |state, from, query| serve(state, from, query, pool, weigh, handle))
    };
    let one: fn(&Params) -> u32 = |_| 1;
    let data = statistics::FUTURES_DATA.iter();
    data.fold(Router::new(), |router, (path, handle)| router.route(path, route(FuturesData, one, *handle)))
        .route("/fapi/v1/ping", route(Futures, one, |_| Ok("{}".to_owned())))
        .route("/fapi/v1/time", route(Futures, one, info::time))
        .route("/fapi/v1/exchangeInfo", route(Futures, one, info::futures))
        .route("/fapi/v1/klines", route(Futures, klines::weight, |r| klines::futures(r, Series::Perp)))
        .route("/fapi/v1/continuousKlines", route(Futures, klines::weight, klines::continuous))
        .route(
            "/fapi/v1/markPriceKlines",
            route(Futures, klines::weight, |r| klines::futures(r, Series::Mark)),
        )
        .route(
            "/fapi/v1/premiumIndexKlines",
            route(Futures, klines::weight, |r| klines::futures(r, Series::Premium)),
        )
        .route(
            "/fapi/v1/indexPriceKlines",
            route(Futures, klines::weight, |r| klines::futures(r, Series::Index)),
        )
        .route("/fapi/v1/fundingRate", route(Funding, one, statistics::funding_rate))
        .route("/fapi/v1/fundingInfo", route(Funding, one, |_| Ok("[]".to_owned())))
        .route("/fapi/v1/premiumIndex", route(Futures, quotes::premium_weight, quotes::premium_index))
        .route("/fapi/v1/openInterest", route(Futures, one, statistics::open_interest))
        .route(
            "/fapi/v1/ticker/bookTicker",
            route(Futures, quotes::futures_book_weight, quotes::futures_book),
        )
        .route("/api/v3/ping", route(Spot, one, |_| Ok("{}".to_owned())))
        .route("/api/v3/time", route(Spot, one, info::time))
        .route("/api/v3/exchangeInfo", route(Spot, |_| 20, info::spot))
        .route("/api/v3/klines", route(Spot, |_| 2, klines::spot))
        .route("/api/v3/ticker/bookTicker", route(Spot, quotes::spot_book_weight, quotes::spot_book))
        .fallback(|| async { ApiError::NotFound })
}

/// Charges the limits, answers off the async threads (a day of klines of many bars takes a while), sets the headers.
async fn serve(
    State(venue): State<Arc<Venue>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Query(query): Query<BTreeMap<String, String>>,
    pool: Pool,
    weigh: fn(&Params) -> u32,
    handle: fn(&Request<'_>) -> Answer,
) -> Response {
    let params = Params(query);
    let now = venue.now();
    let used = match venue.limiter.charge(from.ip(), pool, weigh(&params), Instant::now()) {
        Admission::Served { used } => used,
        Admission::Refused { limit, wait } => return ApiError::TooMany { limit, wait }.into_response(),
        Admission::Banned { wait } => {
            let until_ms = now.0 + virtual_ms(&venue, wait);
            return ApiError::Banned { until_ms, wait }.into_response();
        }
    };
    let answered = tokio::task::spawn_blocking({
        let venue = Arc::clone(&venue);
        move || handle(&Request { venue: &venue, now, params: &params })
    })
    .await;
    let mut response = match answered {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Ok(Err(error)) => error.into_response(),
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    // The side pools send no weight header at all.
    let headers = response.headers_mut();
    if matches!(pool, Pool::Futures | Pool::Spot) {
        headers.insert("x-mbx-used-weight-1m", HeaderValue::from(used));
    }
    if pool == Pool::Spot {
        headers.insert("x-mbx-used-weight", HeaderValue::from(used));
    }
    response
}

/// How far the exchange's clock runs in a stretch of real time.
fn virtual_ms(venue: &Venue, real: Duration) -> i64 {
    (real.as_secs_f64() * 1000.0 * venue.clock.speed()) as i64
}
