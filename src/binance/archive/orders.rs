//! Liquidation orders behind the sum of a bar, so that captures of the same bar join without loss: what one
//! recorder saw and another did not is added, what both saw counts once.

use std::collections::BTreeSet;

use backtestd_core::market::{BarIndex, LiquidationBar, Ts};

/// The orders of one symbol in one bar.
#[derive(Clone, Debug, PartialEq)]
pub struct BarOrders {
    /// The bar that it belongs to.
    pub bar: BarIndex,
    /// Share of the bar that a capture vouches for, the largest of all; NaN: none does.
    pub coverage: f64,
    orders: BTreeSet<Order>,
}

/// What makes an order itself: bits of the numbers, so that equal orders compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    pub ts: Ts,
    /// Whether a long was liquidated.
    pub is_long: bool,
    pub average: u64,
    pub filled: u64,
    pub price: u64,
}

/// Bytes of an order.
const ROW: usize = 8 + 1 + 3 * 8;

impl BarOrders {
    /// A bar without orders.
    #[must_use]
    pub const fn new(bar: BarIndex, coverage: f64) -> Self {
        Self { bar, coverage, orders: BTreeSet::new() }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    pub(super) fn insert(&mut self, order: Order) {
        self.orders.insert(order);
    }

    /// Takes over the orders of another capture.
    pub fn union(&mut self, other: &Self) {
        self.orders.extend(&other.orders);
        self.coverage = self.coverage.max(other.coverage);
    }

    /// Value and number by side, summed in the order of time.
    #[must_use]
    pub fn sum(&self) -> LiquidationBar {
        let mut out = LiquidationBar {
            bar: self.bar,
            long_usd: 0.0,
            short_usd: 0.0,
            long_n: 0.0,
            short_n: 0.0,
            coverage: self.coverage,
        };
        for order in &self.orders {
            let usd = f64::from_bits(order.average) * f64::from_bits(order.filled);
            let (sum, count) = if order.is_long {
                (&mut out.long_usd, &mut out.long_n)
            } else {
                (&mut out.short_usd, &mut out.short_n)
            };
            *sum += usd;
            *count += 1.0;
        }
        out
    }

    /// Bytes to keep: the coverage, then each order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.coverage.to_le_bytes().to_vec();
        for order in &self.orders {
            out.extend_from_slice(&order.ts.0.to_le_bytes());
            out.push(u8::from(order.is_long));
            for bits in [order.average, order.filled, order.price] {
                out.extend_from_slice(&bits.to_le_bytes());
            }
        }
        out
    }

    /// The inverse of [`BarOrders::to_bytes`]; `None` when the bytes are no orders.
    #[must_use]
    pub fn from_bytes(bar: BarIndex, bytes: &[u8]) -> Option<Self> {
        let (coverage, rows) = bytes.split_first_chunk::<8>()?;
        let mut out = Self::new(bar, f64::from_le_bytes(*coverage));
        if rows.len() % ROW != 0 {
            return None;
        }
        for row in rows.as_chunks::<ROW>().0 {
            let (ts, rest) = row.split_first_chunk::<8>()?;
            let (side, numbers) = rest.split_first()?;
            let [average, filled, price] = *numbers.as_chunks::<8>().0 else { return None };
            out.insert(Order {
                ts: Ts(i64::from_le_bytes(*ts)),
                is_long: *side == 1,
                average: u64::from_le_bytes(average),
                filled: u64::from_le_bytes(filled),
                price: u64::from_le_bytes(price),
            });
        }
        Some(out)
    }
}
