//! YAML files to types, with errors that point into the file.
//!
//! Our files must mean the same to a YAML 1.1 reader (PyYAML) as to us: booleans are `true`/`false` only,
//! keys are unique, and the writer of a spec quotes times of day and dates.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::{Error as YamlError, Location};

use super::diagnostic::{Diagnostic, SourceFile, SpecErrors};
use super::yaml11::{Trap, quoted_numbers, traps};
use crate::graph::nearest;

/// A value and where it stands in its file.
pub type Spanned<T> = serde_saphyr::Spanned<T>;

/// A mapping in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<V>(pub Vec<(String, V)>);

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Ordered<V> {
    /// In file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// The value of this key, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
}

impl<V: Serialize> Serialize for Ordered<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<V: JsonSchema> JsonSchema for Ordered<V> {
    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, V>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, V>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Ordered<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Parses a text that is already in memory.
///
/// # Errors
/// When it is not YAML or does not fit the type.
pub fn parse_yaml<T: DeserializeOwned>(file: &SourceFile) -> Result<T, SpecErrors> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
    };
    let value = serde_saphyr::from_str_with_options(&file.text, options.clone())
        .map_err(|e| SpecErrors::one(diagnose(file, &e)))?;
    let refuse = |trap: Trap| Diagnostic::at(file, &trap.bytes, trap.message).help(trap.help);
    let mut refused: Vec<Diagnostic> = traps(&file.text).into_iter().map(refuse).collect();
    // The parser looks through quotes. Whether a number was wanted shows when another text stands in its
    // place.
    for bytes in quoted_numbers(&file.text) {
        let mut other = file.text.to_string();
        other.replace_range(bytes.clone(), &"x".repeat(bytes.len()));
        if serde_saphyr::from_str_with_options::<T>(&other, options.clone()).is_err() {
            let number = file.text[bytes.clone()].trim();
            let message = format!("found the text \"{number}\", expected a number");
            refused
                .push(Diagnostic::at(file, &bytes, message).help(format!("write {number}, without quotes")));
        }
    }
    if refused.is_empty() { Ok(value) } else { Err(SpecErrors(refused)) }
}

fn diagnose(file: &SourceFile, error: &YamlError) -> Diagnostic {
    let error = error.without_snippet();
    let bytes = error.location().map(|at| byte_range(file, at));
    let say = |message: String| match &bytes {
        Some(bytes) => Diagnostic::at(file, bytes, message),
        None => Diagnostic::about(&file.path, message),
    };
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            offer(say(format!("unknown key '{field}'")), field, expected, "the keys here are")
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            offer(say(format!("'{variant}' is not one of the choices")), variant, expected, "the choices are")
        }
        YamlError::SerdeMissingField { field, .. } => {
            say(format!("the key '{field}' is missing here")).help(format!("add '{field}:' to this mapping"))
        }
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            let text = format!("found {unexpected}, expected {expected}");
            say(text).help(advice(&expected.to_string()))
        }
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            say(format!("the key '{key}' is given twice")).help("keep one of them")
        }
        other => {
            let is_tabbed = bytes.as_ref().is_some_and(|bytes| has_tab_indent(file, bytes.start));
            let message = without_location(&other.to_string());
            let tabs = "indent with blanks: YAML does not allow tabs there";
            let help = if is_tabbed { tabs.to_owned() } else { advice(&message) };
            say(message).help(help)
        }
    }
}

/// Where a reader finds what each key takes.
const SEE_SCHEMA: &str =
    "spec/README.md shows the file by example, and spec/schemas/ says what each key takes";

/// What to write where a value of another type is expected.
fn advice(expected: &str) -> String {
    let is_number =
        ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "integer", "float", "number"]
            .iter()
            .any(|name| expected.contains(name));
    if is_number {
        let counts = ["u8", "u16", "u32", "u64"].iter().any(|name| expected.contains(name));
        let what = if counts { "a whole number of at least 0" } else { "a plain number" };
        format!("write {what}, without quotes or a unit")
    } else if expected.contains("bool") {
        "write true or false".to_owned()
    } else if expected.contains("string") {
        "write one text; put it in quotes where it could be read as something else".to_owned()
    } else {
        SEE_SCHEMA.to_owned()
    }
}

/// Whether the line of a byte, or one beside it, is indented with a tab.
fn has_tab_indent(file: &SourceFile, at: usize) -> bool {
    let line = file.text[..at.min(file.text.len())].matches('\n').count();
    let near = file.text.lines().skip(line.saturating_sub(1)).take(3);
    near.into_iter().any(|l| l[..l.len() - l.trim_start().len()].contains('\t'))
}

fn offer(diagnostic: Diagnostic, given: &str, known: &[&'static str], lead: &str) -> Diagnostic {
    let diagnostic = match nearest(given, known.iter().copied()) {
        Some(name) => diagnostic.help(format!("did you mean '{name}'?")),
        None => diagnostic,
    };
    diagnostic.help(format!("{lead} {}", known.join(", ")))
}

/// The parser appends the location in words; we draw it instead.
fn without_location(message: &str) -> String {
    let cut = message.find(" at line ").unwrap_or(message.len());
    let message = message[..cut].lines().next().unwrap_or_default();
    message.strip_prefix("error: ").unwrap_or(message).to_owned()
}

/// Bytes that a location of the parser covers.
#[must_use]
pub(super) fn byte_range(file: &SourceFile, at: Location) -> Range<usize> {
    let span = at.span();
    if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) {
        return start as usize..(start + len) as usize;
    }
    let line = (at.line() as usize).saturating_sub(1);
    let line_start = file.text.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
    let column = (at.column() as usize).saturating_sub(1);
    let start = file.text[line_start..].chars().take(column).map(char::len_utf8).sum::<usize>() + line_start;
    start..start + 1
}

