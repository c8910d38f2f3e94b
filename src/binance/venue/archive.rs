//! The archive of the venue: `/data/{futures/um,spot}/{daily,monthly}/<set>/<SYMBOL>/…` as
//! data.binance.vision has it, with a `.CHECKSUM` beside every file. Files are made when they are asked for;
//! the same file always has the same bytes.
//!
//! A day's file appears two hours after its end, a month's on the first Monday after it. Spot files have no
//! header and count in microseconds from 2025 on; metrics are labelled by the end of their period, the last
//! one 00:00 of the next day. A file that has a bar corrected after it was published is published once more:
//! it has another checksum from then on.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use backtestd_core::market::{BAR_MS, DAY_MS, Ts};
use backtestd_lab::sim::{Interval, Kline, Range, Series, mark_at};

use super::falsify;
use super::state::Venue;
use crate::archive::plan::{first_monday_after, parse_day, parse_month};

/// After the end of a day its file is not there for so long.
const DAILY_DELAY_MS: i64 = 2 * 3_600_000;
/// The first instant of spot files in microseconds: 2025-01-01.
const MICROSECONDS_FROM: Ts = Ts(1_735_689_600_000);

const KLINE_HEADER: &str = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,\
     taker_buy_quote_volume,ignore\n";
const FUNDING_HEADER: &str = "calc_time,funding_interval_hours,last_funding_rate\n";
const METRICS_HEADER: &str = "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,\
     sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n";

/// The routes of the archive.
pub(crate) fn routes() -> Router<Arc<Venue>> {
    Router::new().route("/data/{*path}", get(serve))
}

async fn serve(State(venue): State<Arc<Venue>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    venue.tally.count("request /data");
    let full = format!("/data/{path}");
    if let Some(refusal) = super::rest::refusal(&venue, &full).await {
        return refusal;
    }
    let of = Arc::clone(&venue);
    let made = tokio::task::spawn_blocking(move || file(&of, &path)).await;
    let Ok(Some(bytes)) = made else {
        return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response();
    };
    let total = bytes.len();
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let from = range.and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        None => super::rest::spoilt(&venue, &full, bytes),
        Some(from) if from < total => {
            let part = format!("bytes {from}-{}/{total}", total - 1);
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, part)], bytes[from..].to_vec())
                .into_response()
        }
        Some(_) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
    }
}

/// What a path means.
struct Wanted {
    symbol: usize,
    set: String,
    from: Ts,
    to: Ts,
    published: Ts,
    is_spot: bool,
    interval: Option<Interval>,
    /// Name without ending.
    name: String,
}

/// The bytes of a file or of its checksum; `None` where there is none (yet).
fn file(venue: &Venue, path: &str) -> Option<Vec<u8>> {
    let is_checksum = path.ends_with(".CHECKSUM");
    let wanted = wanted(venue, path.trim_end_matches(".CHECKSUM"))?;
    let (csv, made) = csv(venue, &wanted)?;
    let bytes = zipped(&wanted.name, &csv, made)?;
    if !is_checksum {
        return Some(bytes);
    }
    let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    Some(format!("{sum}  {}.zip\n", wanted.name).into_bytes())
}

fn wanted(venue: &Venue, path: &str) -> Option<Wanted> {
    let parts: Vec<&str> = path.split('/').collect();
    let (is_spot, rest) = match parts.as_slice() {
        ["futures", "um", rest @ ..] => (false, rest),
        ["spot", rest @ ..] => (true, rest),
        _ => return None,
    };
    let (span, set, name, interval, file) = match rest {
        [span, set, name, interval, file] => (*span, *set, *name, Some(Interval::parse(interval)?), *file),
        [span, set, name, file] => (*span, *set, *name, None, *file),
        _ => return None,
    };
    let symbol = venue.symbol(name)?;
    let stem = file.strip_suffix(".zip")?;
    let word = interval.map_or(set, |interval| interval.name);
    let date = stem.strip_prefix(&format!("{name}-{word}-"))?;
    let (from, to) = match span {
        "daily" => parse_day(date).map(|from| (from, Ts(from.0 + DAY_MS)))?,
        "monthly" => parse_month(date)?,
        _ => return None,
    };
    let published = if span == "daily" { Ts(to.0 + DAILY_DELAY_MS) } else { first_monday_after(to) };
    let is_set = match (set, is_spot) {
        ("klines", true) => interval.is_some() && venue.has_spot(symbol),
        ("klines" | "markPriceKlines" | "indexPriceKlines" | "premiumIndexKlines", false) => {
            interval.is_some()
        }
        ("fundingRate", false) => span == "monthly" && interval.is_none(),
        ("metrics", false) => span == "daily" && interval.is_none(),
        _ => false,
    };
    let is_there = is_set && published <= venue.now() && to > venue.market.genesis().open();
    let set = set.to_owned();
    is_there.then(|| Wanted { symbol, set, from, to, published, is_spot, interval, name: stem.to_owned() })
}

