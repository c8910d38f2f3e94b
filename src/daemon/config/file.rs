//! The TOML file: flattened to dotted keys, each with its line.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{ConfigError, KEYS, Key, Kind};

/// One setting of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Dotted name of the key.
    pub key: &'static str,
    /// The value as text; arrays are joined with commas.
    pub value: String,
    /// Line number in the file, from 1.
    pub line: usize,
}

/// Reads every setting of `text`, refusing unknown keys and wrong shapes.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Setting>, ConfigError> {
    let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        message: error.message().to_owned(),
    })?;
    let mut settings = Vec::new();
    flatten(path, text, "", document.get_ref(), &mut settings)?;
    settings.sort_by_key(|s| s.line);
    Ok(settings)
}

fn flatten(
    path: &Path,
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    out: &mut Vec<Setting>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let dotted = format!("{prefix}{}", name.get_ref());
        let line = line_of(text, name.span().start);
        let is_section = KEYS.iter().any(|k| k.name.starts_with(&format!("{dotted}.")));
        if let (true, DeValue::Table(inner)) = (is_section, value.get_ref()) {
            flatten(path, text, &format!("{dotted}."), inner, out)?;
            continue;
        }
        let Some(key) = Key::find(&dotted) else {
            return Err(ConfigError::UnknownKey {
                path: path.to_owned(),
                line,
                hint: nearest(&dotted),
                key: dotted,
            });
        };
        let text_value = scalar(key, value.get_ref()).ok_or_else(|| ConfigError::Syntax {
            path: path.to_owned(),
            line,
            message: format!(
                "{dotted} must be {}",
                match key.kind {
                    Kind::Text => "a string",
                    Kind::Number => "a number",
                    Kind::List => "an array of strings",
                }
            ),
        })?;
        out.push(Setting { key: key.name, value: text_value, line });
    }
    Ok(())
}

fn scalar(key: &Key, value: &DeValue<'_>) -> Option<String> {
    match (key.kind, value) {
        (Kind::List, DeValue::Array(items)) => {
            let items: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            Some(items?.join(","))
        }
        // 'auto', 'same', 'none' and comma lists are text where a number or list would be.
        (_, DeValue::String(text)) => Some(text.to_string()),
        (Kind::Number | Kind::Text, DeValue::Integer(n)) => Some(n.as_str().to_owned()),
        (Kind::Number | Kind::Text, DeValue::Float(x)) => Some(x.as_str().to_owned()),
        (Kind::Text, DeValue::Datetime(t)) => Some(t.to_string()),
        (Kind::Text, DeValue::Boolean(is_on)) => Some((if *is_on { "on" } else { "off" }).to_owned()),
        _ => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// The known key within two edits, for "did you mean".
fn nearest(name: &str) -> Option<String> {
    KEYS.iter()
        .map(|k| (edits(name, k.name), k.name))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, known)| known.to_owned())
}

/// Levenshtein distance between two texts, in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Vec<Setting>, ConfigError> {
        parse(Path::new("backtestd.toml"), text)
    }

    #[test]
    fn sections_become_dotted_keys_with_lines() {
        let settings =
            parse_text("symbols = [\"BTCUSDT\", \"SOLUSDT\"]\ngrace_ms = 5_000\n[clock]\nspeed = 600.0\n")
                .unwrap();
        let seen: Vec<_> = settings.iter().map(|s| (s.key, s.value.as_str(), s.line)).collect();
        assert_eq!(
            seen,
            [("symbols", "BTCUSDT,SOLUSDT", 1), ("grace_ms", "5000", 2), ("clock.speed", "600.0", 4)]
        );
    }

    #[test]
    fn what_can_be_switched_is_on_or_off_or_true_or_false() {
        let settings = parse_text("archive_audit = false\n").unwrap();
        assert_eq!((settings[0].key, settings[0].value.as_str()), ("archive_audit", "off"));
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_key() {
        let error = parse_text("symbols = []\n\ngrace_m = 1\n").unwrap_err().to_string();
        assert!(
            error.starts_with("backtestd.toml:3: unknown key 'grace_m' (did you mean 'grace_ms'?)"),
            "{error}"
        );
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = parse_text("symbols = []\nstart = \n").unwrap_err().to_string();
        assert!(error.starts_with("backtestd.toml:2:"), "{error}");
    }

    #[test]
    fn a_wrong_shape_says_the_right_one() {
        let error = parse_text("symbols = 3\n").unwrap_err().to_string();
        assert_eq!(error, "backtestd.toml:1: symbols must be an array of strings");
    }
}
