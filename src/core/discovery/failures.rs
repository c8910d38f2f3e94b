//! Gates judged one number at a time: what failed, with its number and its threshold.

use super::candidate::{Check, FailReason};

/// Collects what failed, and everything that was asked. An undefined metric fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failures(pub Vec<FailReason>, pub Vec<Check>);

impl Failures {
    /// Whether a metric reaches a threshold.
    pub fn at_least(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        let passed = value.is_some_and(|v| v >= threshold);
        self.record(passed, FailReason { gate, metric, value, relation: ">=", threshold })
    }

    /// Whether a metric exceeds a threshold.
    pub fn above(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        let passed = value.is_some_and(|v| v > threshold);
        self.record(passed, FailReason { gate, metric, value, relation: ">", threshold })
    }

    /// Whether a metric stays within a threshold.
    pub fn at_most(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        let passed = value.is_some_and(|v| v <= threshold);
        self.record(passed, FailReason { gate, metric, value, relation: "<=", threshold })
    }

    fn record(&mut self, passed: bool, reason: FailReason) -> bool {
        let FailReason { gate, metric, value, relation, threshold } = reason;
        self.1.push(Check { gate, metric, value, relation, threshold, passed });
        if !passed {
            self.0.push(reason);
        }
        passed
    }
}