/// Where each byte of a scalar's value stands in the file: `map[i]` for byte `i`, and one entry past the end.
/// Quotes, escapes, folded lines and block indentation are skipped by walking value and text together.
#[must_use]
pub(super) fn scalar_map(file: &SourceFile, at: Location, value: &str) -> Arc<[usize]> {
    let range = byte_range(file, at);
    let text: &str = &file.text;
    let mut pos = range.start.min(text.len());
    if text[pos..].starts_with(['|', '>']) {
        pos = text[pos..].find('\n').map_or(pos, |i| pos + i + 1);
    }
    let mut map = Vec::with_capacity(value.len() + 1);
    for wanted in value.chars() {
        let rest = &text[pos..];
        let skip = if wanted.is_whitespace() { rest.find(char::is_whitespace) } else { rest.find(wanted) };
        let at = pos + skip.unwrap_or(0);
        map.extend(std::iter::repeat_n(at, wanted.len_utf8()));
        pos = (at + wanted.len_utf8()).min(text.len());
        while !text.is_char_boundary(pos) {
            pos += 1;
        }
    }
    map.push(pos);
    map.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        fee_bps_per_side: f64,
        expr: Spanned<String>,
        #[serde(default)]
        names: Ordered<Spanned<String>>,
    }

    fn file(text: &str) -> SourceFile {
        SourceFile { path: "spec/sample.yaml".into(), text: text.into() }
    }

    fn refused(text: &str) -> String {
        parse_yaml::<Sample>(&file(text)).unwrap_err().0[0].to_string()
    }

    #[test]
    fn a_misspelt_key_is_pointed_at_with_a_suggestion() {
        insta::assert_snapshot!(refused("expr: a\nfee_bps_per_sides: 4.0\n"), @r"
        error: unknown key 'fee_bps_per_sides'
         --> spec/sample.yaml:2:1
          |
        2 | fee_bps_per_sides: 4.0
          | ^^^^^^^^^^^^^^^^^
          |
          = help: did you mean 'fee_bps_per_side'?
          = help: the keys here are fee_bps_per_side, expr, names
        ");
    }

    #[test]
    fn a_missing_key_and_a_wrong_type_say_so() {
        let missing = refused("expr: a\n");
        assert!(missing.starts_with("error: the key 'fee_bps_per_side' is missing here"), "{missing}");
        let wrong = refused("expr: a\nfee_bps_per_side: four\n");
        assert!(wrong.contains("sample.yaml:2:19"), "{wrong}");
    }

    #[test]
    fn a_number_in_quotes_is_refused_where_a_number_is_expected_only() {
        insta::assert_snapshot!(refused("expr: '3'\nfee_bps_per_side: \"0.5\"\n"), @r#"
        error: found the text "0.5", expected a number
         --> spec/sample.yaml:2:20
          |
        2 | fee_bps_per_side: "0.5"
          |                    ^^^
          |
          = help: write 0.5, without quotes
        "#);
        let text = "expr: '3'\nfee_bps_per_side: 0.5\nnames:\n  a: \"1\"\n";
        assert_eq!(parse_yaml::<Sample>(&file(text)).unwrap().expr.value, "3");
    }

    #[test]
    fn every_byte_of_a_scalar_is_found_again_in_the_file() {
        let texts = [
            "fee_bps_per_side: 1\nexpr: sum(close, window=3)\n",
            "fee_bps_per_side: 1\nexpr: 'sum(close, window=3)'\n",
            "fee_bps_per_side: 1\nexpr: \"sum(close, window=3)\"\n",
            "fee_bps_per_side: 1\nexpr: sum(close,\n   window=3)\n",
            "fee_bps_per_side: 1\nexpr: >-\n   sum(close,\n   window=3)\n",
        ];
        for text in texts {
            let file = file(text);
            let sample: Sample = parse_yaml(&file).unwrap();
            assert_eq!(sample.expr.value, "sum(close, window=3)");
            let map = scalar_map(&file, sample.expr.referenced, &sample.expr.value);
            for (i, c) in sample.expr.value.char_indices().filter(|(_, c)| !c.is_whitespace()) {
                assert!(file.text[map[i]..].starts_with(c), "byte {i} of {text:?}");
            }
        }
    }

    #[test]
    fn a_mapping_keeps_its_order_and_refuses_a_key_given_twice() {
        let text = "fee_bps_per_side: 1\nexpr: a\nnames:\n  z: '1'\n  a: '2'\n";
        let sample: Sample = parse_yaml(&file(text)).unwrap();
        assert_eq!(sample.names.iter().map(|(k, _)| k).collect::<Vec<_>>(), ["z", "a"]);
        let twice = text.replace("  a:", "  z:");
        assert!(refused(&twice).contains("the key 'z' is given twice"), "{}", refused(&twice));
    }
}
