//! The order of the raw log, asserted at the door of the joiner.

use crate::market::{Kind, RawSymbol, Rows};

/// The law of [`RawSymbol`], in builds that assert: time rises in every list of bar-like records, and does
/// not fall in the lists of instants, where a caller may hand over one that it has handed over before.
pub(super) fn check_order(raw: &RawSymbol) {
    for kind in Kind::ALL {
        debug_assert!(raw.rows(*kind).is_ordered(kind.is_bar_like()), "{} are not in order", kind.name());
    }
    debug_assert!(raw.spot.is_ordered(true), "spot bars are not in order");
}
