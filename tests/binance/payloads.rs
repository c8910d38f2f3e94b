//! Every real payload decodes, and every number in it is read to the last bit. The oracle is an untyped JSON
//! reader.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use backtestd_binance::wire::{self, Dropped, Frame, Prices, parse_frame};
use backtestd_binance::{Route, Side, Update};
use backtestd_core::market::{Market, Ts};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::recorded::{extract, recording};

/// A decimal of the oracle's tree.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(f64::NAN),
        other => other.as_f64().unwrap(),
    }
}

fn same(read: f64, value: &Value) {
    let want = number(value);
    assert!(read.to_bits() == want.to_bits() || (read.is_nan() && want.is_nan()), "{read} is not {value}");
}

fn time(read: Ts, value: &Value) {
    assert_eq!(read.0, value.as_i64().unwrap());
}

fn levels(read: &[(f64, f64)], value: &Value) {
    let want = value.as_array().unwrap();
    assert_eq!(read.len(), want.len());
    for ((p, q), level) in read.iter().zip(want) {
        same(*p, &level[0]);
        same(*q, &level[1]);
    }
}

/// Compares an update with the payload that it came from.
fn check(update: &Update, payload: &Value) {
    match update {
        Update::Kline(k) => {
            let raw = &payload["k"];
            let b = &k.bar;
            for (read, key) in [
                (b.open, "o"),
                (b.high, "h"),
                (b.low, "l"),
                (b.close, "c"),
                (b.volume, "v"),
                (b.quote_volume, "q"),
                (b.trades, "n"),
                (b.taker_buy_volume, "V"),
                (b.taker_buy_quote, "Q"),
            ] {
                same(read, &raw[key]);
            }
            time(k.open_ts, &raw["t"]);
            assert_eq!(k.interval_ms, raw["T"].as_i64().unwrap() + 1 - raw["t"].as_i64().unwrap());
            assert_eq!(k.closed, raw["x"].as_bool().unwrap());
            time(k.event_ts, &payload["E"]);
            assert_eq!(k.symbol.as_str(), payload["s"].as_str().unwrap());
        }
        Update::Mark(m) => {
            same(m.mark, &payload["p"]);
            same(m.index, &payload["i"]);
            same(m.predicted_rate, &payload["r"]);
            time(m.event_ts, &payload["E"]);
            assert_eq!(m.next_funding_ts.map_or(0, |t| t.0), payload["T"].as_i64().unwrap());
        }
        Update::ForceOrder(f) => {
            let raw = &payload["o"];
            same(f.quantity, &raw["q"]);
            same(f.filled, &raw["z"]);
            same(f.price, &raw["p"]);
            same(f.average_price, &raw["ap"]);
            time(f.trade_ts, &raw["T"]);
            time(f.event_ts, &payload["E"]);
            assert_eq!(f.side == Side::Buy, raw["S"] == "BUY");
            assert_eq!(f.symbol.as_str(), raw["s"].as_str().unwrap());
        }
        Update::BookTicker(b) => {
            for (read, key) in [(b.bid, "b"), (b.bid_quantity, "B"), (b.ask, "a"), (b.ask_quantity, "A")] {
                same(read, &payload[key]);
            }
            assert_eq!(b.update_id, payload["u"].as_i64().unwrap());
            assert_eq!(b.event_ts.map(|t| t.0), payload["T"].as_i64());
        }
        Update::AggTrade(t) | Update::Trade(t) => {
            same(t.price, &payload["p"]);
            same(t.quantity, &payload["q"]);
            time(t.trade_ts, &payload["T"]);
            time(t.event_ts, &payload["E"]);
            assert_eq!(t.buyer_is_maker, payload["m"].as_bool().unwrap());
            let id = if payload["a"].is_null() { &payload["t"] } else { &payload["a"] };
            assert_eq!(t.id, id.as_i64().unwrap());
        }
        Update::Depth(d) => {
            let (bids, asks, last) = match payload["lastUpdateId"].as_i64() {
                Some(id) => (&payload["bids"], &payload["asks"], id),
                None => (&payload["b"], &payload["a"], payload["u"].as_i64().unwrap()),
            };
            levels(&d.bids, bids);
            levels(&d.asks, asks);
            assert_eq!(d.last_id, last);
            assert_eq!(d.first_id, payload["U"].as_i64());
            assert_eq!(d.previous_id, payload["pu"].as_i64());
        }
        other => panic!("no such payload was recorded: {other:?}"),
    }
}

