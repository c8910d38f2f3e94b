//! Decimal numbers as the integers that NautilusTrader stores.

/// Decimal digits of the stored integers (high-precision builds, the default on Linux).
pub(super) const FIXED_DIGITS: u32 = 16;
/// Most decimals that a price or quantity may show.
const MOST_DECIMALS: u32 = 9;

/// A number that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{value} cannot be stored with {digits} decimals in 128 bits")]
pub struct FixedError {
    /// The number that cannot be stored.
    pub value: f64,
    /// The decimals asked for.
    pub digits: u32,
}

/// How many decimals a number shows when written as short as it can be, at most 9. A price of 0.1 + 0.2 ulps
/// shows them all; prices from an exchange show their tick.
#[must_use]
pub fn decimals(value: f64) -> u32 {
    let text = value.abs().to_string();
    let shown = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    u32::try_from(shown).unwrap_or(MOST_DECIMALS).min(MOST_DECIMALS)
}

/// `value` rounded to `digits` decimals, times 10^16. Exact: the factor 10^(16 - digits) is applied to an
/// integer.
///
/// # Errors
/// When the value is not finite or too large.
pub fn to_fixed(value: f64, digits: u32) -> Result<i128, FixedError> {
    let fail = FixedError { value, digits };
    let unit = 10_f64.powi(i32::try_from(digits).map_err(|_| fail)?);
    let scaled = (value * unit).round();
    // 2^53: beyond it a double no longer holds every integer.
    if !scaled.is_finite() || scaled.abs() > 9_007_199_254_740_992.0 {
        return Err(fail);
    }
    let factor = 10_i128.pow(FIXED_DIGITS.checked_sub(digits).ok_or(fail)?);
    (scaled as i128).checked_mul(factor).ok_or(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_stored_exactly_although_its_double_is_not() {
        assert_eq!(to_fixed(38_114.35, 2).unwrap(), 381_143_500_000_000_000_000);
        assert_eq!(to_fixed(0.1, 1).unwrap(), 1_000_000_000_000_000);
        assert_eq!(to_fixed(0.0, 0).unwrap(), 0);
        assert!(to_fixed(f64::NAN, 2).is_err());
        assert!(to_fixed(1e12, 9).is_err());
    }

    #[test]
    fn decimals_are_those_that_the_exchange_wrote() {
        assert_eq!(decimals(38_114.35), 2);
        assert_eq!(decimals(100.0), 0);
        assert_eq!(decimals(0.000_012_3), 7);
        assert_eq!(decimals(0.1 + 0.2), 9);
    }
}
