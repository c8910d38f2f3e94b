//! Comma-separated tables: header or none, columns by name or by place, numbers and times with a line to
//! blame.

use std::io::Read;
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::{ArchiveError, Finding};
use backtestd_core::market::{Ts, parse_time};

/// A column: the name in messages, its place in header-less files, and the names it goes by in headers (in
/// any case, with or without separators).
#[derive(Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub place: usize,
    pub aliases: &'static [&'static str],
    pub required: bool,
}

/// Finds further columns: squeezed names of the header, and the place of each column of the schema.
type FindMore = fn(&[String], &mut [Option<usize>]);

/// The columns of a kind of table.
#[derive(Debug)]
pub(super) struct Schema<'a> {
    /// Its name in messages.
    pub kind: &'static str,
    pub columns: &'a [Column],
    /// Columns that such tables often have and that are not needed.
    pub ignored: &'static [&'static str],
    /// Finds columns whose names depend on the content (`Volume BTC`); gets the squeezed names.
    pub more: Option<FindMore>,
}

/// Reads rows of one table.
pub(super) struct Table<'a, R: Read> {
    file: PathBuf,
    reader: csv::Reader<R>,
    record: ByteRecord,
    /// First data row, read while sniffing for a header.
    pending: bool,
    records: u64,
    width: usize,
    places: Vec<Option<usize>>,
    columns: &'a [Column],
    /// Squeezed names of the header, empty without one.
    names: Vec<String>,
}

/// One row; columns are named by their index in the table's column list.
pub(super) struct Row<'a> {
    file: &'a Path,
    record: &'a ByteRecord,
    places: &'a [Option<usize>],
    columns: &'a [Column],
    pub line: u64,
}

impl<'a, R: Read> Table<'a, R> {
    /// Looks at the first row: a first field that starts with a letter is a header, anything else is data.
    pub(super) fn open(
        file: &Path,
        input: R,
        schema: &Schema<'a>,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, ArchiveError> {
        Self::open_as(file, input, schema, findings, starts_header)
    }

    /// The same, for tables that have text in the first column.
    pub(super) fn open_as(
        file: &Path,
        input: R,
        schema: &Schema<'a>,
        findings: &mut Vec<Finding>,
        is_header: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, ArchiveError> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(1 << 16)
            .trim(csv::Trim::All)
            .from_reader(input);
        let places = schema.columns.iter().map(|c| Some(c.place)).collect();
        let mut table = Self {
            file: file.to_owned(),
            reader,
            record: ByteRecord::new(),
            pending: false,
            records: 0,
            width: 0,
            places,
            columns: schema.columns,
            names: Vec::new(),
        };
        if !table.read()? {
            return Ok(table);
        }
        // Some sites write their address above the table.
        while table.record.len() == 1 && table.record.get(0).is_some_and(|f| f.starts_with(b"http")) {
            if !table.read()? {
                return Ok(table);
            }
        }
        table.width = table.record.len();
        let first = table.record.get(0).unwrap_or_default();
        let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
        // An index column is written without a name.
        let behind_index = first.is_empty() && table.record.get(1).is_some_and(starts_header);
        if is_header(first) || behind_index {
            table.map_header(schema, findings)?;
        } else {
            table.pending = true;
            for (place, column) in table.places.iter_mut().zip(schema.columns) {
                if column.place >= table.width {
                    *place = None;
                    if column.required {
                        return Err(ArchiveError::Column {
                            file: table.file,
                            column: column.name,
                            found: format!("{} columns without a header", table.width),
                            kind: schema.kind,
                        });
                    }
                }
            }
        }
        Ok(table)
    }

    /// The squeezed names of the header; empty when there is none.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    fn map_header(&mut self, schema: &Schema<'a>, findings: &mut Vec<Finding>) -> Result<(), ArchiveError> {
        let shown: Vec<String> =
            self.record.iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
        let names: Vec<String> = self.record.iter().map(squeeze).collect();
        let at = |alias: &str| names.iter().position(|n| *n == squeeze(alias));
        for (place, column) in self.places.iter_mut().zip(self.columns) {
            // Aliases are in order of preference.
            *place = column.aliases.iter().find_map(|alias| at(alias));
            if place.is_none() && column.required && column.name.contains("time") {
                *place = names.iter().position(|name| is_index(name));
            }
        }
        if let Some(more) = schema.more {
            more(&names, &mut self.places);
        }
        for (place, column) in self.places.iter().zip(self.columns) {
            if place.is_none() && column.required {
                return Err(ArchiveError::Column {
                    file: self.file.clone(),
                    column: column.name,
                    found: shown.join(", "),
                    kind: schema.kind,
                });
            }
        }
        let aliases = schema.columns.iter().flat_map(|c| c.aliases).chain(schema.ignored);
        let known: Vec<String> = aliases.map(squeeze).collect();
        let unknown: Vec<&str> = (0..names.len())
            .filter(|ix| !self.places.contains(&Some(*ix)))
            .filter(|ix| !known.contains(&names[*ix]) && !is_index(&names[*ix]))
            .map(|ix| shown[ix].as_str())
            .collect();
        if !unknown.is_empty() {
            findings.push(Finding {
                file: self.file.display().to_string(),
                line: None,
                what: format!("columns not understood and not read: {}", unknown.join(", ")),
            });
        }
        self.names = names;
        Ok(())
    }

    fn read(&mut self) -> Result<bool, ArchiveError> {
        self.records += 1;
        self.reader
            .read_byte_record(&mut self.record)
            .map_err(|e| ArchiveError::Container { file: self.file.clone(), detail: e.to_string() })
    }

    /// The next row, or the end. A row of another width is an error.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, ArchiveError> {
        if !std::mem::take(&mut self.pending) && !self.read()? {
            return Ok(None);
        }
        // With CRLF the csv reader lags one line behind; with blank lines our count would.
        let line = self.record.position().map_or(0, csv::Position::line).max(self.records);
        if self.record.len() != self.width {
            return Err(ArchiveError::Width {
                file: self.file.clone(),
                line,
                expected: self.width,
                found: self.record.len(),
            });
        }
        Ok(Some(Row {
            file: &self.file,
            record: &self.record,
            places: &self.places,
            columns: self.columns,
            line,
        }))
    }
}