fn payload_of(raw: &Value) -> &Value {
    if raw["data"].is_null() { raw } else { &raw["data"] }
}

#[test]
fn single_real_frames_decode_to_the_last_bit() {
    let text = fs::read_to_string(extract("frames_2026/real_frames.jsonl")).unwrap();
    let mut updates = 0;
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let raw = case["raw"].as_str().unwrap();
        let value: Value = serde_json::from_str(raw).unwrap();
        let market = case["market"].as_str().unwrap();
        if market.contains("REST /fapi/v1/fundingRate") {
            let rows = wire::parse_funding_rates(format!("[{raw}]").as_bytes()).unwrap();
            same(rows[0].rate, &value["fundingRate"]);
            same(rows[0].mark_price, &value["markPrice"]);
            time(rows[0].raw_ts, &value["fundingTime"]);
            continue;
        }
        if market.contains("historicalTrades") {
            let (code, message) = wire::parse_refusal(raw.as_bytes()).unwrap();
            assert_eq!((code, message.as_str()), (-2014, "API-key format invalid."));
            continue;
        }
        let route = match market {
            "spot" => Route::Spot,
            m if m.contains("/public") => Route::FuturesPublic,
            _ => Route::FuturesMarket,
        };
        match parse_frame(raw, route).unwrap_or_else(|e| panic!("{e}\n{raw}")) {
            Frame::Update(update) => {
                check(&update, payload_of(&value));
                updates += 1;
            }
            // A mark price always comes as a list, of one here.
            Frame::Updates(list) if list.len() == 1 => {
                check(&list[0], payload_of(&value));
                updates += 1;
            }
            Frame::Updates(list) => assert!(list.is_empty() && payload_of(&value)["st"] == 2, "{raw}"),
            other => panic!("{other:?}: {raw}"),
        }
    }
    assert_eq!(updates, 15, "all frames but the COIN-M one, which is dropped");
}

pub(crate) const USDM: &str = "ws_recordings/usdm_btcusdt_20240808.gz";
const SPOT: &str = "ws_recordings/spot_btcusdt_20240808.gz";

/// The text of a gzip file.
pub(crate) fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn check_recording(path: &Path, route: Route) -> (usize, usize) {
    let (mut updates, mut not_trades) = (0, 0);
    for line in unzipped(path).lines() {
        let (_, raw) = line.split_once(' ').unwrap();
        let value: Value = serde_json::from_str(raw).unwrap();
        match parse_frame(raw, route).unwrap_or_else(|e| panic!("{e}")) {
            Frame::Update(update) => {
                check(&update, payload_of(&value));
                updates += 1;
            }
            Frame::Dropped(Dropped::NotATrade) => not_trades += 1,
            other => panic!("{other:?}: {raw}"),
        }
    }
    (updates, not_trades)
}

#[test]
fn recorded_seconds_of_futures_and_spot_decode_to_the_last_bit() {
    // 4300 best quotes, 963 trades and 343 books of 18 s; 2869, 830 and 300 of 30 s.
    assert_eq!(check_recording(&extract(USDM), Route::FuturesPublic), (5_606, 0));
    assert_eq!(check_recording(&extract(SPOT), Route::Spot), (3_999, 0));
}

#[test]
fn the_clock_of_a_recorder_may_run_behind_the_exchange_by_more_than_a_second() {
    let behind: Vec<i64> = unzipped(&extract(USDM))
        .lines()
        .map(|line| {
            let (nanos, raw) = line.split_once(' ').unwrap();
            let value: Value = serde_json::from_str(raw).unwrap();
            payload_of(&value)["E"].as_i64().unwrap() - nanos.parse::<i64>().unwrap() / 1_000_000
        })
        .collect();
    assert_eq!((behind.iter().min(), behind.iter().max()), (Some(&1239), Some(&1271)));
}

#[test]
fn five_recorded_minutes_of_futures_decode_to_the_last_bit() {
    let Some(path) = recording(USDM) else { return };
    let (updates, not_trades) = check_recording(&path, Route::FuturesPublic);
    assert_eq!(updates + not_trades, 93_954);
    assert!(not_trades < 200, "{not_trades}");
}

#[test]
fn five_recorded_minutes_of_spot_decode_to_the_last_bit() {
    let Some(path) = recording(SPOT) else { return };
    assert_eq!(check_recording(&path, Route::Spot), (41_249, 0));
}

