//! What one account earns that trades every blueprint of the run together.

use maud::{Markup, html};

use super::document::{number_heads, table};
use super::format::{number, px, signed, thousands};
use backtestd_core::conclude::Portfolio;
use backtestd_core::portfolio::{Account, Day, Totals};

/// The section; empty where nothing was traded.
pub(super) fn portfolio(simulated: Option<&Portfolio>) -> Markup {
    let Some(p) = simulated else { return Markup::default() };
    let account = &p.account;
    html! {
        h2 { "All of them in one account" }
        p.note {
            "Every blueprint that trades, sized as it says, on one account under the caps of the specs, over the events of the "
            "evidence: a picture of exposure and drawdown, and no evidence of its own. Equity is not compounded."
        }
        div.facts {
            @for (value, name) in facts(p) { div { b { (value) } span { (name) } } }
        }
        div.panel { (equity(account)) }
        (table(
            html! { th { "Month" } (number_heads(&HEADS)) },
            html! { @for month in &account.months { (row(&month.month, &month.totals, account.start_equity)) } },
        ))
        (table(
            html! { th { "Symbol" } (number_heads(&HEADS)) },
            html! {
                @for (symbol, totals) in &account.symbols { (row(symbol.as_str(), totals, account.start_equity)) }
                (row("all", &account.totals, account.start_equity))
            },
        ))
    }
}

const HEADS: [&str; 5] = ["trades", "result %", "price %", "funding %", "costs %"];

fn facts(p: &Portfolio) -> Vec<(String, &'static str)> {
    let account = &p.account;
    let percent = |x: f64| format!("{} %", number(Some(100.0 * x), 1));
    let times = |x: f64| format!("{} ×", number(Some(x), 2));
    vec![
        (format!("{} %", signed(Some(100.0 * account.total_return()), 1)), "of the starting equity"),
        (percent(account.max_drawdown), "deepest fall"),
        (times(account.peak_gross), "most open at once, over equity"),
        (times(p.uncapped.peak_gross), "the same without caps"),
        (times(p.peak_gross_with_members), "if every nested blueprint traded"),
        (percent(account.allocated), "of what was asked for was given"),
        (thousands(account.unplaced.no_room), "positions without room under the caps"),
        (
            thousands(account.unplaced.below_step + account.unplaced.below_min_notional),
            "too small an order for the exchange",
        ),
    ]
}

fn row(name: &str, totals: &Totals, start: f64) -> Markup {
    let percent = |x: f64| signed(Some(100.0 * x / start), 2);
    html! {
        tr {
            td.one { (name) }
            td.n { (thousands(totals.trades)) }
            td.n { (percent(totals.pnl())) }
            td.n { (percent(totals.price)) }
            td.n { (percent(totals.funding)) }
            td.n { (percent(-totals.costs)) }
        }
    }
}

/// Equity at the end of each day, with its drawdown below.
pub(super) fn equity(account: &Account) -> Markup {
    const W: f64 = 860.0;
    const H: f64 = 220.0;
    const LEFT: f64 = 56.0;
    const BASE: f64 = 190.0;
    const TOP: f64 = 12.0;
    let returns: Vec<f64> = account.days.iter().map(|d| d.equity / account.start_equity - 1.0).collect();
    let (low, high) = returns.iter().fold((0.0_f64, 0.0_f64), |(l, h), r| (l.min(*r), h.max(*r)));
    let span = (high - low).max(1e-9);
    let steps = (returns.len().max(2) - 1) as f64;
    let x = |at: usize| LEFT + (W - LEFT - 10.0) * at as f64 / steps;
    let y = |r: f64| BASE - (BASE - TOP) * (r - low) / span;
    let points: Vec<String> =
        returns.iter().enumerate().map(|(i, r)| format!("{},{}", px(x(i)), px(y(*r)))).collect();
    let day = |d: Option<&Day>| d.map_or_else(String::new, |d| d.day.clone());
    html! {
        svg.chart viewBox={ "0 0 " (W) " " (H) } role="img" aria-label="Equity of the account, day by day" {
            line x1=(px(LEFT)) x2=(px(W - 10.0)) y1=(px(y(0.0))) y2=(px(y(0.0))) class="axis" {}
            polyline points=(points.join(" ")) fill="none" stroke="currentColor" stroke-width="1.5" {}
            text x=(px(LEFT - 6.0)) y=(px(y(high) + 4.0)) text-anchor="end" class="tick" { (signed(Some(100.0 * high), 1)) " %" }
            text x=(px(LEFT - 6.0)) y=(px(y(low) + 4.0)) text-anchor="end" class="tick" { (signed(Some(100.0 * low), 1)) " %" }
            text x=(px(LEFT)) y=(px(H - 8.0)) class="tick" { (day(account.days.first())) }
            text x=(px(W - 10.0)) y=(px(H - 8.0)) text-anchor="end" class="tick" { (day(account.days.last())) }
        }
    }
}
