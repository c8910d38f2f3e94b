//! What the exchange takes as an order.

use crate::market::Symbol;
use std::collections::BTreeMap;

/// Steps and least values of orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Step of quantities by symbol; a symbol without one trades any quantity.
    pub step: BTreeMap<Symbol, f64>,
    /// Least value of an order, quote currency.
    pub min_notional: f64,
}

impl Filters {
    /// The notional of the largest order that is at most `notional`; 0 where it would be below the least value.
    #[must_use]
    pub fn fit(&self, symbol: &Symbol, notional: f64, price: f64) -> f64 {
        let fitted = match self.step.get(symbol) {
            // A hair above: a quantity that is a whole number of steps may lie just below it as a double.
            Some(step) => (notional / price / step + 1e-9).floor() * step * price,
            None => notional,
        };
        if fitted < self.min_notional { 0.0 } else { fitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_cut_to_whole_steps_and_a_small_order_is_none() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let step = BTreeMap::from([(symbol.clone(), 0.001)]);
        let filters = Filters { step, min_notional: 5.0 };
        // The prior system's pinned example: 1.2345 in steps of 0.001 is 1.234.
        assert!((filters.fit(&symbol, 1.2345 * 100.0, 100.0) - 123.4).abs() < 1e-9);
        assert!((filters.fit(&symbol, 0.3 * 100.0, 100.0) - 30.0).abs() < 1e-9, "0.3 is 300 whole steps");
        // And 0.05 at 50 is worth less than 5.
        assert_eq!(filters.fit(&symbol, 0.05 * 50.0, 50.0), 0.0);
        assert_eq!(Filters::default().fit(&symbol, 7.5, 3.0), 7.5);
    }
}
