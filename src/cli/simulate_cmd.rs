//! `backtestd simulate`: all blueprints of a version in one account, over the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::borrowed::ReadableStore;
use super::dirs::{DataRoot, SpecDir, StateDir, judge};
use super::misuse;
use super::research_cmd::Selection;
use super::table::render;
use crate::nautilus::{account_line, not_placed_line};
use crate::publish::{BLUEPRINTS_FILE, current_version, read_version, version_number};
use crate::research::{Request, StoreMarkets, collect};
use backtestd_binance::clock::SystemClock;
use backtestd_core::blueprints::{Blueprint, Status, canonical_json, trades_of};
use backtestd_core::clock::Clock;
use backtestd_core::conclude::Portfolio;
use backtestd_core::market::{BPS, Symbol};
use backtestd_core::outcomes::Event;
use backtestd_core::portfolio::{Filters, Totals, positions_of};
use backtestd_core::spec::CompiledSpec;
use backtestd_core::tradability::{self, Markets, Trade};
use backtestd_store::lake::write_bytes;
use backtestd_store::{Store, load_specs};

/// Simulate one account that trades all blueprints of a version, or of a run, over the store: sizes as they
/// say, steps and least values of orders, caps on gross, net, symbol and family, and a drawdown throttle
/// (spec/strategies/default.yaml, `portfolio`). Over the events that the evidence has seen this is a picture
/// of exposure, and no evidence of its own.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:\n  backtestd simulate --state state/demo --data-root data/demo\n  backtestd simulate --version v000003 --start 2026-01-01 --uncapped\n  backtestd simulate --equity 500 --trades ./positions.jsonl        # what is too small for the exchange is counted"
)]
pub(super) struct SimulateCmd {
    #[command(flatten)]
    selection: Selection,
    /// The version, vNNNNNN. Default: the one in force.
    #[arg(long, value_name = "vNNNNNN", conflicts_with = "run_id")]
    version: Option<String>,
    /// The run whose own blueprints are taken instead.
    #[arg(long = "run-id", alias = "run_id", alias = "run", value_name = "RUN", value_parser = misuse::run_id)]
    run_id: Option<String>,
    /// Only events that the evidence had not seen.
    #[arg(long)]
    unseen: bool,
    /// Starting equity, quote currency. Default: `portfolio.equity` of the specs.
    #[arg(long, value_name = "AMOUNT", value_parser = positive)]
    equity: Option<f64>,
    /// File for every position, a line of JSON each: quantity, prices and what it came to, or why its order
    /// was not placed.
    #[arg(long, value_name = "FILE")]
    trades: Option<PathBuf>,
    /// Without caps and throttle: the sum of the trades as steps and least values of orders leave them.
    #[arg(long)]
    uncapped: bool,
    /// Members of overlap groups trade too.
    #[arg(long)]
    members: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    spec: SpecDir,
}

