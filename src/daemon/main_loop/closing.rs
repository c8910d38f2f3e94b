//! A tick between its close and its commit.

use std::time::Duration;

use tokio::time::Instant;

use backtestd_core::clock::Clock;
use backtestd_core::market::{BarIndex, Ts};

/// Least real time that a tick waits for late bars, however fast the clock runs: a simulated exchange in
/// accelerated time still needs real milliseconds to send them.
const REAL_GRACE: Duration = Duration::from_millis(150);
/// Longest real time that asking REST for a missing bar may take.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// How long a tick that has all its bars waits for their marks: committed with the stream's, they would be
/// computed again.
const MARKS_WITHIN_MS: i64 = 1500;

/// The tick being closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// Bar that the tick closes.
    pub bar: BarIndex,
    /// When the grace period ends.
    pub grace_ends: Instant,
    /// The marks of the bar are being asked for: few enough that the tick waits for them a moment.
    pub marks_pending: bool,
    /// Until when it waits for them.
    pub marks_until: Instant,
    /// REST has been asked for the missing bars.
    pub asked: bool,
    /// REST has answered: whatever is still missing is a gap.
    pub answered: bool,
}

impl Closing {
    pub(super) fn begin(bar: BarIndex, grace_ms: i64, marks_pending: bool, clock: &dyn Clock) -> Self {
        let after_close = |ms: i64| Instant::now() + clock.wall_until(Ts(bar.close().0 + ms)).max(REAL_GRACE);
        let grace_ends = after_close(grace_ms);
        let marks_until = after_close(grace_ms.min(MARKS_WITHIN_MS));
        Self { bar, grace_ends, marks_pending, marks_until, asked: false, answered: false }
    }

    /// Whether a tick that has all its bars waits for marks.
    pub(super) fn awaits_marks(&self) -> bool {
        self.marks_pending && Instant::now() < self.marks_until
    }
}
