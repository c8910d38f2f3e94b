//! The market of the fixtures: five symbols with every source, 25 ordinary days and then a calm that scripts
//! disturb. Nothing can be learned from it about prices: independent noise around a level, without a time of
//! day.

use std::collections::BTreeSet;

use backtestd_core::clean::{CleanPolicy, Joiner};
use backtestd_core::graph::{Engine, EngineOptions, EngineOutput};
use backtestd_core::market::{
    Bar, BarIndex, BookDepth, FundingPrint, LiquidationBar, MarkBar, OpenInterest, QuoteBar, RawBlock,
    RawSymbol, Source, Symbol, TickBlock,
};

use crate::common::Rng;
use crate::script::{CALM, Cell, Knob, Script, ZERO};
use crate::shipped::shipped;

/// One-bar volatility, ln.
pub(crate) const SIGMA: f64 = 0.001;
/// How loud the noise of returns is in the calm.
const HUSH: f64 = 0.4;
/// Pull of the price towards its level, per bar: old extremes are not far away.
const PULL: f64 = 0.004;
/// Ordinary bars before the calm.
const ORDINARY: i64 = 25 * 288;

const NAMES: [&str; 5] = ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];

/// An onset, counted in bars from offset 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hit {
    pub at: i64,
    pub direction: i8,
    pub severity: f64,
}

/// The market and the engine at a bar.
#[derive(Clone)]
pub(crate) struct World {
    symbols: Vec<Symbol>,
    price: Vec<f64>,
    contracts: Vec<f64>,
    joiner: Joiner,
    engine: Engine,
}

