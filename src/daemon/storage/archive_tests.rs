//! What a storage thread does with the files of the archive: which are due, what they correct, and what stays
//! corrected.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::life_tests::StandingClock;
use super::{Compared, DueFiles, Ended, Job, Storage};
use crate::daemon::config::{Config, Origin, Value};
use crate::daemon::feed::archive::{DueFile, Said, Told};
use crate::daemon::feed::ledger::{self, Change, Repair};
use crate::daemon::feed::{Answer, Follow, Stretch};
use crate::daemon::shared::Shared;
use backtestd_binance::archive::plan;
use backtestd_core::market::{
    BARS_PER_DAY, Bar, BarIndex, DAY_MS, HOUR_MS, Kind, Market, RawPut, Records, SeriesKey, Symbol, Ts,
};
use backtestd_store::{Store, load_specs};

/// The first day of five.
const DAY: i64 = 20_000;
/// Of the second day, the bar that a file corrects.
const CORRECTED: i64 = 40;

/// So many hours after the fifth day.
fn after(hours: i64) -> Ts {
    Ts((DAY + 5) * DAY_MS + hours * HOUR_MS)
}

fn series() -> SeriesKey {
    SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: Symbol::new("BTCUSDT").unwrap() }
}

fn day_of_bars(day: i64) -> Stretch {
    Stretch { from: day * BARS_PER_DAY, to: (day + 1) * BARS_PER_DAY }
}

fn bars(day: i64) -> Vec<Bar> {
    let at = day_of_bars(day);
    let close = |n: i64| 100.0 + 0.1 * (n % 7) as f64;
    let bar = |n: i64| {
        let values = [close(n - 1), 101.0, 99.0, close(n), 10.0, 1000.0, 5.0, 5.0, 500.0];
        Bar::from_values(BarIndex(n), values)
    };
    (at.from..at.to).map(bar).collect()
}

/// The day with another close of one bar, and as many trades.
fn corrected(day: i64, close: f64) -> Vec<Bar> {
    let mut bars = bars(day);
    bars[CORRECTED as usize].close = close;
    bars
}

fn records(bars: Vec<Bar>, sha256: &str) -> Said {
    let put = RawPut { symbol: series().symbol, records: Records::Bars(Market::Perp, bars) };
    Said::Records { sha256: sha256.to_owned(), puts: vec![put], made: Some(after(-40)) }
}

/// A storage thread and what it needs.
struct Bench {
    storage: Storage,
    ended: Ended,
}

impl Bench {
    async fn start(dir: &Path) -> Self {
        let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        let path = |path: &Path| path.display().to_string();
        let values = [
            ("state", path(&dir.join("state"))),
            ("data_root", path(&dir.join("data"))),
            ("spec", path(&spec)),
            ("socket", path(&dir.join("d.sock"))),
            ("symbols", "BTCUSDT".to_owned()),
            ("spot_symbols", "none".to_owned()),
            ("collect", String::new()),
            ("start", Ts(DAY * DAY_MS).to_string()),
        ];
        let value = |text| Value { text, origin: Origin::Default };
        let values = BTreeMap::from(values.map(|(key, text)| (key, value(text))));
        let config = Arc::new(Config::from_values(&values).unwrap());
        let follow = Arc::new(Follow::new(&config));
        let (shared, _, _) = Shared::new(Arc::new(StandingClock(after(400))), config);
        let spec = Arc::new(load_specs(&spec).unwrap());
        let (storage, _, ended) = Storage::start(shared, follow, spec).await.unwrap();
        Self { storage, ended }
    }

    async fn close(self) {
        self.storage.ask(|reply| Job::Close { reply }).await.unwrap();
        self.ended.await.unwrap().unwrap();
    }

    /// REST tells five days, and they are computed.
    async fn live_through_five_days(&self) {
        for day in DAY..DAY + 5 {
            self.rest(day, "rest history", after(0)).await;
        }
        let end = BarIndex(day_of_bars(DAY + 4).to);
        while self.storage.ask(|reply| Job::Advance { end, now: after(0), reply }).await.unwrap().next < end {
        }
    }

    /// REST tells a day as it always did.
    async fn rest(&self, day: i64, how: &'static str, now: Ts) -> super::PutDone {
        let records = Records::Bars(Market::Perp, bars(day));
        let answer = Answer { series: series(), asked: day_of_bars(day), records, answers: 1, how };
        self.storage.ask(|reply| Job::Settle { answers: vec![answer], now, reply }).await.unwrap()
    }

    async fn due(&self, now: Ts) -> DueFiles {
        self.storage.ask(|reply| Job::ArchiveDue { now, reply }).await.unwrap()
    }

    async fn tell(&self, due: DueFile, said: Said, now: Ts) -> Compared {
        let told = Box::new(Told { due, said });
        self.storage.ask(|reply| Job::ArchiveTold { told, now, reply }).await.unwrap()
    }
}

/// Days of files, counted from the first one, with the checksums that are known.
fn days(due: &DueFiles) -> Vec<(i64, Option<&str>)> {
    due.files.iter().map(|due| (due.file.from.day() - DAY, due.known.as_deref())).collect()
}

/// What the closed store says of the corrected bar: its close, and the repairs of its series.
fn stored(dir: &Path) -> (f64, Vec<Repair>) {
    let store = Store::open(&dir.join("state")).unwrap();
    let at = day_of_bars(DAY + 1).from + CORRECTED;
    let rows = store.series_rows(&series(), at, at + 1).unwrap();
    (rows.columns[3][0], ledger::load(&store, &series()).unwrap().repairs().to_vec())
}

