//! The scalars of a text, as they are written: plain ones that a YAML 1.1 reader (PyYAML) takes for something
//! else than a YAML 1.2 reader does, and numbers in quotes. Specs are read by both, so the former are
//! refused.

use std::ops::Range;

/// A scalar that two readers read differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trap {
    /// Where it stands.
    pub(super) bytes: Range<usize>,
    /// What each reader takes it for.
    pub(super) message: String,
    /// What to write.
    pub(super) help: &'static str,
}

/// The traps of a text.
pub(super) fn traps(text: &str) -> Vec<Trap> {
    let plain = scalars(text).into_iter().filter(|bytes| !text[bytes.clone()].starts_with(['"', '\'']));
    plain
        .filter_map(|bytes| {
            let (what, help) = trap(&text[bytes.clone()])?;
            Some(Trap { message: format!("'{}' is {what}", &text[bytes.clone()]), bytes, help })
        })
        .collect()
}

/// Where numbers stand in quotes: the bytes between the quotes.
pub(super) fn quoted_numbers(text: &str) -> Vec<Range<usize>> {
    let inside = |bytes: Range<usize>| {
        let scalar = &text[bytes.clone()];
        let quote = scalar.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let number = scalar.strip_prefix(quote)?.strip_suffix(quote)?;
        let is_number = number.trim().parse::<f64>().is_ok_and(f64::is_finite);
        is_number.then(|| bytes.start + 1..bytes.end - 1)
    };
    scalars(text).into_iter().filter_map(inside).collect()
}

/// Keys, values and items of lists, each with its quotes; block scalars and comments left out.
fn scalars(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut line_start = 0;
    // Depth of `[` and `{` that are still open; the indentation of a block scalar's key.
    let (mut depth, mut block) = (0_usize, None);
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let is_blank = line.trim().is_empty();
        if block.is_some_and(|key| is_blank || indent > key) {
            line_start += line.len();
            continue;
        }
        block = None;
        let content = without_comment(line);
        let here = if depth > 0 { flow(content, 0, &mut depth) } else { block_line(content, &mut depth) };
        found.extend(here.into_iter().map(|scalar| line_start + scalar.start..line_start + scalar.end));
        if content.trim_end().ends_with(['|', '>'])
            || content.trim_end().ends_with("|-")
            || content.trim_end().ends_with(">-")
        {
            block = Some(indent);
        }
        line_start += line.len();
    }
    found
}

/// What YAML 1.1 makes of a plain scalar that YAML 1.2 reads otherwise, and what to write instead.
fn trap(scalar: &str) -> Option<(&'static str, &'static str)> {
    let is_truth = matches!(
        scalar,
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF"
    );
    if is_truth {
        return Some((
            "text here and a truth value to a YAML 1.1 reader",
            "write true or false for a truth value, or put the text in quotes",
        ));
    }
    let number = scalar.strip_prefix(['-', '+']).unwrap_or(scalar);
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let all = |accept: fn(char) -> bool| number.chars().all(accept);
    if all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && let Some((mantissa, exponent)) = number.split_once(['e', 'E'])
    {
        let is_float = mantissa.contains('.') && exponent.starts_with(['+', '-']);
        return (!is_float && exponent.parse::<i32>().is_ok())
            .then_some(("a number here and text to a YAML 1.1 reader", "write the number out, as in 0.001"));
    }
    if number.contains(':')
        && all(|c| c.is_ascii_digit() || c == ':')
        && !number.starts_with(':')
        && !number.ends_with(':')
    {
        return Some((
            "text here and a number of base 60 to a YAML 1.1 reader",
            "put the time of day in quotes, as in \"09:30\"",
        ));
    }
    if all(|c| c.is_ascii_digit() || matches!(c, '_' | '.')) && number.contains('_') {
        return Some(("text here and a number to a YAML 1.1 reader", "leave the underscores out"));
    }
    let is_date =
        number.len() == 10 && all(|c| c.is_ascii_digit() || c == '-') && number.matches('-').count() == 2;
    is_date.then_some((
        "text here and a date to a YAML 1.1 reader",
        "put the date in quotes, as in \"2025-01-01\"",
    ))
}

