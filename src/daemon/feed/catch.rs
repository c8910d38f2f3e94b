//! Questions to the exchange, a few at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Answer, Stretch};
use crate::daemon::storage::Question;
use backtestd_binance::Rest;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BarIndex, HOUR_MS, Kind, Market, Records, SeriesKey, Symbol, Ts};

/// Questions under way at once: so many would meet a ban that begins now.
const AT_ONCE: usize = 8;

/// From so many questions about settlements on, those of all contracts are asked for together.
pub(super) const ASKED_TOGETHER: usize = 16;

/// What came of questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Those that were answered.
    pub answers: Vec<Answer>,
    /// Why others were not: one reason stands for all.
    pub failure: Option<String>,
}

impl Answers {
    /// The bars that came, with their series.
    pub fn bars(&self) -> impl Iterator<Item = (Market, &Symbol, BarIndex)> {
        self.answers.iter().flat_map(|answer| {
            let bars: &[_] = match &answer.records {
                Records::Bars(_, bars) => bars,
                _ => &[],
            };
            bars.iter().map(|bar| (answer.series.market, &answer.series.symbol, bar.bar))
        })
    }
}

/// Puts the questions; what is not answered within `deadline` is left out.
pub async fn ask(rest: &Rest, clock: &dyn Clock, questions: Vec<Question>, deadline: Duration) -> Answers {
    let until = tokio::time::Instant::now() + deadline;
    let total = questions.len();
    let (questions, together) = apart(questions);
    let mut settlements = Vec::new();
    if !together.is_empty() {
        settlements = all_settlements(rest, together, until).await;
    }
    let ask = |question: Question| async move {
        let Question { series, ask, settles, how } = question;
        let asked = rest.history(&series, ask.from, ask.to, clock.now());
        match tokio::time::timeout_at(until, asked).await {
            Ok(Ok(page)) => {
                let asked = Stretch { to: settles.to.min(page.through), ..settles };
                Ok(Answer { series, asked, records: page.records, answers: page.answers, how })
            }
            Ok(Err(error)) if error.is_unknown_symbol() => {
                // Delisted: the exchange has nothing more to say, which is an answer.
                let records = Records::of(series.kind, series.market, &[]);
                Ok(Answer { series, asked: settles, records, answers: 2, how })
            }
            Ok(Err(error)) => Err(format!("{} {}: {error}", series.symbol, series.kind.name())),
            Err(_) => {
                Err(format!("{} {}: no answer within {deadline:.1?}", series.symbol, series.kind.name()))
            }
        }
    };
    let results: Vec<_> =
        stream::iter(questions.into_iter().map(ask)).buffer_unordered(AT_ONCE).collect().await;
    let mut all = Answers::default();
    let mut failed = 0_usize;
    for result in settlements.into_iter().chain(results) {
        match result {
            Ok(answer) => all.answers.push(answer),
            Err(reason) => {
                failed += 1;
                all.failure.get_or_insert(reason);
            }
        }
    }
    if let Some(reason) = &all.failure {
        tracing::warn!(failed, total, reason, "the exchange did not answer; asking again");
    }
    all
}

/// Takes apart what a few requests answer for everybody: settlements of all contracts, as far back as that
/// takes at most half as many requests as there are questions. Of all contracts a page holds those of an hour
/// at least.
pub(super) fn apart(questions: Vec<Question>) -> (Vec<Question>, Vec<Question>) {
    let (mut funding, mut single): (Vec<_>, Vec<_>) =
        questions.into_iter().partition(|q| q.series.kind == Kind::Funding);
    funding.sort_by_key(|q| std::cmp::Reverse(q.ask.from));
    let (mut newest, mut together) = (i64::MIN, 0);
    for (before, question) in funding.iter().enumerate() {
        newest = newest.max(question.ask.to);
        let pages = (newest - question.ask.from) / HOUR_MS + 1;
        if 2 * pages <= before as i64 + 1 {
            together = before + 1;
        }
    }
    if together < ASKED_TOGETHER {
        together = 0;
    }
    single.extend(funding.split_off(together));
    (single, funding)
}

/// Settlements of all contracts in one request, and what each question hears of it.
pub(super) async fn all_settlements(
    rest: &Rest,
    questions: Vec<Question>,
    until: tokio::time::Instant,
) -> Vec<Result<Answer, String>> {
    let from = questions.iter().map(|q| q.ask.from).min().unwrap_or(0);
    let to = questions.iter().map(|q| q.ask.to).max().unwrap_or(0);
    match tokio::time::timeout_at(until, rest.funding_of_all(Ts(from), Ts(to))).await {
        Ok(Ok(mut all)) => {
            let answer = |q: Question| {
                let mut prints = all.remove(&q.series.symbol).unwrap_or_default();
                prints.retain(|print| (q.ask.from..q.ask.to).contains(&print.ts.0));
                Ok(Answer {
                    series: q.series,
                    asked: q.settles,
                    records: prints.into(),
                    answers: 1,
                    how: q.how,
                })
            };
            questions.into_iter().map(answer).collect()
        }
        Ok(Err(error)) => vec![Err(format!("funding of all contracts: {error}"))],
        Err(_) => vec![Err("funding of all contracts: no answer in time".to_owned())],
    }
}

/// Questions about one bar of several series.
#[must_use]
pub fn about_bar(series: &[(Market, Symbol)], bar: BarIndex) -> Vec<Question> {
    let stretch = Stretch { from: bar.0, to: bar.next().0 };
    let question = |(market, symbol): &(Market, Symbol)| Question {
        series: SeriesKey { kind: Kind::Bars, market: *market, symbol: symbol.clone() },
        ask: stretch,
        settles: stretch,
        how: "rest",
    };
    series.iter().map(question).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(n: usize, hours: i64) -> Vec<Question> {
        let now = 20_000 * 24 * HOUR_MS;
        let one = |n: usize| {
            let symbol = Symbol::new(&format!("A{n}USDT")).unwrap();
            let series = SeriesKey { kind: Kind::Funding, market: Market::Perp, symbol };
            let ask = Stretch { from: now - hours * HOUR_MS, to: now };
            Question { series, ask, settles: ask, how: "test" }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn settlements_are_asked_for_together_where_that_takes_fewer_requests() {
        let of = |questions: Vec<Question>| {
            let (single, together) = apart(questions);
            (single.len(), together.len())
        };
        assert_eq!(of(questions(15, 2)), (15, 0), "few");
        assert_eq!(of(questions(16, 2)), (0, 16));
        assert_eq!(of(questions(16, 12)), (16, 0), "13 pages for 16 questions");
        assert_eq!(of(questions(600, 12 * 24)), (0, 600), "after twelve days without a daemon");
        assert_eq!(of(questions(600, 30 * 24)), (600, 0), "the first history");
        assert_eq!(
            of([questions(20, 3), questions(20, 90 * 24)].concat()),
            (20, 20),
            "each where it is cheap"
        );
    }
}
