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

/// From so many questions about new settlements on, one request asks for those of all contracts.
const ASKED_TOGETHER: usize = 16;
/// Longest stretch of settlements that is asked for together.
const SETTLEMENTS_TOGETHER_MS: i64 = 4 * HOUR_MS;

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

/// Takes apart what one request answers for everybody: the newest settlements, where there are many to ask about.
fn apart(questions: Vec<Question>) -> (Vec<Question>, Vec<Question>) {
    let is_new =
        |q: &Question| q.series.kind == Kind::Funding && q.ask.to - q.ask.from <= SETTLEMENTS_TOGETHER_MS;
    if questions.iter().filter(|q| is_new(q)).count() < ASKED_TOGETHER {
        return (questions, Vec::new());
    }
    let (together, single) = questions.into_iter().partition(is_new);
    (single, together)
}

/// Settlements of all contracts in one request, and what each question hears of it.
async fn all_settlements(
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