/// The scalars of a line in block style: a key, a value, items of lists.
fn block_line(line: &str, depth: &mut usize) -> Vec<Range<usize>> {
    let mut at = line.len() - line.trim_start().len();
    while line[at..].starts_with("- ") {
        at += 2;
        at += line[at..].len() - line[at..].trim_start().len();
    }
    let mut found = Vec::new();
    if !line[at..].starts_with(['"', '\'', '[', '{']) {
        let rest = line[at..].trim_end();
        let colon = rest.find(": ").or_else(|| rest.ends_with(':').then(|| rest.len() - 1));
        if let Some(colon) = colon {
            push(&mut found, line, at..at + colon);
            at += colon + 1;
            at += line[at..].len() - line[at..].trim_start().len();
        }
    }
    if line[at..].starts_with(['[', '{']) {
        found.extend(flow(line, at, depth));
    } else {
        push(&mut found, line, at..line.len());
    }
    found
}

/// The scalars of a line in flow style, from byte `from` on.
fn flow(line: &str, from: usize, depth: &mut usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = from;
    let mut quote = None;
    for (i, c) in line.char_indices().filter(|(i, _)| *i >= from) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{' | ']' | '}' | ',') => {
                push(&mut found, line, start..i);
                start = i + 1;
                match c {
                    '[' | '{' => *depth += 1,
                    ']' | '}' => *depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            (None, ':') if line[i + 1..].starts_with(' ') => {
                push(&mut found, line, start..i);
                start = i + 1;
            }
            _ => {}
        }
    }
    push(&mut found, line, start..line.len());
    found
}

/// The trimmed stretch, unless it is empty.
fn push(found: &mut Vec<Range<usize>>, line: &str, bytes: Range<usize>) {
    let text = &line[bytes.clone()];
    let start = bytes.start + (text.len() - text.trim_start().len());
    let trimmed = text.trim();
    if !trimmed.is_empty() {
        found.push(start..start + trimmed.len());
    }
}

/// A comment begins at a `#` at the line's start or after a blank, outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return &line[..i],
            (None, '"' | '\'') if before.is_whitespace() || matches!(before, '[' | '{' | ',') => {
                quote = Some(c);
            }
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_quotes_are_found_and_nothing_else() {
        let text = "a: \"0.5\"\nb: '12'\nc: [1, \"-3\"]\nd: \"09:30\"\ne: 4 # \"5\"\nf: >-\n  \"6\"\ng: \"x 7\"\nh: {k: '8'}\n";
        let found: Vec<&str> = quoted_numbers(text).into_iter().map(|bytes| &text[bytes]).collect();
        assert_eq!(found, ["0.5", "12", "-3", "8"]);
    }

    fn caught(text: &str) -> Vec<&str> {
        traps(text).into_iter().map(|t| &text[t.bytes]).collect()
    }

    #[test]
    fn what_two_readers_read_differently_is_caught() {
        let text = "a: yes\non: 1\nc: [1e-3, 2, off]\nd: {x: 09:30, y: 2025-01-01}\ne:\n  - 1_000\n  - no # why\nf: [1,\n   5e2]\n";
        assert_eq!(caught(text), ["yes", "on", "1e-3", "off", "09:30", "2025-01-01", "1_000", "no", "5e2"]);
    }

    #[test]
    fn what_both_read_alike_is_not() {
        let text = "a: true\nb: \"yes\"\nc: 1.5e-3\nd: clip(x, 1e-3, 5)\ne: no news\nf: 'it is 09:30'\n# on: yes\ng: >-\n  yes\n  no\nh: -0.5\ni: \"a # b\"\nj: 12\n";
        assert_eq!(caught(text), Vec::<&str>::new());
    }
}
