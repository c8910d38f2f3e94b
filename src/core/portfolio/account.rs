//! One account, bar by bar.

use std::collections::BTreeMap;

use serde::Serialize;

use super::allocate::{Ask, Book, allocate};
use super::filters::{Unfit, Unplaced};
use super::position::Position;
use crate::market::{BPS, BarIndex, Side, Symbol, Ts};
use crate::spec::strategies::PortfolioSpec;
use crate::tradability::ExitReason;

/// A position that was closed, in quote currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Id of the blueprint.
    pub blueprint: String,
    /// Id of its event.
    pub event_id: String,
    /// Why it was closed.
    pub reason: ExitReason,
    /// Symbol that was traded.
    pub symbol: Symbol,
    /// Side of the position.
    pub side: Side,
    /// Instant of the entry.
    pub entry: Ts,
    /// Bar on which it was closed.
    pub exit_bar: BarIndex,
    /// Quantity, base units: whole steps where the exchange has said its step.
    pub quantity: f64,
    /// Price of the entry.
    pub entry_price: f64,
    /// Price of the exit; of a stop or target, on the tick.
    pub exit_price: f64,
    /// Value at the entry.
    pub notional: f64,
    /// Value that was asked for.
    pub asked: f64,
    /// Gain of the price.
    pub price: f64,
    /// Funding received (paid: negative).
    pub funding: f64,
    /// Costs of entry and exit.
    pub costs: f64,
}

impl Closed {
    /// What it came to.
    #[must_use]
    pub fn pnl(&self) -> f64 {
        self.price + self.funding - self.costs
    }
}

/// A position whose order was not placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPlaced {
    /// Id of the blueprint.
    pub blueprint: String,
    /// Id of its event.
    pub event_id: String,
    /// Symbol that would have been traded.
    pub symbol: Symbol,
    /// What stood in the way.
    pub why: Unfit,
}

/// Sums over closed positions, quote currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Number of positions.
    pub trades: u64,
    /// Gain of the prices.
    pub price: f64,
    /// Funding that was received.
    pub funding: f64,
    /// Costs that were paid.
    pub costs: f64,
}

impl Totals {
    fn add(&mut self, closed: &Closed) {
        self.trades += 1;
        self.price += closed.price;
        self.funding += closed.funding;
        self.costs += closed.costs;
    }

    /// What they came to.
    #[must_use]
    pub fn pnl(&self) -> f64 {
        self.price + self.funding - self.costs
    }
}

/// The account at the end of a UTC day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Day {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// Equity at its last bar with a position or a change.
    pub equity: f64,
    /// Deepest fall below the highest equity so far, on any bar of the day, share.
    pub drawdown: f64,
    /// Largest sum of open notionals over the starting equity.
    pub gross: f64,
}

/// A calendar month.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Month {
    /// The month, `YYYY-MM`, by exits.
    pub month: String,
    /// Its closed positions.
    pub totals: Totals,
}

/// What became of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// Equity at the start, quote currency.
    pub start_equity: f64,
    /// Equity at the end; what was still open is marked.
    pub end_equity: f64,
    /// Deepest fall below the highest equity so far, share of it.
    pub max_drawdown: f64,
    /// Largest sum of open notionals, over the starting equity.
    pub peak_gross: f64,
    /// Largest distance of long less short from zero, over the starting equity.
    pub peak_net: f64,
    /// Share of the value asked for that caps, throttle, steps and least values left.
    pub allocated: f64,
    /// Positions that came to nothing under them.
    pub left_out: u64,
    /// The same by what stood in the way of their order.
    pub unplaced: Unplaced,
    /// All closed positions.
    pub totals: Totals,
    /// The same by symbol.
    pub symbols: BTreeMap<Symbol, Totals>,
    /// The same by blueprint.
    pub blueprints: BTreeMap<String, Totals>,
    /// The same by month.
    pub months: Vec<Month>,
    /// Day by day.
    pub days: Vec<Day>,
    /// Every closed position, in the order of the exits.
    #[serde(skip)]
    pub closed: Vec<Closed>,
    /// Every position whose order was not placed, in the order of the entries.
    #[serde(skip)]
    pub not_placed: Vec<NotPlaced>,
}

struct Open<'a> {
    position: &'a Position,
    notional: f64,
    asked: f64,
}

/// Where the account stands while it runs.
struct Running<'a> {
    spec: &'a PortfolioSpec,
    open: Vec<Open<'a>>,
    /// Equity without what is open.
    settled: f64,
    peak: f64,
    /// Drawdown at the close before, share.
    drawdown: f64,
    asked: f64,
    given: f64,
    out: Account,
}

/// Trades positions in one account.
#[must_use]
pub fn run(positions: &[Position], spec: &PortfolioSpec) -> Account {
    let mut entries: BTreeMap<BarIndex, Vec<&Position>> = BTreeMap::new();
    for position in positions {
        entries.entry(position.entry_bar).or_default().push(position);
    }
    for at in entries.values_mut() {
        at.sort_by(|a, b| (&a.blueprint, &a.symbol).cmp(&(&b.blueprint, &b.symbol)));
    }
    let start = spec.equity;
    let mut running = Running {
        spec,
        open: Vec::new(),
        settled: start,
        peak: start,
        drawdown: 0.0,
        asked: 0.0,
        given: 0.0,
        out: Account { start_equity: start, end_equity: start, ..Account::default() },
    };
    let mut next = entries.first_key_value().map(|(bar, _)| *bar);
    while let Some(bar) = next {
        running.leave(bar);
        if let Some(asked) = entries.get(&bar) {
            running.enter(asked);
        }
        running.mark(bar);
        // While something is open every bar counts; in between, only those on which something is asked for.
        next = if running.open.is_empty() {
            entries.range(bar.next()..).next().map(|(bar, _)| *bar)
        } else {
            Some(bar.next())
        };
    }
    running.end()
}

