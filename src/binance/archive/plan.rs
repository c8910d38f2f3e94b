//! Which files of the public archive hold a stretch of a series, and when they can be there.
//!
//! A month that is over and published comes as one file, days outside such months as one file each; the rest
//! is left to REST. Funding has monthly files only, metrics daily ones only.

use jiff::civil::{Date, Weekday, date};

use super::{FileKind, FileSpec};
use backtestd_core::market::{BAR_MS, DAY_MS, Kind, Market, SeriesKey, Ts};

/// Days of a month from which on its monthly file is less to fetch than the daily ones.
const MONTH_FROM_DAYS: i64 = 8;

/// What a file spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A UTC day.
    Daily,
    /// A calendar month.
    Monthly,
}

impl Span {
    const fn folder(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Monthly => "monthly",
        }
    }
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Path below the archive's root, as in `futures/um/daily/klines/…`.
    pub path: String,
    /// Day or month.
    pub span: Span,
    /// First instant of the span.
    pub from: Ts,
    /// End of the span, exclusive.
    pub to: Ts,
    /// Folder of the set, as in `klines`.
    pub set: &'static str,
}

impl ArchiveFile {
    /// The monthly file that holds the same records, of a daily one; none where the archive has no such file.
    #[must_use]
    pub fn month(&self, series: &SeriesKey) -> Option<Self> {
        let (from, to) = month_of(self.from).filter(|_| self.set != "metrics")?;
        Some(file(series, self.set, Span::Monthly, from, to))
    }

    /// What it is to the reader of files.
    #[must_use]
    pub fn spec(&self, series: &SeriesKey) -> FileSpec {
        let (kind, has_bars) = match self.set {
            "markPriceKlines" => (FileKind::MarkKlines, true),
            "indexPriceKlines" => (FileKind::IndexKlines, true),
            "premiumIndexKlines" => (FileKind::PremiumKlines, true),
            "metrics" => (FileKind::Metrics, false),
            "fundingRate" => (FileKind::Funding, false),
            _ => (FileKind::Klines, true),
        };
        FileSpec {
            market: series.market,
            kind_is_given: true,
            symbol: Some(series.symbol.clone()),
            only: Some(series.symbol.clone()),
            interval_ms: has_bars.then_some(BAR_MS),
            ..FileSpec::of(kind)
        }
    }
}

/// Name of a store's note that it has the records of a file; its value is the SHA-256 of the file. Whoever
/// takes in files asks for no file twice, whoever took it before.
#[must_use]
pub fn note(path: &str) -> String {
    format!("archive/{path}")
}

/// The sets of daily files that hold a kind of record; empty where the archive has none.
#[must_use]
pub const fn daily_sets(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Funding => &[],
        kind => sets(kind),
    }
}

/// The file of a set that holds a day of a series: days since 1970-01-01.
#[must_use]
pub fn daily(series: &SeriesKey, set: &'static str, day: i64) -> ArchiveFile {
    file(series, set, Span::Daily, Ts(day * DAY_MS), Ts((day + 1) * DAY_MS))
}

/// The sets that hold a kind of record; empty where the archive has none.
const fn sets(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Bars => &["klines"],
        Kind::Mark => &["markPriceKlines", "indexPriceKlines", "premiumIndexKlines"],
        Kind::Funding => &["fundingRate"],
        Kind::OpenInterest | Kind::LongShortRatio => &["metrics"],
        _ => &[],
    }
}

/// The files of a series between two instants, as far as they can be published at `now`. Every file is wanted
/// whole.
#[must_use]
pub fn files(series: &SeriesKey, from: Ts, to: Ts, now: Ts) -> Vec<ArchiveFile> {
    sets(series.kind).iter().flat_map(|set| files_of_set(series, set, from, to, now)).collect()
}

/// The daily files in place of a monthly one that is not there.
#[must_use]
pub fn days_of(series: &SeriesKey, month: &ArchiveFile, from: Ts, to: Ts, now: Ts) -> Vec<ArchiveFile> {
    if month.set == "fundingRate" {
        return Vec::new();
    }
    days(series, month.set, from.max(month.from), to.min(month.to), now)
}

