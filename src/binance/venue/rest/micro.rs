//! Times of spot answers in microseconds, for who asks for them with `X-MBX-TIME-UNIT: MICROSECOND`.

use axum::http::HeaderMap;
use serde_json::Value;

/// The header, and what it says of an answer in microseconds.
const HEADER: &str = "x-mbx-time-unit";
const MICROSECOND: &str = "MICROSECOND";

/// Places of the times in a row of klines: its open, and its close, the last moment of the bar.
const OPEN: usize = 0;
const CLOSE: usize = 6;
/// Fields that hold an instant.
const INSTANTS: [&str; 6] = ["T", "time", "serverTime", "openTime", "updateTime", "E"];
/// The last moment of a window, as the close of a kline is.
const LAST: &str = "closeTime";

/// Whether a request asks for microseconds.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(HEADER).is_some_and(|unit| unit.as_bytes().eq_ignore_ascii_case(MICROSECOND.as_bytes()))
}

/// The answer with its times in microseconds. What is no JSON is left as it is.
pub(super) fn in_microseconds(text: String) -> String {
    let Ok(mut answer) = serde_json::from_str::<Value>(&text) else { return text };
    refine(&mut answer);
    answer.to_string()
}

fn refine(value: &mut Value) {
    match value {
        Value::Array(items) if items.first().is_some_and(Value::is_i64) => {
            for (at, rest) in [(OPEN, 0), (CLOSE, 999)] {
                items.get_mut(at).into_iter().for_each(|time| times_thousand(time, rest));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refine),
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    LAST => times_thousand(field, 999),
                    name if INSTANTS.contains(&name) => times_thousand(field, 0),
                    _ => refine(field),
                }
            }
        }
        _ => {}
    }
}

fn times_thousand(time: &mut Value, rest: i64) {
    if let Some(ms) = time.as_i64() {
        *time = Value::from(ms * 1000 + rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rows_and_fields_are_a_thousand_times_as_large_and_nothing_else_is() {
        let of = |text: &str| in_microseconds(text.to_owned());
        assert_eq!(of(r#"[[5,"1",2,"3",4,5,299999,"6"]]"#), r#"[[5000,"1",2,"3",4,5,299999999,"6"]]"#);
        assert_eq!(of(r#"{"serverTime":7}"#), r#"{"serverTime":7000}"#);
        let trades = of(r#"[{"T":4,"a":9,"p":"1"}]"#);
        assert_eq!(trades, r#"[{"T":4000,"a":9,"p":"1"}]"#);
        assert_eq!(of("<html>"), "<html>");
    }
}
