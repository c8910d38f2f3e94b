//! Which connections to open and what to ask on each.

use std::collections::{BTreeMap, BTreeSet};

use super::WsError;
use crate::routes::{Route, StreamKind, Subscription};
use backtestd_core::market::Market;

/// Longest SUBSCRIBE message. The exchange documents no limit; larger ones were seen to be cut off.
const MESSAGE_BYTES: usize = 4000;

/// The streams of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub route: Route,
    /// Number of the connection among those of its route.
    pub index: usize,
    /// Kinds it carries: each is watched for silence.
    pub kinds: BTreeSet<StreamKind>,
    /// Names of its streams.
    pub streams: BTreeSet<String>,
    /// SUBSCRIBE messages; the n-th has id n + 1.
    pub messages: Vec<String>,
}

/// Sorts subscriptions by route and cuts them into connections of at most `streams_per_connection`.
pub(super) fn plan(
    wanted: &[(Market, Subscription)],
    streams_per_connection: usize,
) -> Result<Vec<Shard>, WsError> {
    let mut by_route: BTreeMap<Route, BTreeMap<String, StreamKind>> = BTreeMap::new();
    for (market, subscription) in wanted {
        let kind = subscription.kind();
        let stream = subscription.stream_name();
        let Some(route) = kind.route(*market) else {
            return Err(WsError::NoSuchStream { market: *market, stream });
        };
        by_route.entry(route).or_default().insert(stream, kind);
    }
    let mut shards = Vec::new();
    for (route, streams) in by_route {
        let streams: Vec<(String, StreamKind)> = streams.into_iter().collect();
        for (index, part) in streams.chunks(streams_per_connection.max(1)).enumerate() {
            let kinds = part.iter().map(|(_, kind)| *kind).collect();
            let names = part.iter().map(|(name, _)| name.as_str());
            let streams = part.iter().map(|(name, _)| name.clone()).collect();
            shards.push(Shard { route, index, kinds, streams, messages: messages(names) });
        }
    }
    Ok(shards)
}

fn messages<'s>(names: impl Iterator<Item = &'s str>) -> Vec<String> {
    let envelope = r#"{"method":"SUBSCRIBE","params":[],"id":4294967295}"#.len();
    let mut batches: Vec<String> = Vec::new();
    for name in names {
        let quoted = serde_json::Value::from(name).to_string();
        match batches.last_mut() {
            Some(batch) if envelope + batch.len() + 1 + quoted.len() <= MESSAGE_BYTES => {
                batch.push(',');
                batch.push_str(&quoted);
            }
            _ => batches.push(quoted),
        }
    }
    let message = |(n, params): (usize, &String)| {
        format!(r#"{{"method":"SUBSCRIBE","params":[{params}],"id":{}}}"#, n + 1)
    };
    batches.iter().enumerate().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::Symbol;

    fn symbols(n: usize) -> impl Iterator<Item = Symbol> {
        (0..n).map(|i| Symbol::new(&format!("COIN{i}USDT")).unwrap())
    }

    #[test]
    fn each_route_gets_its_own_connections() {
        let btc = Symbol::new("BTCUSDT").unwrap();
        let wanted = [
            (Market::Perp, Subscription::Kline5m(btc.clone())),
            (Market::Perp, Subscription::BookTicker(btc.clone())),
            (Market::Perp, Subscription::AllForceOrders),
            (Market::Spot, Subscription::Kline5m(btc)),
        ];
        let shards = plan(&wanted, 200).unwrap();
        let routes: Vec<Route> = shards.iter().map(|s| s.route).collect();
        assert_eq!(routes, [Route::FuturesPublic, Route::FuturesMarket, Route::Spot]);
        assert_eq!(
            shards[1].messages,
            [r#"{"method":"SUBSCRIBE","params":["!forceOrder@arr","btcusdt@kline_5m"],"id":1}"#]
        );
    }

    #[test]
    fn every_stream_is_asked_once_in_small_messages_on_small_connections() {
        let mut wanted: Vec<_> = symbols(600).map(|s| (Market::Perp, Subscription::Kline5m(s))).collect();
        wanted.extend_from_within(..50);
        let shards = plan(&wanted, 200).unwrap();
        assert_eq!(shards.len(), 3);
        let mut names = BTreeSet::new();
        for message in shards.iter().flat_map(|s| &s.messages) {
            assert!(message.len() <= MESSAGE_BYTES, "{} bytes", message.len());
            let value: serde_json::Value = serde_json::from_str(message).unwrap();
            for name in value["params"].as_array().unwrap() {
                assert!(names.insert(name.as_str().unwrap().to_owned()), "{name} twice");
            }
        }
        assert_eq!(names.len(), 600);
        assert!(shards.iter().all(|s| s.messages.len() == 2));
    }

    #[test]
    fn spot_has_no_liquidations() {
        let error = plan(&[(Market::Spot, Subscription::AllForceOrders)], 200).unwrap_err();
        assert_eq!(error.to_string(), "the spot market has no stream `!forceOrder@arr`");
    }
}
