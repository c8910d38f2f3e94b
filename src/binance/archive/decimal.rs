//! Exact decimal sums: five 1-minute volumes add up to the very number that the archive's 5-minute bar
//! prints, which a sum of binary fractions often misses in the last bit.

/// A sum of decimal numbers, exact while every term is plain decimal text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecimalSum {
    /// Sum in units of 10^-SCALE.
    units: i128,
    /// The same in floating point, the answer when a term was not plain decimal text.
    float: f64,
    inexact: bool,
}

/// Decimal places kept exactly; the venue prints at most 8, products of two such numbers at most 16.
const SCALE: usize = 18;

impl DecimalSum {
    /// Adds a term given as text and as the number it parses to.
    pub(super) fn add(&mut self, text: &str, value: f64) {
        self.float += value;
        match units(text).and_then(|u| self.units.checked_add(u)) {
            Some(sum) => self.units = sum,
            None => self.inexact = true,
        }
    }

    /// The double nearest to the exact sum.
    pub(super) fn value(&self) -> f64 {
        if self.inexact || self.float.is_nan() {
            return self.float;
        }
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = SCALE + 1);
        let (whole, fraction) = digits.split_at(digits.len() - SCALE);
        format!("{sign}{whole}.{fraction}").parse().unwrap_or(self.float)
    }
}

fn units(text: &str) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || whole.len() > 18 || fraction.len() > SCALE {
        return None;
    }
    let mut out: i128 = 0;
    let padding = std::iter::repeat_n(b'0', SCALE - fraction.len());
    for byte in whole.bytes().chain(fraction.bytes()).chain(padding) {
        if !byte.is_ascii_digit() {
            return None;
        }
        out = out * 10 + i128::from(byte - b'0');
    }
    Some(if negative { -out } else { out })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_decimals_is_the_double_that_the_decimal_sum_parses_to() {
        let mut sum = DecimalSum::default();
        let mut naive = 0.0;
        for text in ["0.1", "0.1", "0.1"] {
            let value: f64 = text.parse().unwrap();
            sum.add(text, value);
            naive += value;
        }
        assert_eq!(sum.value(), 0.3);
        assert_ne!(naive, 0.3, "the example no longer shows the difference");
    }

    #[test]
    fn text_that_is_not_plain_decimal_falls_back_to_floating_point() {
        let mut sum = DecimalSum::default();
        sum.add("1e3", 1000.0);
        sum.add("0.5", 0.5);
        assert_eq!(sum.value(), 1000.5);
    }
}
