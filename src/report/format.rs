//! Text and numbers for people.

use std::fmt::{Display, from_fn};

/// A length or a place in a drawing, to a tenth of its unit.
pub(super) fn px(value: f64) -> impl Display {
    from_fn(move |f| write!(f, "{value:.1}"))
}

/// `12345678` as `12,345,678`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// With `decimals` digits after the point and a true minus sign; a dash where undefined.
pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    match value.filter(|v| v.is_finite()) {
        None => "–".to_owned(),
        Some(v) => {
            let text = format!("{:.decimals$}", v.abs());
            let is_zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
            if v < 0.0 && !is_zero { format!("−{text}") } else { text }
        }
    }
}

/// As [`number`], with a plus sign where positive.
pub(super) fn signed(value: Option<f64>, decimals: usize) -> String {
    let text = number(value, decimals);
    if value.is_some_and(|v| v > 0.0) { format!("+{text}") } else { text }
}

/// A probability: four digits, and below that as a power.
pub(super) fn probability(value: f64) -> String {
    match value {
        v if v.is_nan() => "–".to_owned(),
        v if v >= 0.0001 || v == 0.0 => format!("{v:.4}"),
        v => format!("{v:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(thousands(12_345_678), "12,345,678");
        assert_eq!(thousands(999), "999");
        assert_eq!(number(Some(-1.25), 1), "−1.2");
        assert_eq!(number(Some(-0.01), 1), "0.0");
        assert_eq!(signed(Some(3.0), 1), "+3.0");
        assert_eq!(number(None, 1), "–");
        assert_eq!(probability(0.000_012), "1.2e-5");
    }
}