/// All recorded REST bodies below a folder whose file name contains `part`.
fn bodies_in(folder: &Path, part: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let body = match name {
                _ if !name.contains(part) => continue,
                _ if name.ends_with(".json") => fs::read(&path).unwrap(),
                _ if name.ends_with(".json.gz") => unzipped(&path).into_bytes(),
                _ => continue,
            };
            found.push((path.display().to_string(), body));
        }
    }
    found
}

/// Bodies of this name: those of the repository, and all others that were recorded.
fn bodies(part: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = bodies_in(&extract("rest_responses"), part);
    assert!(!found.is_empty(), "no recorded body named {part}");
    if let Some(all) = recording("rest_responses") {
        found.extend(bodies_in(&all, part));
    }
    found
}

fn rows_of(body: &[u8]) -> Vec<Value> {
    match serde_json::from_slice(body).unwrap() {
        Value::Array(rows) => rows,
        one => vec![one],
    }
}

#[test]
fn recorded_funding_rates_decode_to_the_last_bit() {
    for (path, body) in bodies("fundingRate") {
        let rows = wire::parse_funding_rates(&body).unwrap_or_else(|e| panic!("{path}: {e}"));
        let want = rows_of(&body);
        assert_eq!(rows.len(), want.len());
        for (row, value) in rows.iter().zip(&want) {
            same(row.rate, &value["fundingRate"]);
            same(row.mark_price, &value["markPrice"]);
            time(row.raw_ts, &value["fundingTime"]);
            assert_eq!(row.symbol.as_str(), value["symbol"].as_str().unwrap());
        }
    }
}

#[test]
fn recorded_marks_of_all_contracts_decode_to_the_last_bit() {
    let mut without = 0;
    for (path, body) in bodies("premiumIndex") {
        let want = rows_of(&body);
        // That of one contract comes without the brackets.
        let list = serde_json::to_vec(&want).unwrap();
        let rows = wire::parse_premium_index(&list).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(rows.len(), want.len());
        for (row, value) in rows.iter().zip(&want) {
            same(row.mark, &value["markPrice"]);
            same(row.index, &value["indexPrice"]);
            time(row.event_ts, &value["time"]);
            assert_eq!(row.symbol.as_str(), value["symbol"].as_str().unwrap());
            // What was settled for good says zero, and has no next settlement to predict.
            let is_settled = value["nextFundingTime"] == 0;
            assert_eq!(
                (row.next_funding_ts.is_none(), row.predicted_rate.is_nan()),
                (is_settled, is_settled)
            );
            if !is_settled {
                same(row.predicted_rate, &value["lastFundingRate"]);
            }
            without += usize::from(is_settled);
        }
    }
    assert!(without >= 31, "{without}");
}

#[test]
fn recorded_exchange_infos_give_steps_from_the_filters() {
    for (path, body) in bodies("exchangeInfo") {
        let market = if path.contains("fapi") { Market::Perp } else { Market::Spot };
        let info = wire::parse_exchange_info(&body).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(info.weight_per_minute(), Some(if market == Market::Perp { 2400 } else { 6000 }));
        let value: Value = serde_json::from_slice(&body).unwrap();
        let want = value["symbols"].as_array().unwrap();
        assert_eq!(info.symbols.len(), want.len());
        for (symbol, value) in info.symbols.iter().zip(want) {
            let filters = value["filters"].as_array().unwrap();
            let price = filters.iter().find(|f| f["filterType"] == "PRICE_FILTER").unwrap();
            same(symbol.tick_size, &price["tickSize"]);
            let lot = filters.iter().find(|f| f["filterType"] == "LOT_SIZE").unwrap();
            same(symbol.step_size, &lot["stepSize"]);
            assert_eq!(symbol.symbol.as_str(), value["symbol"].as_str().unwrap());
            assert_eq!(symbol.status, value["status"].as_str().unwrap());
        }
        if market == Market::Perp {
            assert!(info.symbols.iter().any(|s| s.symbol.as_str() == "币安人生USDT"), "{path}");
            let btc = info.symbols.iter().find(|s| s.symbol.as_str() == "BTCUSDT").unwrap();
            assert!(btc.is_perpetual() && btc.is_trading() && btc.tick_size == 0.1);
        }
    }
}

