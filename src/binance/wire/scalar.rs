//! A JSON scalar as it stands on the wire, read into numbers, times and names only when its field is known,
//! so that every error can say which field held what.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::WireError;
use backtestd_core::market::{Symbol, Ts};

/// Times at or above this are microseconds (in milliseconds it would be the year 5138).
const MICROSECONDS_FROM: i64 = 100_000_000_000_000;

/// A string, an integer, a truth value or null. Decimals travel as strings; a JSON float is refused, because
/// reading it could change its last bit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Bool(bool),
    Null,
}

impl Scalar<'_> {
    /// As messages show it.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Null => "null".to_owned(),
        }
    }

    /// Any finite decimal.
    pub(crate) fn decimal(&self, what: &'static str, field: &'static str) -> Result<f64, WireError> {
        let number = match self {
            // One documented sample has a trailing blank: "0 ".
            Self::Text(text) => text.trim().parse::<f64>().ok().filter(|x| x.is_finite()),
            Self::Int(number) => Some(*number as f64),
            Self::Bool(_) | Self::Null => None,
        };
        number.ok_or_else(|| WireError::field(what, field, self.shown(), "a finite decimal number"))
    }

    /// A decimal that cannot be negative: price, quantity, value, count.
    pub(crate) fn amount(&self, what: &'static str, field: &'static str) -> Result<f64, WireError> {
        let number = self.decimal(what, field)?;
        if number >= 0.0 {
            return Ok(number);
        }
        Err(WireError::field(what, field, self.shown(), "a number that is not negative"))
    }

    /// A decimal, or NaN where the exchange leaves the text empty.
    pub(crate) fn decimal_or_unknown(
        &self,
        what: &'static str,
        field: &'static str,
    ) -> Result<f64, WireError> {
        match self {
            Self::Null => Ok(f64::NAN),
            Self::Text(text) if text.trim().is_empty() => Ok(f64::NAN),
            _ => self.decimal(what, field),
        }
    }

    /// An integer, as a number or as text.
    pub(crate) fn integer(&self, what: &'static str, field: &'static str) -> Result<i64, WireError> {
        let number = match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Bool(_) | Self::Null => None,
        };
        number.ok_or_else(|| WireError::field(what, field, self.shown(), "an integer"))
    }

    /// An instant in milliseconds or microseconds, as a number or as text.
    pub(crate) fn time(&self, what: &'static str, field: &'static str) -> Result<Ts, WireError> {
        let number = self.integer(what, field)?;
        if number < 0 {
            let expected = "a time in milliseconds since the epoch";
            return Err(WireError::field(what, field, self.shown(), expected));
        }
        Ok(Ts(if number >= MICROSECONDS_FROM { number / 1000 } else { number }))
    }

    /// An instant, with 0 and null for "none".
    pub(crate) fn time_if_any(
        &self,
        what: &'static str,
        field: &'static str,
    ) -> Result<Option<Ts>, WireError> {
        match self {
            Self::Null => Ok(None),
            _ => Ok(Some(self.time(what, field)?).filter(|ts| ts.0 > 0)),
        }
    }

    /// A truth value.
    pub(crate) fn truth(&self, what: &'static str, field: &'static str) -> Result<bool, WireError> {
        match self {
            Self::Bool(truth) => Ok(*truth),
            _ => Err(WireError::field(what, field, self.shown(), "true or false")),
        }
    }

    /// The text of a string; any other scalar is an error.
    pub(crate) fn text(&self, what: &'static str, field: &'static str) -> Result<&str, WireError> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(WireError::field(what, field, self.shown(), "text")),
        }
    }

    /// A symbol name.
    pub(crate) fn symbol(&self, what: &'static str, field: &'static str) -> Result<Symbol, WireError> {
        Symbol::new(self.text(what, field)?)
            .map_err(|_| WireError::field(what, field, self.shown(), "a symbol such as BTCUSDT"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, an integer, true, false or null")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Int(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                i64::try_from(number).map(Scalar::Int).map_err(E::custom)
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Bool(truth))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Null)
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn decimals_are_read_to_the_last_bit() {
        for text in ["83896.40", "0.00003936", "9615538.66780", "4529764", "0.1", "1e-8"] {
            let json = format!("\"{text}\"");
            let read = scalar(&json).decimal("t", "p").unwrap();
            assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
        assert_eq!(scalar("\"0 \"").decimal("t", "v").unwrap(), 0.0);
    }

    #[test]
    fn what_is_no_finite_decimal_is_refused_with_field_and_value() {
        for (json, shown) in [("\"NaN\"", "NaN"), ("\"inf\"", "inf"), ("\"\"", ""), ("null", "null")] {
            let error = scalar(json).decimal("kline frame", "k.o").unwrap_err().to_string();
            assert_eq!(
                error,
                format!("kline frame: field `k.o` is {shown:?}, expected a finite decimal number")
            );
        }
        assert!(scalar("\"-1\"").amount("t", "q").unwrap_err().to_string().contains("not negative"));
    }

    #[test]
    fn an_empty_rate_is_unknown() {
        assert!(scalar("\"\"").decimal_or_unknown("t", "r").unwrap().is_nan());
        assert!(scalar("null").decimal_or_unknown("t", "r").unwrap().is_nan());
        assert_eq!(scalar("\"0.0\"").decimal_or_unknown("t", "r").unwrap(), 0.0);
    }

    #[test]
    fn times_come_as_numbers_or_text_in_milliseconds_or_microseconds() {
        for json in ["1791091007473", "\"1791091007473\"", "1791091007473123"] {
            assert_eq!(scalar(json).time("t", "E").unwrap(), Ts(1_791_091_007_473));
        }
        assert_eq!(scalar("0").time_if_any("t", "T").unwrap(), None);
        assert!(scalar("-5").time("t", "E").is_err());
    }

    #[test]
    fn a_float_literal_is_refused_because_reading_it_may_lose_a_bit() {
        assert!(serde_json::from_str::<Scalar<'_>>("0.1").is_err());
    }

    #[test]
    fn symbols_need_not_be_ascii() {
        assert_eq!(scalar("\"币安人生USDT\"").symbol("t", "s").unwrap().as_str(), "币安人生USDT");
        assert_eq!(scalar("\"\\u5e01USDT\"").symbol("t", "s").unwrap().as_str(), "币USDT");
        assert!(scalar("\"BTC-USDT\"").symbol("t", "s").is_err());
    }
}
