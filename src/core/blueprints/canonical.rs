//! Canonical JSON: one spelling per value, so that content can be hashed and compared as text.
//!
//! Keys sorted by their bytes, no white space, UTF-8 unescaped except for what JSON must escape. Integers are
//! written in full; other numbers in the shortest form that reads back to the same double, spelled as Python
//! does (`4.0`, `21.4`, `1.4e-05`), so that `json.dumps(x, sort_keys=True, separators=(",", ":"),
//! ensure_ascii=False)` gives the same bytes. Minus zero is zero, and what is not finite is null.

use crate::market::hex;
use serde::Serialize;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// The canonical text of a value. Something that has no JSON form (a map with keys that are not text) becomes
/// `null`.
#[must_use]
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    let mut out = String::with_capacity(1024);
    write(&value, &mut out);
    out
}

/// SHA-256, lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            // Sorted here and not left to the map type: a dependency's feature may switch that to insertion
            // order.
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Number(number) => write_number(number, out),
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

fn write_number(number: &Number, out: &mut String) {
    match number.as_f64() {
        Some(float) if number.is_f64() => write_float(float, out),
        _ => out.push_str(&number.to_string()),
    }
}

/// Fixed notation from 1e-4 to below 1e16, else scientific with at least two exponent digits.
fn write_float(float: f64, out: &mut String) {
    if float == 0.0 {
        out.push_str("0.0");
        return;
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        // `{:?}` switches to scientific inside this range, `{}` never does and omits a whole number's
        // fraction.
        let fixed = float.to_string();
        out.push_str(&fixed);
        if !fixed.contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{mantissa}e{sign}{:02}", exponent.abs()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_numbers_have_one_spelling() {
        let value =
            json!({"b": {"z": -0.0, "a": 4.0}, "a": [1, 21.4, 1.4e-05, 1e-4, 1e300, "é\n\"", null, true]});
        assert_eq!(
            canonical_json(&value),
            r#"{"a":[1,21.4,1.4e-05,0.0001,1e+300,"é\n\"",null,true],"b":{"a":4.0,"z":0.0}}"#
        );
    }

    #[test]
    fn numbers_are_spelled_as_python_spells_them() {
        let spelled = |x: f64| canonical_json(&x);
        for (value, text) in [
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (-0.000_123, "-0.000123"),
            (0.000_012_3, "1.23e-05"),
            (0.1 + 0.2, "0.30000000000000004"),
            (5e-324, "5e-324"),
            (16.0, "16.0"),
        ] {
            assert_eq!(spelled(value), text);
        }
    }

    #[test]
    fn what_is_not_finite_is_null() {
        assert_eq!(canonical_json(&[f64::NAN, f64::INFINITY]), "[null,null]");
    }

    #[test]
    fn the_hash_is_the_standard_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
