//! A made-up market with every source column, regimes, gaps and a listed-later column: enough to exercise the
//! shipped specs, and nothing about prices can be learned from it.

use backtestd_core::market::{BARS_PER_DAY, BarIndex, Source, Symbol, SymbolColumns, TickBlock};

/// splitmix64, folded to about normal.
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    fn log_normal(&mut self, sd: f64) -> f64 {
        libm::exp(sd * self.normal())
    }
}

pub(super) fn symbols(count: usize) -> Vec<Symbol> {
    let names = [
        "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT", "LINKUSDT",
        "AVAXUSDT",
    ];
    names.iter().take(count).filter_map(|name| Symbol::new(name).ok()).collect()
}

/// `gaps`: about one bar in 400 is missing.
pub(super) fn market(first: BarIndex, rows: usize, symbols: usize, gaps: bool) -> TickBlock {
    let columns = (0..symbols).map(|s| symbol(first, rows, s as u64 + 1, gaps)).collect();
    TickBlock { first, rows, symbols: columns }
}

fn symbol(first: BarIndex, rows: usize, seed: u64, gaps: bool) -> SymbolColumns {
    let mut noise = Noise(seed * 7919);
    // All symbols share the first part of every move.
    let mut common = Noise(1);
    let mut columns: Vec<Vec<f64>> = Source::ALL.iter().map(|_| Vec::with_capacity(rows)).collect();
    let (mut price, mut heat, mut oi, mut carry, mut basis) = (100.0, 0.0, 1e6, 0.0, 0.0);
    for t in 0..rows {
        let bar = first.0 + t as i64;
        heat = 0.99 * heat + 0.1 * noise.normal();
        carry = 0.999 * carry + 0.02 * noise.normal();
        basis = 0.95 * basis + 0.0001 * noise.normal();
        let sd = 0.001 * libm::exp(heat);
        let jump = if noise.unit() < 0.004 { 6.0 } else { 1.0 };
        let open = price;
        price *= libm::exp(sd * jump * (0.6 * common.normal() + 0.8 * noise.normal()));
        let volume = 1000.0 * jump * libm::exp(0.5 * heat) * noise.log_normal(0.4);
        let share = 0.5 + 0.12 * noise.normal().clamp(-4.0, 4.0);
        let spread = libm::exp(0.3 * heat) * jump.sqrt() * noise.log_normal(0.2);
        let depth = 1e5 * libm::exp(-0.3 * heat) / jump;
        oi *= libm::exp(0.002 * noise.normal() - if jump > 1.0 { 0.01 } else { 0.0 });
        let minute = bar * 5;
        let gap = gaps && noise.unit() < 0.0025;
        for source in Source::ALL {
            let value = match source {
                Source::Open | Source::SpotOpen => open,
                Source::High | Source::SpotHigh => open.max(price) * (1.0 + sd * noise.unit()),
                Source::Low | Source::SpotLow => open.min(price) * (1.0 - sd * noise.unit()),
                Source::Close => price,
                Source::SpotClose => price * (1.0 + basis),
                Source::Mark => price * (1.0 + 0.0001 * noise.normal()),
                Source::Index => price * (1.0 + 0.5 * basis + 0.0001 * noise.normal()),
                Source::Premium => 0.5 * basis,
                Source::Volume | Source::SpotVolume => volume,
                Source::QuoteVolume | Source::SpotQuoteVolume => volume * price,
                Source::Trades | Source::SpotTrades => (volume / 3.0).round(),
                Source::TakerBuyVolume | Source::SpotTakerBuyVolume => volume * share,
                Source::TakerBuyQuote | Source::SpotTakerBuyQuote => volume * price * share,
                Source::FundingRate => (1e-4 * (1.0 + carry) * 1e6).round() / 1e6,
                Source::IsFundingPrint => f64::from(u8::from(bar.rem_euclid(96) == 0)),
                Source::FundingIntervalH => 8.0,
                Source::InterestRate8h => 1e-4,
                Source::FundingPredBps => 1.0 + carry,
                Source::Oi => oi,
                Source::OiValue => oi * price,
                Source::LiqLongUsd | Source::LiqShortUsd => (1e4 * jump * noise.normal()).max(0.0),
                Source::LiqLongN | Source::LiqShortN | Source::LiqCoverage | Source::TobCoverage => 1.0,
                Source::SpreadBpsMean | Source::SpreadBpsLast => spread,
                Source::SpreadBpsMax => 2.0 * spread,
                Source::BidDepthUsd | Source::AskDepthUsd => depth * noise.log_normal(0.3),
                Source::ImbMean | Source::ImbLast => 0.1 * noise.normal(),
                Source::DepthBid1pct | Source::DepthAsk1pct => 10.0 * depth * noise.log_normal(0.2),
                Source::TickSize => 0.01,
                Source::TakerFeeBps => {
                    if t > rows / 2 {
                        4.5
                    } else {
                        5.0
                    }
                }
                Source::MakerFeeBps => 2.0,
                Source::MinutesSinceSessionOpens | Source::MinutesSinceFunding => (minute % 480) as f64,
                Source::MinutesToSessionOpens | Source::MinutesToFunding => (-minute).rem_euclid(480) as f64,
                Source::MinutesSinceSessionCloses => ((minute + 90) % 480) as f64,
                Source::MinutesToSessionCloses => (-minute - 90).rem_euclid(480) as f64,
                Source::MinutesSinceMacro => (minute % (5 * 5 * BARS_PER_DAY)) as f64,
                Source::MinutesToMacro => (-minute).rem_euclid(5 * 5 * BARS_PER_DAY) as f64,
                Source::LsRatioTopAccounts | Source::LsRatioTopPositions => libm::exp(carry),
                Source::LsRatioAccounts | Source::TakerLsRatio => share / (1.0 - share),
            };
            columns[source.index()].push(if gap { f64::NAN } else { value });
        }
    }
    let mut out = SymbolColumns::new();
    for (source, column) in Source::ALL.iter().zip(columns) {
        out.set(*source, column);
    }
    out
}
