//! What is wrong with a row of an outcome table.

/// A row that cannot be part of a table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TableError {
    /// A symbol that cannot be one.
    #[error("row {row}, column symbol: {reason}")]
    Symbol {
        /// Row, from 0.
        row: usize,
        /// Why.
        reason: String,
    },
    /// A horizon that cannot be read.
    #[error("row {row}, column horizon: '{value}' is not a multiple of 5 minutes such as 5m, 60m, 4h, 1d")]
    Horizon {
        /// Row, from 0.
        row: usize,
        /// What was given.
        value: String,
    },
    /// A direction other than -1, 0, 1.
    #[error("row {row}, column direction: {value} is not -1, 0 or 1")]
    Direction {
        /// Row, from 0.
        row: usize,
        /// What was given.
        value: i64,
    },
    /// One event type in two families.
    #[error("row {row}, column canonical_family: {event_type} is in '{given}' here and in '{before}' above")]
    TwoFamilies {
        /// Row, from 0.
        row: usize,
        /// The event type.
        event_type: String,
        /// Family of this row.
        given: String,
        /// Family of earlier rows.
        before: String,
    },
    /// Several rows of one event and holding period.
    #[error(
        "row {row} repeats row {before}: {what}; {repeated} rows repeat an earlier one ({rows}). An event and holding period is \
         one row, after trimming, case and aliases: remove the others, or pass --deduplicate to collapse them"
    )]
    Repeated {
        /// The first row that repeats another, from 0.
        row: usize,
        /// The row that it repeats.
        before: usize,
        /// The event type, symbol, time and holding period.
        what: String,
        /// How many there are.
        repeated: usize,
        /// The first of them.
        rows: String,
    },
    /// Too many distinct values for the codes.
    #[error("row {row}, column {column}: more than 65535 distinct values")]
    TooMany {
        /// Row, from 0.
        row: usize,
        /// Column.
        column: &'static str,
    },
}
