//! One account, bar by bar.

use std::collections::BTreeMap;

use serde::Serialize;

use super::allocate::{Ask, Book, allocate};
use super::filters::Filters;
use super::position::Position;
use crate::market::{BPS, BarIndex, Symbol};
use crate::spec::strategies::PortfolioSpec;

/// What an account trades under.
#[derive(Clone, Copy, Debug)]
pub struct PortfolioInputs<'a> {
    /// Equity, caps and throttle.
    pub spec: &'a PortfolioSpec,
    /// What the exchange takes as an order.
    pub filters: &'a Filters,
}

/// A position that was closed, in quote currency.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Closed {
    /// Id of the blueprint.
    pub blueprint: String,
    /// Symbol that was traded.
    pub symbol: Symbol,
    /// Open of the entry bar, RFC 3339.
    pub entry_bar: String,
    /// Open of the exit bar, RFC 3339.
    pub exit_bar: String,
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
}

struct Open<'a> {
    position: &'a Position,
    notional: f64,
    asked: f64,
}

/// Where the account stands while it runs.
struct Running<'a> {
    inputs: PortfolioInputs<'a>,
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
pub fn run(positions: &[Position], inputs: &PortfolioInputs<'_>) -> Account {
    let mut entries: BTreeMap<BarIndex, Vec<&Position>> = BTreeMap::new();
    for position in positions {
        entries.entry(position.entry_bar).or_default().push(position);
    }
    for at in entries.values_mut() {
        at.sort_by(|a, b| (&a.blueprint, &a.symbol).cmp(&(&b.blueprint, &b.symbol)));
    }
    let start = inputs.spec.equity;
    let mut running = Running {
        inputs: *inputs,
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
                symbol: position.symbol.clone(),
                entry_bar: position.entry_bar.open().rfc3339(),
                exit_bar: position.exit_bar.open().rfc3339(),
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
        let equity = self.inputs.spec.equity;
        let mut book = Book::default();
        for o in &self.open {
            book.add(&ask(o.position), o.notional / equity);
        }
        let asks: Vec<Ask> = asked.iter().map(|p| ask(p)).collect();
        let throttle = self.inputs.spec.throttle(self.drawdown);
        let sizes = allocate(&asks, &book, self.inputs.spec, throttle);
        for (position, size) in asked.iter().zip(sizes) {
            let wanted = position.scale * equity;
            let notional = self.inputs.filters.fit(&position.symbol, size * equity, position.entry_price);
            self.asked += wanted;
            self.given += notional;
            if notional > 0.0 {
                self.settled -= notional * position.cost / 2.0;
                self.open.push(Open { position, notional, asked: wanted });
            } else {
                self.out.left_out += 1;
            }
        }
    }

    fn mark(&mut self, bar: BarIndex) {
        let floating: f64 = self.open.iter().map(|o| o.worth(bar)).sum();
        let equity = self.settled + floating;
        self.peak = self.peak.max(equity);
        self.drawdown = if self.peak > 0.0 { (self.peak - equity) / self.peak } else { 1.0 };
        let start = self.inputs.spec.equity;
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
mod tests {
    use super::*;
    use crate::market::Side;

    fn position(entry: i64, way: &[[f64; 2]], side: Side, scale: f64) -> Position {
        Position {
            blueprint: format!("bp_{entry}"),
            family: "F".to_owned(),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            side,
            entry_bar: BarIndex(entry),
            exit_bar: BarIndex(entry + way.len() as i64),
            entry_price: 100.0,
            scale,
            cost: 0.0012,
            way: way.to_vec(),
        }
    }

    fn free() -> PortfolioSpec {
        PortfolioSpec {
            equity: 1000.0,
            max_gross: f64::INFINITY,
            max_net: f64::INFINITY,
            max_symbol: f64::INFINITY,
            max_family: f64::INFINITY,
            drawdown_begin: 1.0,
            drawdown_end: 2.0,
            min_notional: 0.0,
        }
    }

    fn trade(positions: &[Position], spec: &PortfolioSpec) -> Account {
        run(positions, &PortfolioInputs { spec, filters: &Filters::default() })
    }

    #[test]
    fn equity_is_the_start_with_price_and_funding_less_costs() {
        let ways: [&[[f64; 2]]; 3] = [
            &[[0.01, 0.0], [0.03, 0.0001]],
            &[[-0.02, 0.0]],
            &[[0.0, 0.0], [0.005, -0.0002], [0.001, -0.0002]],
        ];
        let positions: Vec<Position> =
            ways.iter().enumerate().map(|(at, way)| position(at as i64 * 2, way, Side::Long, 0.5)).collect();
        let account = trade(&positions, &free());
        let t = account.totals;
        assert_eq!(t.trades, 3);
        assert!((account.end_equity - (1000.0 + t.price + t.funding - t.costs)).abs() < 1e-9);
        // By hand, 500 each: prices 15 - 10 + 0.5, funding -0.05 + 0.1, costs 3 x 0.6.
        assert!(
            (t.price - 5.5).abs() < 1e-9 && (t.funding - 0.05).abs() < 1e-9 && (t.costs - 1.8).abs() < 1e-9
        );
        let sums: f64 = account.closed.iter().map(Closed::pnl).sum();
        assert!((sums - (account.end_equity - 1000.0)).abs() < 1e-9);
        assert!((account.symbols.values().map(Totals::pnl).sum::<f64>() - sums).abs() < 1e-9);
        assert!((account.months.iter().map(|m| m.totals.pnl()).sum::<f64>() - sums).abs() < 1e-9);
    }

    #[test]
    fn without_caps_the_account_is_the_plain_sum_of_its_positions() {
        let positions: Vec<Position> = (0..40)
            .map(|at| {
                let gain = f64::from((at * 7 % 13) - 6) / 1000.0;
                let side = if at % 3 == 0 { Side::Short } else { Side::Long };
                position(
                    i64::from(at),
                    &[[gain / 2.0, 0.0], [gain, 0.0001]],
                    side,
                    0.1 + f64::from(at % 5) / 10.0,
                )
            })
            .collect();
        let account = trade(&positions, &free());
        let plain: f64 = positions
            .iter()
            .map(|p| {
                let [gain, paid] = p.way[1];
                p.scale * 1000.0 * (gain - paid - p.cost)
            })
            .sum();
        assert!((account.end_equity - 1000.0 - plain).abs() < 1e-9);
        assert!((account.allocated - 1.0).abs() < 1e-12);
        assert_eq!(account.left_out, 0);
    }

    #[test]
    fn exposure_is_what_is_open_at_once_and_an_exit_makes_room_at_its_own_bar() {
        let held = [[0.0, 0.0]; 4];
        let positions = [
            position(0, &held, Side::Long, 0.6),
            position(2, &held, Side::Long, 0.6),
            position(4, &held, Side::Long, 0.6),
        ];
        let uncapped = trade(&positions, &free());
        assert!((uncapped.peak_gross - 1.2).abs() < 1e-12);
        let capped = trade(&positions, &PortfolioSpec { max_gross: 1.0, ..free() });
        assert!((capped.peak_gross - 1.0).abs() < 1e-12);
        let sizes: Vec<f64> = capped.closed.iter().map(|c| c.notional).collect();
        // The first leaves at bar 4, when the third comes: 0.6, 0.4, 0.6.
        for (size, wanted) in sizes.iter().zip([600.0, 400.0, 600.0]) {
            assert!((size - wanted).abs() < 1e-9, "{sizes:?}");
        }
        assert!((capped.allocated - 1600.0 / 1800.0).abs() < 1e-12);
    }

    #[test]
    fn a_drawdown_throttles_what_comes_after_it_and_not_what_brings_it_about() {
        let spec = PortfolioSpec { drawdown_begin: 0.0, drawdown_end: 0.25, ..free() };
        let fall = position(0, &[[-0.2, 0.0]], Side::Long, 0.5);
        let after = |entry| {
            trade(
                &[Position { cost: 0.0, ..fall.clone() }, position(entry, &[[0.0, 0.0]], Side::Long, 0.5)],
                &spec,
            )
        };
        // The loss of 10 % is booked at bar 1: a position at that very close does not know it yet.
        assert!((after(1).closed[1].notional - 500.0).abs() < 1e-9);
        // The prior system's pinned example: a limit of 25 % and a fall of 10 % leave 0.6.
        let mut waiting = vec![Position { cost: 0.0, ..fall.clone() }];
        waiting.push(Position { cost: 0.0, ..position(0, &[[0.0, 0.0]; 3], Side::Long, 0.0) });
        waiting.push(position(2, &[[0.0, 0.0]], Side::Long, 0.5));
        let account = trade(&waiting, &spec);
        assert!((account.closed.last().unwrap().notional - 300.0).abs() < 1e-9, "{:?}", account.closed);
        assert!((account.max_drawdown - 0.1).abs() < 1e-3);
    }
}
