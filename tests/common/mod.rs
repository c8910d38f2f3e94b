//! A small seeded market for tests: nothing but raw records, with gaps, missing settlements and late
//! listings.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod recorded;

use backtestd_core::market::{
    Bar, BarIndex, FundingPrint, LiquidationBar, LongShortRatio, MarkBar, OpenInterest, QuoteBar, RawBlock,
    RawSymbol, Source, Symbol,
};

/// The repository's own specs.
pub(crate) fn spec_dir() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("spec")
}

/// splitmix64: small, seeded, good enough to shake a test market.
pub(crate) struct Rng(pub u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal, heavy enough in the tails for shocks to happen.
    pub(crate) fn noise(&mut self) -> f64 {
        let sum: f64 = (0..6).map(|_| self.unit()).sum::<f64>() - 3.0;
        let jump = if self.unit() < 0.004 { 6.0 } else { 1.0 };
        sum * std::f64::consts::SQRT_2 * jump
    }
}

pub(crate) const START: BarIndex = BarIndex(5_680_800);

pub(crate) fn symbols(n: usize) -> Vec<Symbol> {
    ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT"][..n].iter().map(|s| Symbol::new(s).unwrap()).collect()
}

/// Every source that [`market`] delivers.
pub(crate) fn collected() -> Vec<Source> {
    Source::ALL.to_vec()
}

/// `rows` bars of `n` correlated symbols from [`START`], with gaps of 1, 3 and 40 bars, a missing settlement,
/// unknown open interest, spot with holes, quotes with poor coverage, liquidations and mark prices.
pub(crate) fn market(seed: u64, n: usize, rows: usize) -> RawBlock {
    let mut rng = Rng(seed);
    let mut block = RawBlock::empty(START, rows, n);
    let mut vol = vec![0.001; n];
    let mut price: Vec<f64> = (0..n).map(|s| 100.0 * (s + 1) as f64).collect();
    let mut oi: Vec<f64> = vec![50_000.0; n];
    let mut basis = vec![0.0; n];
    for row in 0..rows {
        let bar = START + row as i64;
        let common = rng.noise();
        let tod = 1.0 + 0.6 * (std::f64::consts::TAU * (bar.0 % 288) as f64 / 288.0).sin();
        for s in 0..n {
            vol[s] = (vol[s] * libm::exp(0.06 * rng.noise())).clamp(0.0003, 0.004);
            let ret = vol[s] * tod * (0.7 * common + 0.7 * rng.noise());
            let open = price[s];
            let close = open * libm::exp(ret);
            let wiggle = vol[s] * tod * rng.unit();
            let high = open.max(close) * (1.0 + wiggle * rng.unit());
            let low = open.min(close) * (1.0 - wiggle * rng.unit());
            price[s] = close;
            let volume = 1000.0 * tod * libm::exp(0.5 * rng.noise()) * (1.0 + 300.0 * ret.abs());
            let share = (0.5 + 40.0 * ret + 0.1 * rng.noise()).clamp(0.02, 0.98);
            let vwap = (open + close) / 2.0;
            let full = Bar {
                bar,
                open,
                high,
                low,
                close,
                volume,
                quote_volume: volume * vwap,
                trades: (volume / 3.0).round(),
                taker_buy_volume: volume * share,
                taker_buy_quote: volume * share * vwap,
            };
            let gap = row % 1777 == 700 + s
                || (4000..4003).contains(&row)
                || (s == 1 && (6100..6140).contains(&row));
            let out: &mut RawSymbol = &mut block.symbols[s];
            if !gap {
                out.perp.push(full);
            }
            basis[s] = 0.97 * basis[s] + 0.4 * rng.noise();
            if row % 911 != 17 {
                let k = 1.0 - basis[s] / 10_000.0;
                out.spot.push(Bar { open: open * k, high: high * k, low: low * k, close: close * k, ..full });
            }
            oi[s] = (oi[s] * libm::exp(0.0015 * rng.noise())).clamp(10_000.0, 200_000.0);
            let contracts = if row % 1300 == 9 { f64::NAN } else { oi[s] };
            out.open_interest.push(OpenInterest { ts: bar.close(), contracts, value: contracts * close });
            // Made of what is drawn anyway, so that the rest of the market stays what it was.
            out.long_short_ratio.push(LongShortRatio {
                ts: bar.close(),
                top_accounts: libm::exp(basis[s] / 10.0),
                top_positions: if row % 1300 == 9 { f64::NAN } else { 1.0 + share },
                accounts: 2.0 - share,
                taker_volume: share / (1.0 - share),
            });
            if bar.close().0 % (8 * 3_600_000) == 0 && row % 5000 < 4900 {
                let rate = 0.0001 + 0.0002 * rng.noise() + basis[s] / 100_000.0;
                out.funding.push(FundingPrint::regular(bar.close(), rate, 8.0));
            }
            let index = close * (1.0 - basis[s] / 20_000.0);
            out.mark.push(MarkBar {
                bar,
                mark: close * (1.0 + rng.noise() / 50_000.0),
                index,
                premium: f64::NAN,
                predicted_rate: f64::NAN,
            });
            let liquidated = if ret.abs() > 3.0 * vol[s] { volume * close * 0.01 } else { 0.0 };
            out.liquidations.push(LiquidationBar {
                bar,
                long_usd: if ret < 0.0 { liquidated } else { 0.0 },
                short_usd: if ret > 0.0 { liquidated } else { 0.0 },
                long_n: f64::from(u8::from(ret < 0.0 && liquidated > 0.0)),
                short_n: f64::from(u8::from(ret > 0.0 && liquidated > 0.0)),
                coverage: if row % 600 == 3 { 0.5 } else { 1.0 },
            });
            let spread = 1.0 * libm::exp(0.4 * rng.noise()) * (1.0 + 400.0 * ret.abs());
            let depth = 60_000.0 * libm::exp(0.3 * rng.noise()) / (1.0 + 200.0 * ret.abs());
            out.quotes.push(QuoteBar {
                bar,
                spread_bps_mean: spread,
                spread_bps_max: spread * (1.5 + rng.unit()),
                spread_bps_last: spread,
                bid_depth_usd: depth * (1.0 - share + 0.5),
                ask_depth_usd: depth * (share + 0.5),
                imb_mean: 0.5 - share,
                imb_last: 0.5 - share,
                coverage: if row % 700 == 5 { 0.4 } else { 1.0 },
            });
        }
    }
    block
}