fn files_of_set(series: &SeriesKey, set: &'static str, from: Ts, to: Ts, now: Ts) -> Vec<ArchiveFile> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let Some((first, end)) = month_of(at) else { break };
        let until = end.min(to);
        let is_worth = (until.0 - at.0) >= MONTH_FROM_DAYS * DAY_MS || set == "fundingRate";
        if set != "metrics" && is_worth && first_monday_after(end) <= now {
            found.push(file(series, set, Span::Monthly, first, end));
        } else if set != "fundingRate" {
            found.extend(days(series, set, at, until, now));
        }
        at = end;
    }
    found
}

fn days(series: &SeriesKey, set: &'static str, from: Ts, to: Ts, now: Ts) -> Vec<ArchiveFile> {
    let first = from.0.div_euclid(DAY_MS);
    let last = (to.0 + DAY_MS - 1).div_euclid(DAY_MS);
    (first..last)
        .map(|day| (Ts(day * DAY_MS), Ts((day + 1) * DAY_MS)))
        .filter(|(_, end)| *end <= now)
        .map(|(from, to)| file(series, set, Span::Daily, from, to))
        .collect()
}

fn file(series: &SeriesKey, set: &'static str, span: Span, from: Ts, to: Ts) -> ArchiveFile {
    let symbol = &series.symbol;
    let market = if series.market == Market::Spot { "spot" } else { "futures/um" };
    let (folder, text) = (span.folder(), from.rfc3339());
    let date = if span == Span::Monthly { &text[..7] } else { &text[..10] };
    let path = match set {
        "fundingRate" | "metrics" => format!("{market}/{folder}/{set}/{symbol}/{symbol}-{set}-{date}.zip"),
        _ => format!("{market}/{folder}/{set}/{symbol}/5m/{symbol}-5m-{date}.zip"),
    };
    ArchiveFile { path, span, from, to, set }
}

/// The stretch that a whole file answers for: bar numbers, or instants in milliseconds. Snapshots are
/// labelled by the end of their period.
#[must_use]
pub const fn covers(kind: Kind, file: &ArchiveFile) -> (i64, i64) {
    if kind.is_bar_like() {
        (file.from.0.div_euclid(BAR_MS), file.to.0.div_euclid(BAR_MS))
    } else if matches!(kind, Kind::Funding) {
        (file.from.0, file.to.0)
    } else {
        (file.from.0 + 1, file.to.0 + 1)
    }
}

fn day_of(at: Ts) -> Option<Date> {
    let days = i32::try_from(at.0.div_euclid(DAY_MS)).ok()?;
    date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).ok()
}

fn ts_of(day: Date) -> Ts {
    let days = date(1970, 1, 1).until(day).map_or(0, |span| span.get_days());
    Ts(i64::from(days) * DAY_MS)
}

/// First instant and end of the month that holds an instant.
fn month_of(at: Ts) -> Option<(Ts, Ts)> {
    let first = day_of(at)?.first_of_month();
    Some((ts_of(first), Ts(ts_of(first.last_of_month()).0 + DAY_MS)))
}

/// Midnight of the first Monday at or after the end of a month: when its files appear.
#[must_use]
pub fn first_monday_after(end: Ts) -> Ts {
    let Some(day) = day_of(end) else { return end };
    let ahead = (7 - i64::from(day.weekday().since(Weekday::Monday))).rem_euclid(7);
    Ts(ts_of(day).0 + ahead * DAY_MS)
}

/// Midnight of a day such as `2025-01-31`.
#[must_use]
pub fn parse_day(text: &str) -> Option<Ts> {
    (text.len() == 10).then(|| text.parse::<Date>().ok().map(ts_of)).flatten()
}

