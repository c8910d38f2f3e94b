//! Times of spot frames in microseconds, for who asks for `timeUnit=MICROSECOND`.

/// The frame with its event time, trade time and (of a kline) open time in microseconds. Texts of frames are
/// our own: no value holds a quoted key.
pub(super) fn in_microseconds(json: &str) -> String {
    let is_kline = json.contains("\"e\":\"kline\"");
    let keys: &[&str] = if is_kline { &["\"E\":", "\"T\":", "\"t\":"] } else { &["\"E\":", "\"T\":"] };
    let mut text = json.to_owned();
    for key in keys {
        let mut from = 0;
        while let Some(found) = text[from..].find(key) {
            let begin = from + found + key.len();
            let digits = text[begin..].bytes().take_while(u8::is_ascii_digit).count();
            from = begin + digits;
            if digits > 0 {
                // A bar that ends a millisecond before the next one ends a microsecond before it.
                let end = if *key == "\"T\":" && is_kline { "999" } else { "000" };
                text.insert_str(from, end);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_thousand_times_as_large_and_ids_are_not() {
        let trade = in_microseconds(r#"{"e":"trade","E":5,"T":4,"s":"X","t":77,"p":"1"}"#);
        assert_eq!(trade, r#"{"e":"trade","E":5000,"T":4000,"s":"X","t":77,"p":"1"}"#);
        let kline = in_microseconds(r#"{"e":"kline","E":5,"k":{"t":0,"T":299999,"s":"X","f":3}}"#);
        assert_eq!(kline, r#"{"e":"kline","E":5000,"k":{"t":0000,"T":299999999,"s":"X","f":3}}"#);
    }
}
