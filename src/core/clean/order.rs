//! The order of the raw log, asserted at the door of the joiner.

use crate::market::RawSymbol;

/// The law of [`RawSymbol`], in builds that assert: time rises in every list of bar-like records, and does not fall in the
/// lists of instants, where a caller may hand over one that it has handed over before.
pub(super) fn check_order(raw: &RawSymbol) {
    debug_assert!(raw.perp.is_sorted_by(|a, b| a.bar < b.bar), "perp bars are not in order");
    debug_assert!(raw.spot.is_sorted_by(|a, b| a.bar < b.bar), "spot bars are not in order");
    debug_assert!(raw.mark.is_sorted_by(|a, b| a.bar < b.bar), "marks are not in order");
    debug_assert!(raw.liquidations.is_sorted_by(|a, b| a.bar < b.bar), "liquidations are not in order");
    debug_assert!(raw.quotes.is_sorted_by(|a, b| a.bar < b.bar), "quotes are not in order");
    debug_assert!(raw.funding.is_sorted_by_key(|p| p.ts), "settlements are not in order");
    debug_assert!(raw.open_interest.is_sorted_by_key(|o| o.ts), "open interests are not in order");
    debug_assert!(raw.depth.is_sorted_by_key(|d| d.ts), "depths are not in order");
}