/// The lines of the one CSV in a real archive file, without its header.
fn archive_lines(path: &str) -> Vec<String> {
    let file = fs::File::open(extract("archive").join(path)).unwrap();
    let mut zip = zip::ZipArchive::new(file).unwrap();
    let mut text = String::new();
    zip.by_index(0).unwrap().read_to_string(&mut text).unwrap();
    text.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned).collect()
}

#[test]
fn archived_klines_read_as_rest_rows_to_the_last_bit() {
    // Archive and REST have the same twelve columns and agree value for value; only the brackets differ.
    let lines = archive_lines("futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip");
    assert_eq!(lines.len(), 31 * 288);
    let as_json = |line: &String| {
        let quoted =
            |(i, c): (usize, &str)| if [0, 6, 8].contains(&i) { c.into() } else { format!("\"{c}\"") };
        let cells: Vec<String> = line.split(',').enumerate().map(quoted).collect();
        format!("[{}]", cells.join(","))
    };
    let body = format!("[{}]", lines.iter().map(as_json).collect::<Vec<_>>().join(","));
    let rows = wire::parse_klines(body.as_bytes(), Prices::Positive).unwrap();
    for (row, line) in rows.iter().zip(&lines) {
        let cells: Vec<f64> = line.split(',').map(|c| c.parse().unwrap()).collect();
        assert_eq!(row.grid_slot().unwrap().open().0, cells[0] as i64);
        let want = [1, 2, 3, 4, 5, 7, 8, 9, 10].map(|i: usize| cells[i].to_bits());
        assert_eq!(row.bar.values().map(f64::to_bits), want, "{line}");
    }
}

#[test]
fn a_thirteenth_value_of_a_row_is_skipped_and_a_missing_twelfth_is_not() {
    let body = br#"[[1,"1","1","1","1","1",2,"1",1,"1","1","0","extra"]]"#;
    assert_eq!(wire::parse_klines(body, Prices::Positive).unwrap().len(), 1);
    let body = br#"[[1,"1","1","1","1","1",2,"1",1,"1","1"]]"#;
    let error = wire::parse_klines(body, Prices::Positive).unwrap_err().to_string();
    assert!(error.starts_with("klines response: ") && error.contains("12 columns"), "{error}");
}

#[test]
fn a_kline_whose_name_and_length_differ_is_unreadable() {
    let frame = r#"{"stream":"btcusdt@kline_5m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":0,"T":299999,"s":"BTCUSDT","i":"1m","o":"1","h":"1","l":"1","c":"1","v":"1","n":1,"x":true,"q":"1","V":"1","Q":"1"}}}"#;
    let error = parse_frame(frame, Route::FuturesMarket).unwrap_err().to_string();
    assert!(error.contains("1m over 300000 ms"), "{error}");
}

#[test]
fn an_error_names_the_field_and_the_value() {
    let frame = r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1,"a":1,"s":"BTCUSDT","p":"12,5","q":"1","f":1,"l":1,"T":1,"m":true}}"#;
    let error = parse_frame(frame, Route::FuturesMarket).unwrap_err();
    assert_eq!(error.to_string(), "aggTrade frame: field `p` is \"12,5\", expected a finite decimal number");
    let frame = r#"{"stream":"btcusdt@kline_5m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1}}}"#;
    let error = parse_frame(frame, Route::FuturesMarket).unwrap_err().to_string();
    assert!(error.contains("missing field `T`") && error.contains("btcusdt@kline_5m"), "{error}");
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let usual = r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":7,"a":1,"s":"BTCUSDT","p":"12.5","q":"1","f":1,"l":2,"T":6,"m":true,"st":1}}"#;
    let data_first = r#"{"data":{"st":1,"m":true,"T":6,"l":2,"f":1,"q":"1","p":"12.5","s":"BTCUSDT","a":1,"E":7,"e":"aggTrade"},"stream":"btcusdt@aggTrade"}"#;
    let raw = r#"{"e":"aggTrade","E":7,"a":1,"s":"BTCUSDT","p":"12.5","q":"1","f":1,"l":2,"T":6,"m":true}"#;
    let event_last =
        r#"{"E":7,"a":1,"s":"BTCUSDT","p":"12.5","q":"1","f":1,"l":2,"T":6,"m":true,"e":"aggTrade"}"#;
    let want = parse_frame(usual, Route::FuturesMarket).unwrap();
    assert!(matches!(want, Frame::Update(Update::AggTrade(_))));
    for other in [data_first, raw, event_last] {
        assert_eq!(parse_frame(other, Route::FuturesMarket).unwrap(), want, "{other}");
    }
}