impl Row<'_> {
    /// The text of a column, empty when the table does not have it.
    pub(super) fn text(&self, column: usize) -> Result<&str, ArchiveError> {
        let Some(place) = self.places[column] else { return Ok("") };
        let bytes = self.record.get(place).unwrap_or_default();
        std::str::from_utf8(bytes)
            .map_err(|_| self.bad(column, &String::from_utf8_lossy(bytes), "not UTF-8 text"))
    }

    /// A number; blank text and a missing column are unknown (NaN).
    pub(super) fn number(&self, column: usize) -> Result<f64, ArchiveError> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(f64::NAN);
        }
        match text.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(v),
            Ok(v) if v.is_nan() => Ok(f64::NAN),
            _ => Err(self.bad(column, text, "not a finite number")),
        }
    }

    /// An instant: whole seconds, ms, us or ns since the epoch (told apart by size), or UTC text.
    pub(super) fn time(&self, column: usize) -> Result<Ts, ArchiveError> {
        let text = self.text(column)?;
        instant(text).ok_or_else(|| {
            self.bad(column, text, "not a time (s, ms, us or ns since 1970, or YYYY-MM-DD HH:MM:SS)")
        })
    }

    /// An error about a value of this row.
    pub(super) fn bad(&self, column: usize, value: &str, problem: &str) -> ArchiveError {
        ArchiveError::Value {
            file: self.file.to_owned(),
            line: self.line,
            field: self.columns[column].name,
            value: value.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

/// Header names without case, blanks and punctuation: `Open time`, `open_time` and `openTime` are one.
pub(super) fn squeeze(name: impl AsRef<[u8]>) -> String {
    let text = String::from_utf8_lossy(name.as_ref());
    text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a squeezed name is that of an index column whose name was lost.
fn is_index(name: &str) -> bool {
    matches!(name, "" | "unnamed0" | "indexlevel0" | "index" | "level0")
}

/// Whether a field begins as names do.
fn starts_header(field: &[u8]) -> bool {
    field.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
}

/// Reads an instant from text.
pub(super) fn instant(text: &str) -> Option<Ts> {
    let digits = text.strip_suffix(".0").unwrap_or(text);
    if let Ok(n) = digits.parse::<i64>() {
        return epoch(n);
    }
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if text.len() < 8 {
        return None;
    }
    let iso = text.replacen(' ', "T", 1);
    let zoned = iso.ends_with('Z') || iso.get(10..).is_some_and(|t| t.contains(['+', '-']));
    let whole = if zoned || iso.len() <= 10 { iso } else { format!("{iso}Z") };
    parse_time(&whole).ok()
}

/// Seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by size; years 1990 to
/// 2100.
pub(super) fn epoch(n: i64) -> Option<Ts> {
    const FROM: i64 = 631_152_000;
    const TO: i64 = 4_102_444_800;
    [1000, 1, -1000, -1_000_000].into_iter().find_map(|scale: i64| {
        let ms = if scale > 0 { n.checked_mul(scale)? } else { n.div_euclid(-scale) };
        (FROM * 1000..TO * 1000).contains(&ms).then_some(Ts(ms))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_unit_that_the_archive_uses() {
        let want = parse_time("2026-03-01T00:00:00Z").ok();
        for text in [
            "1772323200",
            "1772323200000",
            "1772323200000000",
            "1772323200000000000",
            "1772323200000.0",
            "2026-03-01 00:00:00",
            "2026-03-01 00:00:00 UTC",
            "2026-03-01T00:00:00Z",
            "2026-03-01 00:00:00+00:00",
            "2026-03-01",
        ] {
            assert_eq!(instant(text), want, "{text}");
        }
        for text in ["", "12", "yesterday", "1772323200000000000000"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
