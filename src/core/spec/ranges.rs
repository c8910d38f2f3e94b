//! Values of a settings file outside the ranges that the formulas need: all of them at once.

use std::fmt;

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {field} is {value}, but must be {rule}")]
pub struct OutOfRange {
    /// The file, below the spec directory.
    pub file: &'static str,
    /// Path of the key, as in `evidence.bet_lambdas[2]`.
    pub field: String,
    /// What was given.
    pub value: String,
    /// What would be accepted.
    pub rule: &'static str,
}

/// Every value of a file that cannot be used; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct OutOfRanges(pub Vec<OutOfRange>);

impl fmt::Display for OutOfRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Looks at the values of one file.
pub(super) struct Ranges {
    file: &'static str,
    found: Vec<OutOfRange>,
}

impl Ranges {
    pub(super) const fn of(file: &'static str) -> Self {
        Self { file, found: Vec::new() }
    }

    pub(super) fn check(&mut self, ok: bool, field: &str, value: impl ToString, rule: &'static str) {
        if !ok {
            let (field, value) = (field.to_owned(), value.to_string());
            self.found.push(OutOfRange { file: self.file, field, value, rule });
        }
    }

    pub(super) fn positive(&mut self, field: &str, value: f64) {
        self.check(value > 0.0 && value.is_finite(), field, value, "positive");
    }

    /// Strictly between 0 and 1.
    pub(super) fn share(&mut self, field: &str, value: f64) {
        self.check(value > 0.0 && value < 1.0, field, value, "between 0 and 1");
    }

    pub(super) fn result(self) -> Result<(), OutOfRanges> {
        if self.found.is_empty() { Ok(()) } else { Err(OutOfRanges(self.found)) }
    }
}
