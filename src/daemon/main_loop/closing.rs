//! A tick between its close and its commit.

use std::time::Duration;

use tokio::time::Instant;

use backtestd_core::clock::Clock;
use backtestd_core::market::{BarIndex, Ts};

/// Least real time that a tick waits for late bars, however fast the clock runs: a simulated exchange in accelerated
/// time still needs real milliseconds to send them.
const REAL_GRACE: Duration = Duration::from_millis(150);
/// Longest real time that asking REST for a missing bar may take.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// The tick being closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// Its bar.
    pub bar: BarIndex,
    /// When the grace period ends.
    pub grace_ends: Instant,
    /// The records at instants that are due are being fetched.
    pub instants_pending: bool,
    /// REST has been asked for the missing bars.
    pub asked: bool,
    /// REST has answered: whatever is still missing is a gap.
    pub answered: bool,
}

impl Closing {
    pub(super) fn begin(bar: BarIndex, grace_ms: i64, instants_pending: bool, clock: &dyn Clock) -> Self {
        let close = bar.close();
        let grace = clock.wall_until(Ts(close.0 + grace_ms)).max(REAL_GRACE);
        let grace_ends = Instant::now() + grace;
        Self { bar, grace_ends, instants_pending, asked: false, answered: false }
    }
}
