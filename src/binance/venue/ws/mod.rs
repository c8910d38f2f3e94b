//! Websockets. Futures: `/market/{ws,stream}`, `/public/{ws,stream}`, `/private/{ws,stream}` (which say
//! nothing); `/ws` and `/stream` without a route are the legacy form that acknowledges everything and sends
//! quotes only. Spot: the same under `/spot`, since one port serves both.
//!
//! Frames are thinned when the clock runs fast (see [`stream::Kind::period_ms`]); closing frames of klines
//! and forced orders never are.

mod control;
mod faults;
mod frames;
mod micro;
mod news;
mod session;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::state::Venue;
use control::Subscriptions;
use faults::is_cut;
use stream::Route;

/// What the URL asks for.
type Asked = BTreeMap<String, String>;

/// All websocket routes.
pub(crate) fn routes() -> Router<Arc<Venue>> {
    Route::ALL.into_iter().fold(Router::new(), |router, (prefix, route)| {
        router
            .route(
                &format!("{prefix}/ws"),
                get(move |State(venue), Query(query): Query<Asked>, upgrade| async move {
                    open(venue, upgrade, route, (false, &query), Vec::new())
                }),
            )
            .route(
                &format!("{prefix}/ws/{{*streams}}"),
                get(
                    move |State(venue), Path(streams): Path<String>, Query(query): Query<Asked>, upgrade| async move {
                        open(venue, upgrade, route, (false, &query), names(&streams))
                    },
                ),
            )
            .route(
                &format!("{prefix}/stream"),
                get(move |State(venue), Query(query): Query<Asked>, upgrade| async move {
                    let streams = query.get("streams").map(|list| names(list)).unwrap_or_default();
                    open(venue, upgrade, route, (true, &query), streams)
                }),
            )
    })
}

fn names(list: &str) -> Vec<String> {
    list.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn open(
    venue: Arc<Venue>,
    upgrade: WebSocketUpgrade,
    route: Route,
    (is_combined, query): (bool, &Asked),
    names: Vec<String>,
) -> Response {
    if is_cut(&venue, route, venue.now()) || *venue.stopping.borrow() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut subscriptions = Subscriptions::new(route, is_combined);
    let unit = query.get("timeUnit").map(|unit| unit.to_ascii_uppercase());
    subscriptions.in_microseconds = route == Route::Spot && unit.as_deref() == Some("MICROSECOND");
    if !subscriptions.add(names) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    upgrade.on_upgrade(move |socket| session::serve(socket, venue, route, subscriptions))
}