/// The table of a file, and when it was made.
fn csv(venue: &Venue, wanted: &Wanted) -> Option<(String, Ts)> {
    let (text, made) = match wanted.set.as_str() {
        "fundingRate" => (funding(venue, wanted), wanted.published),
        "metrics" => (metrics(venue, wanted), wanted.published),
        set => klines(venue, wanted, set)?,
    };
    // A file without rows is not published.
    (text.lines().count() > 1).then_some((text, made))
}

fn klines(venue: &Venue, wanted: &Wanted, set: &str) -> Option<(String, Ts)> {
    let interval = wanted.interval?;
    let series = match set {
        "markPriceKlines" => Series::Mark,
        "indexPriceKlines" => Series::Index,
        "premiumIndexKlines" => Series::Premium,
        _ if wanted.is_spot => Series::Spot,
        _ => Series::Perp,
    };
    let range = Range { start: Some(wanted.from.0), end: Some(wanted.to.0 - 1), limit: usize::MAX / 4 };
    let now = venue.now();
    let klines = venue.market.klines(wanted.symbol, series, interval, range, now);
    let mut out = if wanted.is_spot { String::new() } else { KLINE_HEADER.to_owned() };
    let is_fine = wanted.is_spot && wanted.from >= MICROSECONDS_FROM;
    let is_of_trades = interval.ms == BAR_MS && matches!(series, Series::Perp | Series::Spot);
    let mut made = wanted.published;
    for mut kline in klines.into_iter().filter(|kline| venue.is_trading(wanted.symbol, kline.open_time)) {
        let corrected = falsify::corrected_in_archive(venue, wanted.symbol, series, &kline);
        match corrected.filter(|_| is_of_trades) {
            Some(at) if at > now => falsify::wrong(&mut kline),
            Some(at) => made = made.max(at),
            None => {}
        }
        kline_line(&mut out, &kline, is_fine);
    }
    Some((out, made))
}

fn kline_line(out: &mut String, kline: &Kline, is_fine: bool) {
    let Kline { bar, digits, .. } = kline;
    let (p, v, q) = (digits.price, digits.volume, digits.quote);
    let (open, close) = match is_fine {
        true => (kline.open_time.0 * 1000, kline.close_time.0 * 1000 + 999),
        false => (kline.open_time.0, kline.close_time.0),
    };
    let _ = writeln!(
        out,
        "{open},{:.p$},{:.p$},{:.p$},{:.p$},{:.v$},{close},{:.q$},{},{:.v$},{:.q$},0",
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.quote_volume,
        bar.trades,
        bar.taker_buy_volume,
        bar.taker_buy_quote,
    );
}

fn funding(venue: &Venue, wanted: &Wanted) -> String {
    let mut out = FUNDING_HEADER.to_owned();
    for (at, hours, rate) in super::rest::settled(venue, wanted.symbol, wanted.from, Ts(wanted.to.0 - 1)) {
        let _ = writeln!(out, "{at},{hours},{rate:.8}");
    }
    out
}

/// The snapshots of a day, 00:05 to 00:00 of the next.
fn metrics(venue: &Venue, wanted: &Wanted) -> String {
    let mut out = METRICS_HEADER.to_owned();
    let name = venue.name(wanted.symbol);
    let count = usize::try_from((wanted.to.0 - wanted.from.0) / BAR_MS).unwrap_or(0);
    for bar in venue.market.bars(wanted.symbol, wanted.from.bar(), count) {
        let label = bar.bar.close();
        if !venue.is_trading(wanted.symbol, bar.bar.open()) {
            continue;
        }
        let text = label.rfc3339();
        let ratio = |kind| super::rest::ratio(venue, wanted.symbol, label, kind);
        let sold = bar.perp.volume - bar.perp.taker_buy_volume;
        let _ = writeln!(
            out,
            "{} {},{name},{:.8},{:.8},{:.4},{:.4},{:.4},{:.4}",
            &text[..10],
            &text[11..19],
            bar.open_interest,
            bar.open_interest * mark_at(&bar, 1.0),
            ratio("top accounts"),
            ratio("top positions"),
            ratio("accounts"),
            if sold > 0.0 { bar.perp.taker_buy_volume / sold } else { 0.0 },
        );
    }
    out
}

fn zipped(name: &str, csv: &str, made: Ts) -> Option<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip_date(made)?);
    zip.start_file(format!("{name}.csv"), options).ok()?;
    zip.write_all(csv.as_bytes()).ok()?;
    Some(zip.finish().ok()?.into_inner())
}

/// A zip's own kind of date, to two seconds.
fn zip_date(at: Ts) -> Option<zip::DateTime> {
    let text = at.rfc3339();
    let part = |from: usize| text.get(from..from + 2)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let (month, day, hour, minute, second) = (part(5)?, part(8)?, part(11)?, part(14)?, part(17)?);
    zip::DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_same_bytes_every_time_and_says_when_it_was_made() {
        let made = Ts(1_772_330_400_000);
        assert_eq!(zipped("a", "1,2\n", made), zipped("a", "1,2\n", made));
        assert!(zipped("a", "1,2\n", made).unwrap().starts_with(b"PK"));
        assert_eq!(zip_date(made).unwrap().to_string(), "2026-03-01 02:00:00");
    }
}