/// First instant and end of a month such as `2025-01`.
#[must_use]
pub fn parse_month(text: &str) -> Option<(Ts, Ts)> {
    (text.len() == 7).then(|| month_of(parse_day(&format!("{text}-01"))?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{Symbol, parse_time};

    fn at(text: &str) -> Ts {
        parse_time(text).unwrap()
    }

    fn check(kind: Kind, from: &str, to: &str, now: &str, expected: &[&str]) {
        let series = SeriesKey { kind, market: Market::Perp, symbol: Symbol::new("BTCUSDT").unwrap() };
        let files = files(&series, at(from), at(to), at(now));
        let names: Vec<&str> = files.iter().map(|f| f.path.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn whole_months_come_monthly_the_rest_daily_and_today_not_at_all() {
        // 2025-03-03 is the first Monday of March.
        check(
            Kind::Bars,
            "2025-01-30",
            "2025-03-03",
            "2025-03-02T12:00:00Z",
            &["BTCUSDT-5m-2025-01-30.zip", "BTCUSDT-5m-2025-01-31.zip"]
                .into_iter()
                .chain(
                    (1..=28).map(|d| &*Box::leak(format!("BTCUSDT-5m-2025-02-{d:02}.zip").into_boxed_str())),
                )
                .chain(["BTCUSDT-5m-2025-03-01.zip"])
                .collect::<Vec<_>>(),
        );
        check(
            Kind::Bars,
            "2025-02-01",
            "2025-03-03T10:00:00Z",
            "2025-03-03T10:00:00Z",
            &["BTCUSDT-5m-2025-02.zip", "BTCUSDT-5m-2025-03-01.zip", "BTCUSDT-5m-2025-03-02.zip"],
        );
        check(Kind::Funding, "2025-01-20", "2025-02-10", "2025-02-10", &["BTCUSDT-fundingRate-2025-01.zip"]);
        check(
            Kind::OpenInterest,
            "2025-01-30",
            "2025-02-01",
            "2025-06-01",
            &["BTCUSDT-metrics-2025-01-30.zip", "BTCUSDT-metrics-2025-01-31.zip"],
        );
        check(Kind::Liquidations, "2025-01-01", "2025-02-01", "2025-06-01", &[]);
    }

    #[test]
    fn a_day_has_a_file_of_each_set_and_the_month_that_holds_it() {
        let of = |kind, market| SeriesKey { kind, market, symbol: Symbol::new("BTCUSDT").unwrap() };
        let spot = of(Kind::Bars, Market::Spot);
        let day = at("2025-02-03").day();
        let file = daily(&spot, daily_sets(Kind::Bars)[0], day);
        assert_eq!(file.path, "spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2025-02-03.zip");
        assert_eq!(file.month(&spot).unwrap().path, "spot/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-02.zip");
        assert_eq!(note(&file.path), format!("archive/{}", file.path));
        let spec = file.spec(&spot);
        assert_eq!(
            (spec.kind, spec.market, spec.interval_ms),
            (FileKind::Klines, Market::Spot, Some(BAR_MS))
        );
        let statistics = of(Kind::OpenInterest, Market::Perp);
        let file = daily(&statistics, daily_sets(Kind::OpenInterest)[0], day);
        assert_eq!((file.month(&statistics), file.spec(&statistics).kind), (None, FileKind::Metrics));
        assert_eq!(daily_sets(Kind::Mark).len(), 3);
        assert!(daily_sets(Kind::Funding).is_empty() && daily_sets(Kind::Quotes).is_empty());
    }

    #[test]
    fn paths_are_those_of_the_archive() {
        let series =
            SeriesKey { kind: Kind::Mark, market: Market::Perp, symbol: Symbol::new("SOLUSDT").unwrap() };
        let found = files(&series, at("2025-02-01"), at("2025-02-02"), at("2025-02-10"));
        let paths: Vec<&str> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths[1], "futures/um/daily/indexPriceKlines/SOLUSDT/5m/SOLUSDT-5m-2025-02-01.zip");
        assert_eq!(paths.len(), 3);
        assert_eq!(first_monday_after(at("2025-09-01")), at("2025-09-01"), "a Monday itself");
        assert_eq!(parse_month("2025-12"), Some((at("2025-12-01"), at("2026-01-01"))));
        assert_eq!((parse_day("2025-1-1"), parse_month("2025-13")), (None, None));
    }
}
