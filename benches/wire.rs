//! Cost of decoding Binance's wire format.
//!
//! `cargo bench --bench wire`; numbers and what they were measured on: benches/README.md.

use backtestd_binance::Route;
use backtestd_binance::wire::{Prices, parse_frame, parse_klines};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const AGG_TRADE: &str = r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1786171884624,"a":3404749954,"s":"BTCUSDT","p":"64990.90","q":"0.002","nq":"0.002","f":7960913511,"l":7960913511,"T":1786171884471,"m":true,"st":1}}"#;
const KLINE: &str = r#"{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1791142274032,"s":"BTCUSDT","k":{"t":1791142260000,"T":1791142319999,"s":"BTCUSDT","i":"1m","f":6734731469,"L":6734731522,"o":"85462.50000000","c":"85462.50000000","h":"85462.50000000","l":"85462.49000000","v":"0.29537000","n":54,"x":false,"q":"25243.05602030","V":"0.03490000","Q":"2982.64125000","B":"0"}}}"#;
const BOOK_TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":11730346419457,"s":"BTCUSDT","ps":"BTCUSDT","b":"84788.20","B":"5.923","a":"84788.30","A":"2.824","T":1791091007473,"E":1791091007473,"st":1}}"#;
const MARK_PRICE: &str = r#"{"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":1786171884000,"s":"BTCUSDT","p":"64991.37858696","ap":"64991.37858696","P":"64980.01344384","i":"65016.05673913","r":"0.00003936","T":1786176000000,"st":1}}"#;
const FORCE_ORDER: &str = r#"{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":1791565603055,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.190","p":"82338.30","ap":"82651.90","X":"FILLED","l":"0.155","z":"0.190","T":1791565602120,"ps":"BTCUSDT","st":1}}}"#;

#[divan::bench(args = [("aggTrade", AGG_TRADE), ("kline", KLINE), ("bookTicker", BOOK_TICKER), ("markPrice", MARK_PRICE), ("forceOrder", FORCE_ORDER)])]
fn frame(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    bencher.counter(ItemsCount::new(1u32)).bench(|| parse_frame(black_box(text), Route::FuturesMarket));
}

/// The untyped reader, for comparison.
#[divan::bench(args = [("aggTrade", AGG_TRADE), ("kline", KLINE)])]
fn untyped(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    bencher
        .counter(ItemsCount::new(1u32))
        .bench(|| serde_json::from_str::<serde_json::Value>(black_box(text)));
}

/// One page of history; items are rows.
#[divan::bench]
fn klines_page(bencher: Bencher<'_, '_>) {
    const ROWS: i64 = 499;
    let row = |n: i64| {
        let open = 1_735_689_600_000 + n * 300_000;
        format!(
            r#"[{open},"93576.00","93610.93","93537.50","93610.93","187.112",{},"17510000.10","3841","100.5","9400000.1","0"]"#,
            open + 299_999
        )
    };
    let body = format!("[{}]", (0..ROWS).map(row).collect::<Vec<_>>().join(","));
    bencher
        .counter(ItemsCount::new(ROWS as u32))
        .bench(|| parse_klines(black_box(body.as_bytes()), Prices::Positive));
}
