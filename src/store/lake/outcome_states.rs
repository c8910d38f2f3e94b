//! The columns of an outcome table that condition its rows: `state.<name>`, `vol_regime` and `carry_state`.
//!
//! * Truth values, numbers 0 and 1, and text that says true or false: one condition, which holds where the
//!   value is true.
//! * Other text: one condition for each value.
//!
//! Null is unknown, and no condition holds there. Anything else is refused rather than left out: a column
//! that is not read looks like a condition that never mattered.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::outcome_error::OutcomeFileError;
use super::outcome_table::{Place, as_number, as_text, is_text, number_at, text_at, wrong_type};
use backtestd_core::discovery::{Condition, label_condition, state_condition};

/// Label columns beside `state.<name>`.
const LABELS: [&str; 2] = ["vol_regime", "carry_state"];
/// Prefix of state columns, in any case.
const PREFIX: &str = "state.";

/// The name of the state that a column holds.
fn is_state_column(name: &str) -> Option<&str> {
    if let Some(label) = LABELS.iter().find(|label| label.eq_ignore_ascii_case(name)) {
        return Some(label);
    }
    let prefix = name.get(..PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then(|| name[PREFIX.len()..].trim())
}

/// One column over all batches of a file.
struct StateColumn {
    /// As it is written.
    column: String,
    name: String,
    /// The column, one array for each batch.
    arrays: Vec<ArrayRef>,
    kind: Kind,
    /// Its first condition.
    first: usize,
}

enum Kind {
    /// Numbers that must be 0 or 1.
    Numbers,
    /// Text that says true or false.
    Words,
    /// One condition for each of these values, sorted.
    Labels(Vec<String>),
}

impl Kind {
    fn conditions(&self, name: &str) -> Vec<Condition> {
        match self {
            Self::Numbers | Self::Words => vec![state_condition(&name.into())],
            Self::Labels(values) => values.iter().map(|value| label_condition(name, value)).collect(),
        }
    }
}

/// All of a file's.
pub(super) struct StateColumns(Vec<StateColumn>);

impl StateColumns {
    /// The columns of batches of one schema, labels first, each kind by name.
    pub(super) fn collect(path: &Path, batches: &[RecordBatch]) -> Result<Self, OutcomeFileError> {
        let Some(first) = batches.first() else { return Ok(Self(Vec::new())) };
        let mut columns = Vec::new();
        for (at, field) in first.schema_ref().fields().iter().enumerate() {
            let column = field.name().as_str();
            let Some(name) = is_state_column(column) else { continue };
            if *field.data_type() == DataType::Null {
                continue;
            }
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(at)).collect();
            columns.push(StateColumn::read(path, column, name, &arrays)?);
        }
        let is_label = |c: &StateColumn| matches!(c.kind, Kind::Labels(_));
        columns.sort_by(|a, b| is_label(b).cmp(&is_label(a)).then_with(|| a.name.cmp(&b.name)));
        let mut names: BTreeSet<String> = BTreeSet::new();
        if let Some(again) = columns.iter().position(|c| !names.insert(c.name.to_uppercase())) {
            let name = columns[again].name.to_uppercase();
            let before = columns.iter().position(|c| c.name.to_uppercase() == name).unwrap_or(again);
            return Err(OutcomeFileError::SameState {
                path: path.to_owned(),
                first: columns[before].column.clone(),
                second: columns[again].column.clone(),
            });
        }
        let mut next = 0;
        for column in &mut columns {
            column.first = next;
            next += column.kind.conditions(&column.name).len();
        }
        Ok(Self(columns))
    }

    /// What a row may be in, by number.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        self.0.iter().flat_map(|c| c.kind.conditions(&c.name)).collect()
    }

    /// The numbers of the conditions that hold on a row of a batch.
    pub(super) fn active(
        &self,
        at: &Place<'_>,
        batch: usize,
        out: &mut Vec<usize>,
    ) -> Result<(), OutcomeFileError> {
        out.clear();
        for column in &self.0 {
            let array = &column.arrays[batch];
            match &column.kind {
                Kind::Numbers => match number_at(array, at.row) {
                    1.0 => out.push(column.first),
                    x if x == 0.0 || x.is_nan() => {}
                    x => {
                        let wanted = "true or false (or 1 and 0); a code with more values belongs in text, one condition \
                                      for each value";
                        return Err(at.bad(&column.column, x.to_string(), wanted));
                    }
                },
                Kind::Words => {
                    let held = text_at(array, at.row).and_then(truth).unwrap_or(false);
                    out.extend(held.then_some(column.first));
                }
                Kind::Labels(values) => {
                    let value = text_at(array, at.row).map(str::trim).unwrap_or_default();
                    let found = values.binary_search_by(|known| known.as_str().cmp(value));
                    out.extend(found.ok().map(|number| column.first + number));
                }
            }
        }
        Ok(())
    }

    /// How each column was read.
    pub(super) fn words(&self) -> Vec<String> {
        let word = |c: &StateColumn| match &c.kind {
            Kind::Numbers | Kind::Words => format!("{}: true or false", c.column),
            Kind::Labels(values) => format!("{}: {} labels", c.column, values.len()),
        };
        self.0.iter().map(word).collect()
    }
}

impl StateColumn {
    fn read(path: &Path, column: &str, name: &str, arrays: &[&ArrayRef]) -> Result<Self, OutcomeFileError> {
        let all_text = arrays.iter().all(|array| is_text(array.data_type()));
        let is_label = LABELS.contains(&name);
        if is_label && !all_text {
            let found = arrays.iter().find(|array| !is_text(array.data_type())).unwrap_or(&arrays[0]);
            let wanted =
                "text, one condition for each value (low, mid, high; funding_neg, neutral, funding_pos)";
            return Err(wrong_type(path, column, found, wanted));
        }
        let read = |array: &&ArrayRef| {
            if all_text { as_text(path, column, array) } else { as_number(path, column, array) }
        };
        let arrays: Vec<ArrayRef> = arrays.iter().map(read).collect::<Result<_, _>>()?;
        let kind = if all_text { text_kind(&arrays, is_label) } else { Kind::Numbers };
        Ok(Self { column: column.to_owned(), name: name.to_owned(), arrays, kind, first: 0 })
    }
}

/// Words for true and false, or labels.
fn text_kind(arrays: &[ArrayRef], is_label: bool) -> Kind {
    let mut values: BTreeSet<String> = BTreeSet::new();
    for array in arrays {
        let known = (0..array.len()).filter_map(|row| text_at(array, row)).map(str::trim);
        values.extend(known.filter(|value| !value.is_empty()).map(str::to_owned));
    }
    if !is_label && !values.is_empty() && values.iter().all(|value| truth(value).is_some()) {
        return Kind::Words;
    }
    Kind::Labels(values.into_iter().collect())
}

/// A truth value as text.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
