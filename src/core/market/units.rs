//! Units that several rooms speak, and bytes as text.

use std::fmt::Write as _;

/// Basis points in a unit of return.
pub const BPS: f64 = 1e4;
/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;

/// Bytes in lower-case hexadecimal digits, as hashes are written.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_two_digits() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
