//! The blueprints of a run in one account.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::blueprints::{Blueprint, Compiled};
use crate::discovery::Discovery;
use crate::market::{BarIndex, Symbol};
use crate::portfolio::{Account, Filters, Position, positions_of, run};
use crate::spec::strategies::PortfolioSpec;
use crate::tradability::{BridgeInputs, BridgeResult, MarketError, Markets, Trade};

/// One account that trades the blueprints as they say, and what would have been open without what holds it
/// back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Portfolio {
    /// The primaries under the caps: what a consumer with the defaults does.
    pub account: Account,
    /// The primaries without caps and throttle: the plain sum of their trades.
    pub uncapped: Account,
    /// Largest sum of open notionals over equity if every blueprint traded, members of overlap groups too,
    /// without caps.
    pub peak_gross_with_members: f64,
}

impl Portfolio {
    /// Simulates positions of all blueprints that may trade; `is_traded` says which of them do.
    #[must_use]
    pub fn simulate(positions: &[Position], is_traded: &dyn Fn(&str) -> bool, spec: PortfolioSpec) -> Self {
        let traded: Vec<Position> = positions.iter().filter(|p| is_traded(&p.blueprint)).cloned().collect();
        let free = spec.uncapped();
        Self {
            account: run(&traded, &spec),
            uncapped: run(&traded, &free),
            peak_gross_with_members: run(positions, &free).peak_gross,
        }
    }

    /// Of a run's own blueprints, over the trades that the bridge made of them.
    pub(super) fn of(
        compiled: &Compiled,
        discovery: &Discovery,
        bridge: &BTreeMap<usize, BridgeResult>,
        inputs: &BridgeInputs<'_>,
        markets: &mut dyn Markets,
        filters: &Filters,
    ) -> Result<Option<Self>, MarketError> {
        let by_candidate: BTreeMap<&str, &Blueprint> =
            compiled.blueprints.iter().map(|b| (b.lineage.candidate_id.as_str(), b)).collect();
        let mut trades: BTreeMap<Symbol, Vec<(&Blueprint, Vec<Trade>)>> = BTreeMap::new();
        let mut first: Option<BarIndex> = None;
        for (at, result) in bridge {
            let candidate = discovery.candidates.get(*at).map(|c| c.measured.candidate_id.as_str());
            let Some(blueprint) = candidate.and_then(|id| by_candidate.get(id)) else { continue };
            let mut of_symbol: BTreeMap<&Symbol, Vec<Trade>> = BTreeMap::new();
            for trade in &result.trades {
                first = Some(first.map_or(trade.event_bar, |bar| bar.min(trade.event_bar)));
                of_symbol.entry(&trade.symbol).or_default().push(trade.clone());
            }
            for (symbol, own) in of_symbol {
                trades.entry(symbol.clone()).or_default().push((blueprint, own));
            }
        }
        let Some(first) = first else { return Ok(None) };
        let mut positions = Vec::new();
        for (symbol, own) in trades {
            let Some(market) = markets.market(&symbol, first, inputs.end)? else { continue };
            for (blueprint, trades) in own {
                positions.extend(positions_of(blueprint, &trades, &market, filters));
            }
        }
        let spec = inputs.strategies.portfolio;
        let is_traded = |id: &str| compiled.blueprints.iter().any(|b| b.id == id && b.is_traded());
        Ok(Some(Self::simulate(&positions, &is_traded, spec)))
    }
}
