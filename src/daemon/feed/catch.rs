//! Questions to the exchange, a few at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Answer, Stretch};
use crate::daemon::storage::Question;
use backtestd_binance::Rest;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BarIndex, Kind, Market, Records, SeriesKey, Symbol};

/// Questions under way at once: so many would meet a ban that begins now.
const AT_ONCE: usize = 8;

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
    let ask = |question: Question| async move {
        let Question { series, ask, settles, how } = question;
        let asked = rest.history(&series, ask.from, ask.to, clock.now());
        match tokio::time::timeout_at(until, asked).await {
            Ok(Ok(page)) => {
                let asked = Stretch { to: settles.to.min(page.through), ..settles };
                Ok(Answer { series, asked, records: page.records, answers: page.answers, how })
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
    for result in results {
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