#[tokio::test]
async fn files_are_due_the_newest_first_and_an_answer_is_remembered_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await;
    bench.live_through_five_days().await;
    let due = bench.due(after(2)).await;
    assert_eq!(days(&due), [(3, None), (2, None), (1, None), (0, None)], "yesterday's comes later");
    assert_eq!(due.next, Some(after(3)));
    let [of_3, of_2, of_1, of_0] = <[DueFile; 4]>::try_from(due.files).unwrap();
    bench.tell(of_3, Said::Nothing, after(2)).await;
    let same = bench.tell(of_2, records(bars(DAY + 2), "22"), after(2)).await;
    assert!(same.put.is_empty() && same.last.unwrap().corrected == 0);
    bench.tell(of_1, records(bars(DAY + 1), "11"), after(2)).await;
    bench.tell(of_0, Said::Unreadable("cut".to_owned()), after(2)).await;
    let due = bench.due(after(2)).await;
    assert_eq!((days(&due), due.next), (vec![], Some(after(3))));
    bench.close().await;

    let bench = Bench::start(dir.path()).await;
    let due = bench.due(after(4)).await;
    assert_eq!(days(&due), [(4, None)], "what was answered is not asked for again");
    let due = bench.due(after(5)).await;
    assert_eq!(days(&due), [(4, None), (3, None), (0, None)], "what was not there is, hours later");
    bench.close().await;
    let store = Store::open(&dir.path().join("state")).unwrap();
    let file = plan::daily(&series(), "klines", DAY + 2);
    assert_eq!(store.meta(&plan::note(&file.path)).unwrap().unwrap(), b"22", "the note of a backfill");
}

#[tokio::test]
async fn what_only_the_archive_has_is_computed_again_told_and_not_undone_by_rest() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await;
    bench.live_through_five_days().await;
    let due = bench.due(after(2)).await.files;
    let of_1 = due.into_iter().find(|due| due.file.from.day() == DAY + 1).unwrap();
    let compared = bench.tell(of_1, records(corrected(DAY + 1, 99.5), "11"), after(2)).await;
    let bar = BarIndex(day_of_bars(DAY + 1).from + CORRECTED);
    assert_eq!(compared.put.dirty_from, Some(bar), "what was computed of it is computed again");
    let last = compared.last.unwrap();
    assert_eq!((last.corrected, last.filled, last.at), (1, 0, after(2)));
    for how in ["rest audit", "rest"] {
        let told = bench.rest(DAY + 1, how, after(3)).await;
        assert_eq!((told.report.kept, told.report.is_noop()), (1, true), "{how}");
    }
    bench.close().await;
    let (close, repairs) = stored(dir.path());
    assert_eq!(close, 99.5);
    let [repair] = &repairs[..] else { panic!("{repairs:?}") };
    assert_eq!((repair.change, repair.records, &*repair.how), (Change::Corrected, 1, "archive audit"));
    assert_eq!((repair.at, repair.when), (Stretch { from: bar.0, to: bar.0 + 1 }, after(2)));
}

#[tokio::test]
async fn a_file_that_is_published_once_more_is_compared_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await;
    bench.live_through_five_days().await;
    for due in bench.due(after(2)).await.files {
        let day = due.file.from.day();
        bench.tell(due, records(bars(day), &format!("{day}")), after(2)).await;
    }
    bench.close().await;
    let bench = Bench::start(dir.path()).await;
    // Eight days after the end of the second day.
    let looks = bench.due(after(4 * 24 + 24)).await;
    let known = format!("{}", DAY + 1);
    let of_1 = looks.files.into_iter().find(|due| due.known.as_deref() == Some(&*known)).unwrap();
    let asked = of_1.clone();
    let compared = bench.tell(of_1, records(corrected(DAY + 1, 99.25), "new"), after(120)).await;
    assert_eq!(compared.last.unwrap().corrected, 1);
    let again = bench.due(after(120)).await;
    assert!(again.files.iter().all(|due| due.file != asked.file), "{again:?}");
    bench.tell(asked.clone(), Said::Known, after(121)).await;
    bench.close().await;
    assert_eq!(stored(dir.path()).0, 99.25);
    let store = Store::open(&dir.path().join("state")).unwrap();
    assert_eq!(store.meta(&plan::note(&asked.file.path)).unwrap().unwrap(), b"new");
}

#[tokio::test]
async fn what_rest_never_had_is_filled_in_by_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await;
    let mut without = bars(DAY);
    without.remove(CORRECTED as usize);
    let records_of = Records::Bars(Market::Perp, without);
    let asked = day_of_bars(DAY);
    let answer = Answer { series: series(), asked, records: records_of, answers: 2, how: "rest" };
    bench.storage.ask(|reply| Job::Settle { answers: vec![answer], now: after(-90), reply }).await.unwrap();
    let end = BarIndex(asked.to);
    while bench.storage.ask(|reply| Job::Advance { end, now: after(0), reply }).await.unwrap().next < end {}
    let due = bench.due(after(2)).await.files.pop().unwrap();
    let filled = bench.tell(due, records(bars(DAY), "00"), after(2)).await;
    assert_eq!(filled.last.unwrap().filled, 1);
    bench.close().await;
    let store = Store::open(&dir.path().join("state")).unwrap();
    let ledger = ledger::load(&store, &series()).unwrap();
    assert!(ledger.holes().is_empty(), "{ledger:?}");
    assert_eq!((ledger.repairs().len(), ledger.repairs()[0].change), (1, Change::Filled));
}