impl SimulateCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When there are no blueprints, the specs are not theirs, or the store is in use or lacks bars.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let spec = Arc::new(load_specs(&self.spec.or_shipped())?);
        let (name, blueprints) = self.blueprints(&spec)?;
        let mut store = ReadableStore::open(&self.state.state)?;
        judge(&mut store, &spec, SystemClock.now())?;
        let request = self.selection.request(&store, &self.state.state, &spec, &self.data.data_root)?;
        let portfolio = self.simulate(&store, &request, &blueprints)?;
        if let Some(path) = &self.trades {
            let account = &portfolio.account;
            let lines = account.closed.iter().map(account_line);
            let lines = lines.chain(account.not_placed.iter().map(not_placed_line));
            let text: String = lines.map(|line| canonical_json(&line) + "\n").collect();
            write_bytes(path, text.as_bytes())?;
        }
        if self.json {
            println!("{}", json!({"of": name, "portfolio": portfolio}));
        } else {
            print!("{}", text(&name, &portfolio));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The lines to trade, and what they are called.
    fn blueprints(&self, spec: &CompiledSpec) -> anyhow::Result<(String, Vec<Blueprint>)> {
        let dir = self.data.data_root.join("blueprints");
        if let Some(run) = &self.run_id {
            let path =
                self.data.data_root.join("reports/strategy_blueprints").join(run).join(BLUEPRINTS_FILE);
            return Ok((format!("run {run}"), checked(read_lines(&path)?, spec, &path)?));
        }
        let number = match &self.version {
            Some(name) => {
                Some(version_number(name).with_context(|| format!("--version {name} is no version"))?)
            }
            None => current_version(&dir)?,
        };
        let Some(number) = number else {
            bail!("nothing is published in {}; run `backtestd research --publish` first", dir.display());
        };
        let version = read_version(&dir, number)?;
        Ok((version.manifest.version.clone(), checked(version.blueprints, spec, &dir)?))
    }

    fn simulate(
        &self,
        store: &Store,
        request: &Request,
        blueprints: &[Blueprint],
    ) -> anyhow::Result<Portfolio> {
        let types: BTreeSet<&str> = blueprints.iter().map(|b| b.event_type.as_str()).collect();
        let collected = collect(store, request, &mut |_, _| {})?;
        let events: Vec<Event> = collected
            .events
            .into_iter()
            .map(|r| r.event)
            .filter(|e| types.contains(&*e.event_type))
            .collect();
        let mut markets: BTreeMap<Symbol, tradability::Market> = BTreeMap::new();
        for symbol in &request.symbols {
            let market = StoreMarkets::of(store).market(symbol, request.first, request.end)?;
            markets.extend(market.map(|m| (symbol.clone(), m)));
        }
        let states: Vec<&str> = request.spec.graph.states.iter().map(|s| s.name.as_str()).collect();
        let filters = Filters::of(&request.spec);
        let mut positions = Vec::new();
        for blueprint in blueprints {
            let seen = blueprint.discovered_through_ns.filter(|_| self.unseen).unwrap_or(i64::MIN);
            let fresh: Vec<Event> = events.iter().filter(|e| e.detected().nanos() > seen).cloned().collect();
            let trades = trades_of(blueprint, &fresh, &states, &markets).trades;
            for (symbol, market) in &markets {
                let own: Vec<Trade> = trades.iter().filter(|t| t.symbol == *symbol).cloned().collect();
                positions.extend(positions_of(blueprint, &own, market, &filters));
            }
        }
        let mut spec = request.spec.strategies.portfolio;
        spec.equity = self.equity.unwrap_or(spec.equity);
        let spec = if self.uncapped { spec.uncapped() } else { spec };
        let is_traded = |id: &str| {
            blueprints
                .iter()
                .any(|b| b.id == id && b.status == Status::Active && (self.members || b.is_traded()))
        };
        Ok(Portfolio::simulate(&positions, &is_traded, spec))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
    amount.ok_or_else(|| format!("{text} is no amount; give a positive number of the quote currency, as 500"))
}

fn read_lines(path: &Path) -> anyhow::Result<Vec<Blueprint>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{}", path.display())))
        .collect()
}

/// The lines that may trade; their conditions are those of these specs.
fn checked(lines: Vec<Blueprint>, spec: &CompiledSpec, path: &Path) -> anyhow::Result<Vec<Blueprint>> {
    if let Some(other) = lines.iter().find(|b| b.lineage.ontology_spec_hash != spec.hash) {
        bail!(
            "{}: {} was made under specs {}, but the specs at hand are {}; name the tree with --spec",
            path.display(),
            other.id,
            other.lineage.ontology_spec_hash,
            spec.hash
        );
    }
    Ok(lines.into_iter().filter(|b| b.status != Status::Retired).collect())
}

fn text(name: &str, p: &Portfolio) -> String {
    let a = &p.account;
    let percent = |x: f64| format!("{:+.2} %", 100.0 * x);
    let mut out = format!(
        "{name}: {} trades, {} of the starting equity ({}), deepest fall {:.2} %\n\
         exposure: at most {:.2} x equity gross, {:.2} net; without caps {:.2}; {:.2} if every nested blueprint traded\n\
         given {:.1} % of what was asked for, {} positions left out: {} had no room under caps and throttle, {} were less than a \
         step, {} less than the least order, {} of unknown risk\n",
        a.totals.trades,
        percent(a.total_return()),
        a.mean_bps().map_or_else(|| "no trade".to_owned(), |m| format!("{m:+.1} bps a trade")),
        100.0 * a.max_drawdown,
        a.peak_gross,
        a.peak_net,
        p.uncapped.peak_gross,
        p.peak_gross_with_members,
        100.0 * a.allocated,
        a.left_out,
        a.unplaced.no_room,
        a.unplaced.below_step,
        a.unplaced.below_min_notional,
        a.unplaced.risk_unknown,
    );
    let row = |name: String, t: &Totals| {
        let share = |x: f64| format!("{:.1}", BPS * x / a.start_equity);
        [name, t.trades.to_string(), share(t.pnl()), share(t.price), share(t.funding), share(-t.costs)]
    };
    let months = a.months.iter().map(|m| row(m.month.clone(), &m.totals));
    let symbols = a.symbols.iter().map(|(s, t)| row(s.to_string(), t));
    let blueprints = a.blueprints.iter().map(|(b, t)| row(b.clone(), t));
    let all = std::iter::once(row("all".to_owned(), &a.totals));
    let rows: Vec<Vec<String>> =
        months.chain(symbols).chain(blueprints).chain(all).map(|r| r.to_vec()).collect();
    out.push_str(&render(&["bps of equity", "trades", "result", "price", "funding", "costs"], &rows));
    out
}
