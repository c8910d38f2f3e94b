//! What time it is, as an argument. The core only knows the question; the shell owns every clock that answers
//! it.

use std::time::Duration;

use crate::market::Ts;

/// What time it is for this process: real, or virtual and accelerated (the simulated exchange).
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current instant.
    fn now(&self) -> Ts;

    /// How long to wait in real time until the clock shows `at`; zero if it already does.
    fn wall_until(&self, at: Ts) -> Duration;
}