#[test]
fn raw_spot_quotes_and_partial_books_are_known_by_their_keys() {
    let quote = r#"{"u":400900217,"s":"BNBUSDT","b":"25.3","B":"31.2","a":"25.4","A":"40.6"}"#;
    let Frame::Update(Update::BookTicker(b)) = parse_frame(quote, Route::Spot).unwrap() else { panic!() };
    assert_eq!((b.market, b.bid, b.ask_quantity, b.event_ts), (Market::Spot, 25.3, 40.6, None));
    let book =
        r#"{"stream":"bnbusdt@depth5","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}}"#;
    let Frame::Update(Update::Depth(d)) = parse_frame(book, Route::Spot).unwrap() else { panic!() };
    assert_eq!((d.symbol.unwrap().as_str(), d.bids.as_slice()), ("BNBUSDT", [(0.0024, 10.0)].as_slice()));
}

#[test]
fn a_market_wide_mark_price_message_is_an_array_without_its_coin_margined_part() {
    let mark = |s: &str, st: i32, r: &str| {
        format!(
            r#"{{"e":"markPriceUpdate","E":5,"s":"{s}","p":"2.5","ap":"2","P":"2","i":"2.4","r":"{r}","T":0,"st":{st}}}"#
        )
    };
    let rows =
        [mark("BTCUSDT_261225", 1, ""), mark("BTCUSD_PERP", 2, "0.1"), mark("币安人生USDT", 1, "0.0001")];
    let frame = format!(r#"{{"stream":"!markPrice@arr@1s","data":[{}]}}"#, rows.join(" , "));
    let Frame::Updates(updates) = parse_frame(&frame, Route::FuturesMarket).unwrap() else { panic!() };
    let marks: Vec<_> = updates
        .iter()
        .map(|u| match u {
            Update::Mark(m) => (m.symbol.as_str(), m.predicted_rate.to_string(), m.next_funding_ts),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        marks,
        [("BTCUSDT_261225", "NaN".to_owned(), None), ("币安人生USDT", "0.0001".to_owned(), None)]
    );
}

#[test]
fn answers_and_both_shapes_of_refusal_are_told_apart() {
    let control = |text: &str| match parse_frame(text, Route::FuturesMarket).unwrap() {
        Frame::Control(control) => control,
        other => panic!("{other:?}"),
    };
    let ack = control(r#"{"result":null,"id":1}"#);
    assert!(!ack.is_refusal() && ack.id == Some(1) && ack.result == Some(None));
    let list = control(r#"{"result":["btcusdt@kline_5m"],"id":3}"#);
    assert_eq!(list.result, Some(Some(r#"["btcusdt@kline_5m"]"#.to_owned())));
    let plain = control(r#"{"code":2,"msg":"Invalid request: unknown variant"}"#);
    assert!(plain.is_refusal() && plain.id.is_none());
    let wrapped = control(r#"{"error":{"code":3,"msg":"Invalid JSON"},"id":9}"#);
    assert_eq!(
        (wrapped.code, wrapped.id, wrapped.message.as_deref()),
        (Some(3), Some(9), Some("Invalid JSON"))
    );
}

#[test]
fn a_spot_server_that_shuts_down_says_so_in_both_shapes() {
    for text in [
        r#"{"e":"serverShutdown","E":1770000000000}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770000000000}}"#,
    ] {
        let frame = parse_frame(text, Route::Spot).unwrap();
        assert_eq!(frame, Frame::ServerShutdown { event_ts: Ts(1_770_000_000_000) });
    }
}

#[test]
fn what_is_no_frame_is_an_error_and_unread_streams_are_not() {
    for text in ["", "[]", "{", "null", "{}", r#"{"hello":1}"#, "<html>"] {
        assert!(parse_frame(text, Route::Spot).is_err(), "{text}");
    }
    for text in [
        r#"{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","A":"1"}}"#,
        r#"{"e":"EquityUpdate","E":1,"t":1,"T":2,"S":"OVERNIGHT"}"#,
    ] {
        assert_eq!(parse_frame(text, Route::FuturesMarket).unwrap(), Frame::Dropped(Dropped::OtherStream));
    }
    assert!(wire::parse_frame_bytes(b"{\"e\":\"\xff\"}", Route::Spot).is_err());
}