impl World {
    /// At the first calm bar, after the ordinary days.
    pub(crate) fn calm() -> Self {
        let spec = shipped();
        let symbols: Vec<Symbol> = NAMES.iter().map(|n| Symbol::new(n).unwrap()).collect();
        let all: BTreeSet<Source> = Source::ALL.iter().copied().collect();
        let collected = vec![all; symbols.len()];
        let mut policy =
            CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &symbols, &collected)
                .unwrap();
        for symbol in &mut policy.symbols {
            (symbol.taker_fee_bps, symbol.maker_fee_bps, symbol.tick_size) = (4.0, 2.0, 0.001);
            symbol.interest_rate_8h = 0.0001;
        }
        let first = ZERO - CALM - ORDINARY;
        let mut world = Self {
            joiner: Joiner::new(&symbols, policy, first).unwrap(),
            engine: Engine::new(spec.graph.clone(), &symbols, first, EngineOptions::BATCH),
            price: vec![100.0; symbols.len()],
            contracts: vec![50_000.0; symbols.len()],
            symbols,
        };
        world.run(ORDINARY, 1.0, |_, _| Cell::new());
        world
    }

    /// Plays a script from here; the onsets of one event on the script's symbol.
    pub(crate) fn play(mut self, script: &Script, event: &str) -> Vec<Hit> {
        let rows = CALM + script.last() + 1;
        let out = self.run(rows, HUSH, |symbol, bar| script.cell(symbol, bar - ZERO));
        let graph = &shipped().graph;
        let event = graph.events.iter().position(|e| e.event_type == event).unwrap();
        let symbol = self.symbols.iter().position(|s| s.as_str() == script.symbol).unwrap();
        let hits = out.symbols[symbol].detections.iter().filter(|d| usize::from(d.event.0) == event);
        hits.map(|d| Hit { at: d.bar - ZERO, direction: d.direction, severity: d.severity }).collect()
    }

    fn run(&mut self, rows: i64, loud: f64, cell: impl Fn(&str, BarIndex) -> Cell) -> EngineOutput {
        let first = self.engine.next_bar();
        let mut raw = RawBlock::empty(first, rows as usize, self.symbols.len());
        let mut settings: Vec<[Vec<f64>; 2]> = vec![Default::default(); self.symbols.len()];
        for bar in (0..rows).map(|r| first + r) {
            for (s, [tick, fee]) in settings.iter_mut().enumerate() {
                let cell = cell(self.symbols[s].as_str(), bar);
                self.deliver(s, bar, loud, &cell, &mut raw.symbols[s]);
                tick.push(cell.get(&Knob::TickSize).copied().unwrap_or(0.001));
                fee.push(cell.get(&Knob::TakerFeeBps).copied().unwrap_or(4.0));
            }
        }
        let mut block: TickBlock = self.joiner.push(&raw).unwrap();
        // Settings have no records in the raw log: the joiner writes constants, a script may change them.
        for (columns, [tick, fee]) in block.symbols.iter_mut().zip(settings) {
            columns.set(Source::TickSize, tick);
            columns.set(Source::TakerFeeBps, fee);
        }
        self.engine.push(&block).unwrap()
    }

    fn deliver(&mut self, s: usize, bar: BarIndex, loud: f64, cell: &Cell, out: &mut RawSymbol) {
        let or = |knob: Knob, usual: f64| cell.get(&knob).copied().unwrap_or(usual);
        // The noise of a bar depends on nothing but symbol and bar, so that an edit moves nothing else.
        let mut common = Rng(bar.0 as u64 * 8 + 7);
        let mut own = Rng(bar.0 as u64 * 8 + s as u64);
        let mut noise = || normal(&mut own);
        let drift = -PULL * libm::log(self.price[s] / 100.0) / SIGMA;
        let usual = loud * (0.8 * normal(&mut common) + 0.6 * noise()) + if loud < 1.0 { 0.0 } else { drift };
        let (up, down) = (0.3 * loud * noise().abs(), 0.3 * loud * noise().abs());
        let open = self.price[s];
        let close = open * libm::exp(SIGMA * or(Knob::ReturnSigma, usual));
        self.price[s] = close;
        let volume = 1000.0 * libm::exp(0.3 * noise()) * or(Knob::VolumeX, 1.0);
        let share = or(Knob::TakerBuyShare, (0.5 + 0.05 * noise()).clamp(0.0, 1.0));
        let value = volume * (open + close) / 2.0;
        let perp = Bar {
            bar,
            open,
            high: open.max(close) * libm::exp(SIGMA * or(Knob::HighSigma, up)),
            low: open.min(close) * libm::exp(-SIGMA * or(Knob::LowSigma, down)),
            close,
            volume,
            quote_volume: value,
            trades: (volume / 3.0).round(),
            taker_buy_volume: volume * share,
            taker_buy_quote: value * share,
        };
        out.perp.push(perp);
        let below = |knob: Knob, usual: f64| libm::exp(-1e-4 * or(knob, usual));
        let spot = close * below(Knob::PerpOverSpotBps, noise());
        out.spot.push(Bar { open: spot, high: spot, low: spot, close: spot, ..perp });
        let index = close * below(Knob::PerpOverIndexBps, noise());
        let predicted = 1e-4 * or(Knob::PredictedBps, 1.0 + 0.4 * noise());
        out.mark.push(MarkBar {
            bar,
            mark: index * libm::exp(1e-4 * or(Knob::MarkOverIndexBps, noise())),
            index,
            premium: f64::NAN,
            predicted_rate: predicted,
        });
        let rate = 1e-4 * or(Knob::FundingBps, 1.0 + 0.4 * noise());
        if bar.close().0 % (8 * 3_600_000) == 0 {
            out.funding.push(FundingPrint::regular(bar.close(), rate, 8.0));
        }
        self.contracts[s] *= libm::exp(or(Knob::OiChange, 0.0005 * loud * noise()));
        let contracts = self.contracts[s];
        out.open_interest.push(OpenInterest { ts: bar.close(), contracts, value: contracts * close });
        let liquidated = 30.0 * (noise() - 0.5).max(0.0);
        let buyers = noise() > 0.0;
        let (long_usd, short_usd) = if buyers { (0.0, liquidated) } else { (liquidated, 0.0) };
        out.liquidations.push(LiquidationBar {
            bar,
            long_usd: or(Knob::LiqLongUsd, long_usd),
            short_usd: or(Knob::LiqShortUsd, short_usd),
            long_n: 1.0,
            short_n: 1.0,
            coverage: 1.0,
        });
        let spread = libm::exp(0.2 * noise()) * or(Knob::SpreadX, 1.0);
        let bid = 200_000.0 * libm::exp(0.2 * noise()) * or(Knob::BidDepthX, 1.0);
        let ask = 200_000.0 * libm::exp(0.2 * noise()) * or(Knob::AskDepthX, 1.0);
        out.quotes.push(QuoteBar {
            bar,
            spread_bps_mean: spread,
            spread_bps_max: 2.0 * spread * or(Knob::SpreadMaxX, 1.0),
            spread_bps_last: spread,
            bid_depth_usd: bid,
            ask_depth_usd: ask,
            imb_mean: (bid - ask) / (bid + ask),
            imb_last: (bid - ask) / (bid + ask),
            coverage: 1.0,
        });
        out.depth.push(BookDepth { ts: bar.close(), bid_1pct: 10.0 * bid, ask_1pct: 10.0 * ask });
    }
}

/// About normal.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
}