/// The rows `[from, to)` of a block, by the block's own rule of who belongs where.
pub(crate) fn slice(whole: &RawBlock, from: usize, to: usize) -> RawBlock {
    let first = whole.first + from as i64;
    let last = whole.first + to as i64;
    let symbols = whole
        .symbols
        .iter()
        .map(|s| RawSymbol {
            perp: between(&s.perp, |x| x.bar.0, first.0, last.0),
            spot: between(&s.spot, |x| x.bar.0, first.0, last.0),
            funding: between(&s.funding, |x| x.ts.0 - 1, first.open().0, last.open().0),
            open_interest: between(&s.open_interest, |x| x.ts.0 - 1, first.open().0, last.open().0),
            mark: between(&s.mark, |x| x.bar.0, first.0, last.0),
            liquidations: between(&s.liquidations, |x| x.bar.0, first.0, last.0),
            quotes: between(&s.quotes, |x| x.bar.0, first.0, last.0),
            long_short_ratio: between(&s.long_short_ratio, |x| x.ts.0 - 1, first.open().0, last.open().0),
            depth: between(&s.depth, |x| x.ts.0 - 1, first.open().0, last.open().0),
        })
        .collect();
    RawBlock { first, rows: to - from, symbols }
}

/// The sorted records whose key is in `[from, to)`.
fn between<T: Copy>(all: &[T], key: impl Fn(&T) -> i64, from: i64, to: i64) -> Vec<T> {
    let start = all.partition_point(|x| key(x) < from);
    let end = all.partition_point(|x| key(x) < to);
    all[start..end].to_vec()
}
