//! Server time and what is listed.

use serde_json::{Value, json};

use crate::venue::state::Venue;
use crate::venue::text::decimal;
use backtestd_core::market::{DAY_MS, Ts};
use backtestd_lab::sim::tick;
use backtestd_lab::sim::{Contract, Listing, SpotScenario, SymbolScenario};

use super::error::ApiError;
use super::{Answer, Request};

pub(super) fn time(request: &Request<'_>) -> Answer {
    Ok(format!("{{\"serverTime\":{}}}", request.now.0))
}

/// Base asset of a contract: its name without the quote asset and the delivery day.
fn base_asset(listing: &SymbolScenario) -> &str {
    let pair = pair_of(listing);
    pair.strip_suffix(listing.quote.as_str()).unwrap_or(pair)
}

fn pair_of(listing: &SymbolScenario) -> &str {
    let name = listing.name.as_str();
    name.split_once('_').map_or(name, |(pair, _)| pair)
}

pub(super) fn futures(request: &Request<'_>) -> Answer {
    let venue = request.venue;
    let limits = venue.limiter.limits();
    let all = venue.market.scenario().symbols.iter().enumerate();
    let symbols: Vec<Value> = all
        .filter_map(|(symbol, listing)| {
            let standing = standing(venue, symbol, listing, request.now)?;
            Some(contract(listing, standing))
        })
        .collect();
    let info = json!({
        "timezone": "UTC",
        "serverTime": request.now.0,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            { "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limits.futures_weight_per_minute },
            { "rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200 },
            { "rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300 },
        ],
        "exchangeFilters": [],
        "assets": [{ "asset": "USDT", "marginAvailable": true, "autoAssetExchange": "-10000" }],
        "symbols": symbols,
    });
    Ok(info.to_string())
}

/// Delivery of a contract that has none.
const NO_DELIVERY_MS: i64 = 4_133_404_800_000;

/// Status, onboarding and delivery of a contract; `None` while nobody knows it.
fn standing(
    venue: &Venue,
    symbol: usize,
    listing: &SymbolScenario,
    now: Ts,
) -> Option<(&'static str, i64, i64)> {
    let genesis = venue.market.genesis().open();
    let onboard = venue.traded(symbol).iter().map(|s| s.0).rfind(|from| *from <= now).unwrap_or(genesis).0;
    let delivery = |days: i64| genesis.0 + days * DAY_MS;
    Some(match (venue.listing(symbol, now), listing.contract) {
        (Listing::Unknown, _) => return None,
        (Listing::Pending(from), _) => ("PENDING_TRADING", from.0, NO_DELIVERY_MS),
        (Listing::Settled(since), _) => ("SETTLING", onboard, since.0),
        (_, Contract::Settled) => ("SETTLING", genesis.0, delivery(1)),
        (_, Contract::Announced) => ("PENDING_TRADING", genesis.0, NO_DELIVERY_MS),
        (_, Contract::CurrentQuarter) => ("TRADING", genesis.0, delivery(450)),
        (_, Contract::NextQuarter) => ("TRADING", genesis.0, delivery(541)),
        (_, Contract::Perpetual | Contract::Tradifi) => ("TRADING", onboard, NO_DELIVERY_MS),
    })
}

const fn contract_type(contract: Contract) -> (&'static str, &'static str) {
    match contract {
        Contract::Tradifi => ("TRADIFI_PERPETUAL", "EQUITY"),
        Contract::CurrentQuarter => ("CURRENT_QUARTER", "COIN"),
        Contract::NextQuarter => ("NEXT_QUARTER", "COIN"),
        Contract::Perpetual | Contract::Settled | Contract::Announced => ("PERPETUAL", "COIN"),
    }
}

fn contract(listing: &SymbolScenario, (status, onboard_ms, delivery_ms): (&str, i64, i64)) -> Value {
    let name = listing.name.as_str();
    let price_tick = decimal(tick(listing.tick_decimals), listing.price_decimals);
    let lot = decimal(tick(listing.lot_decimals), listing.lot_decimals);
    let (contract_type, underlying) = contract_type(listing.contract);
    json!({
        "symbol": name,
        "pair": pair_of(listing),
        "contractType": contract_type,
        "deliveryDate": delivery_ms,
        "onboardDate": onboard_ms,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base_asset(listing),
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
        "pricePrecision": listing.price_decimals,
        "quantityPrecision": listing.lot_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": underlying,
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": price_tick, "maxPrice": "4529764", "tickSize": price_tick },
            { "filterType": "LOT_SIZE", "minQty": lot, "maxQty": "10000000", "stepSize": lot },
            { "filterType": "MARKET_LOT_SIZE", "minQty": lot, "maxQty": "1000000", "stepSize": lot },
            { "filterType": "MAX_NUM_ORDERS", "limit": 200 },
            { "filterType": "MIN_NOTIONAL", "notional": "5" },
            { "filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4" },
            { "filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE" },
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    })
}

pub(super) fn spot(request: &Request<'_>) -> Answer {
    let venue = request.venue;
    let wanted: Option<Vec<String>> = match (request.params.text("symbol"), request.params.text("symbols")) {
        (Some(name), _) => Some(vec![name.to_owned()]),
        (None, Some(list)) => {
            Some(serde_json::from_str(list).map_err(|_| ApiError::InvalidParameter("symbols"))?)
        }
        (None, None) => None,
    };
    if let Some(names) = &wanted {
        let is_listed = |name: &String| venue.symbol(name).is_some_and(|symbol| venue.has_spot(symbol));
        if !names.iter().all(is_listed) {
            return Err(ApiError::InvalidSymbol);
        }
    }
    let symbols: Vec<Value> = venue
        .market
        .scenario()
        .symbols
        .iter()
        .filter(|s| wanted.as_ref().is_none_or(|names| names.iter().any(|n| n == s.name.as_str())))
        .filter_map(|listing| listing.spot.map(|spot| pair(listing, &spot)))
        .collect();
    let info = json!({
        "timezone": "UTC",
        "serverTime": request.now.0,
        "rateLimits": [
            { "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": venue.limiter.limits().spot_weight_per_minute },
            { "rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100 },
            { "rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000 },
            { "rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000 },
        ],
        "exchangeFilters": [],
        "symbols": symbols,
    });
    Ok(info.to_string())
}

fn pair(listing: &SymbolScenario, spot: &SpotScenario) -> Value {
    let name = listing.name.as_str();
    let price_tick = decimal(tick(spot.tick_decimals), 8);
    let lot = decimal(tick(spot.lot_decimals), 8);
    json!({
        "symbol": name,
        "status": "TRADING",
        "baseAsset": base_asset(listing),
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": true,
        "ocoAllowed": true,
        "isSpotTradingAllowed": true,
        "isMarginTradingAllowed": true,
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": price_tick, "maxPrice": "1000000.00000000", "tickSize": price_tick },
            { "filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000.00000000", "stepSize": lot },
            { "filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": true, "maxNotional": "9000000.00000000", "applyMaxToMarket": false, "avgPriceMins": 5 },
        ],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
    })
}