impl<'a> Running<'a> {
    fn leave(&mut self, bar: BarIndex) {
        let (due, open) =
            std::mem::take(&mut self.open).into_iter().partition::<Vec<_>, _>(|o| o.position.exit_bar <= bar);
        self.open = open;
        for Open { position, notional, asked } in due {
            let [gain, paid] = position.way.last().copied().unwrap_or([0.0; 2]);
            let closed = Closed {
                blueprint: position.blueprint.clone(),
                event_id: position.event_id.clone(),
                reason: position.reason,
                symbol: position.symbol.clone(),
                side: position.side,
                entry: position.entry,
                exit_bar: position.exit_bar,
                quantity: notional / position.entry_price,
                entry_price: position.entry_price,
                exit_price: position.exit_price,
                notional,
                asked,
                price: notional * gain,
                funding: -notional * paid,
                costs: notional * position.cost,
            };
            // Half of the cost was paid at the entry.
            self.settled += closed.price + closed.funding - closed.costs / 2.0;
            self.out.totals.add(&closed);
            self.out.symbols.entry(closed.symbol.clone()).or_default().add(&closed);
            self.out.blueprints.entry(closed.blueprint.clone()).or_default().add(&closed);
            let month = position.exit_bar.open().rfc3339().chars().take(7).collect::<String>();
            if self.out.months.last().is_none_or(|m| m.month != month) {
                self.out.months.push(Month { month, totals: Totals::default() });
            }
            if let Some(last) = self.out.months.last_mut() {
                last.totals.add(&closed);
            }
            self.out.closed.push(closed);
        }
    }

    fn enter(&mut self, asked: &[&'a Position]) {
        let equity = self.spec.equity;
        let mut book = Book::default();
        for o in &self.open {
            book.add(&ask(o.position), o.notional / equity);
        }
        // One that has no size must not take part: it would scale what is asked for beside it.
        let (asked, unknown): (Vec<&Position>, Vec<&Position>) =
            asked.iter().copied().partition(|p| p.scale > 0.0 && p.scale.is_finite());
        unknown.into_iter().for_each(|position| self.not_placed(position, Unfit::RiskUnknown));
        let asks: Vec<Ask> = asked.iter().map(|p| ask(p)).collect();
        let throttle = self.spec.throttle(self.drawdown);
        let sizes = allocate(&asks, &book, self.spec, throttle);
        for (position, size) in asked.iter().zip(sizes) {
            let wanted = position.scale * equity;
            self.asked += wanted;
            match position.orders.fit(size * equity, position.entry_price) {
                Ok(notional) => {
                    self.given += notional;
                    self.settled -= notional * position.cost / 2.0;
                    self.open.push(Open { position, notional, asked: wanted });
                }
                Err(why) => self.not_placed(position, why),
            }
        }
    }

    fn not_placed(&mut self, position: &Position, why: Unfit) {
        self.out.unplaced.count(why);
        self.out.not_placed.push(NotPlaced {
            blueprint: position.blueprint.clone(),
            event_id: position.event_id.clone(),
            symbol: position.symbol.clone(),
            why,
        });
    }

    fn mark(&mut self, bar: BarIndex) {
        let floating: f64 = self.open.iter().map(|o| o.worth(bar)).sum();
        let equity = self.settled + floating;
        self.peak = self.peak.max(equity);
        self.drawdown = if self.peak > 0.0 { (self.peak - equity) / self.peak } else { 1.0 };
        let start = self.spec.equity;
        let gross = self.open.iter().map(|o| o.notional).sum::<f64>() / start;
        let net = self.open.iter().map(|o| o.position.side.sign() * o.notional).sum::<f64>() / start;
        let out = &mut self.out;
        out.end_equity = equity;
        out.max_drawdown = out.max_drawdown.max(self.drawdown);
        out.peak_gross = out.peak_gross.max(gross);
        out.peak_net = out.peak_net.max(net.abs());
        let day = bar.open().rfc3339().chars().take(10).collect::<String>();
        match out.days.last_mut().filter(|last| last.day == day) {
            Some(last) => {
                last.equity = equity;
                last.drawdown = last.drawdown.max(self.drawdown);
                last.gross = last.gross.max(gross);
            }
            None => out.days.push(Day { day, equity, drawdown: self.drawdown, gross }),
        }
    }

    fn end(mut self) -> Account {
        self.out.allocated = if self.asked > 0.0 { self.given / self.asked } else { 1.0 };
        self.out.left_out = self.out.unplaced.total();
        self.out
    }
}

impl Open<'_> {
    /// Floating gain at the close of a bar.
    fn worth(&self, bar: BarIndex) -> f64 {
        let [gain, paid] = self.position.at(bar);
        self.notional * (gain - paid)
    }
}

fn ask(position: &Position) -> Ask {
    Ask {
        symbol: position.symbol.clone(),
        family: position.family.clone(),
        side: position.side,
        size: position.scale,
    }
}

impl Account {
    /// Return over the starting equity.
    #[must_use]
    pub fn total_return(&self) -> f64 {
        self.end_equity / self.start_equity - 1.0
    }

    /// Mean result of a closed position, bps of its notional.
    #[must_use]
    pub fn mean_bps(&self) -> Option<f64> {
        let notional: f64 = self.closed.iter().map(|c| c.notional).sum();
        (notional > 0.0).then(|| BPS * self.totals.pnl() / notional)
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
