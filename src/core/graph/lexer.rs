//! Text to tokens.

use super::ast::{LangError, Span};

/// A token of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Name(String),
    /// Operators, brackets, comma, `=`.
    Mark(&'static str),
    End,
}

const MARKS: &[&str] = &["<=", ">=", "==", "!=", "<", ">", "=", "+", "-", "*", "/", "^", "(", ")", ","];

/// Every token with its place, `End` last.
pub(super) fn tokens(text: &str, id: u32) -> Result<Vec<(Token, Span)>, LangError> {
    let mut out = Vec::new();
    let mut pos = 0;
    let span = |start: usize, end: usize| Span { text: id, start: start as u32, end: end as u32 };
    while let Some(c) = text[pos..].chars().next() {
        let rest = &text[pos..];
        if c.is_whitespace() {
            pos += c.len_utf8();
        } else if c.is_ascii_digit() {
            let len = number_len(rest);
            let here = span(pos, pos + len);
            if rest[len..].starts_with(|c: char| c == '_' || c.is_alphabetic()) && !is_symbol(rest) {
                let error = LangError::new(here, "a name cannot start with a digit");
                return Err(error.help("put an operator between a number and a name, as in `2 * x`"));
            }
            if is_symbol(rest) {
                let len = name_len(rest);
                out.push((Token::Name(rest[..len].to_owned()), span(pos, pos + len)));
                pos += len;
                continue;
            }
            let value: f64 = rest[..len].parse().unwrap_or(f64::NAN);
            if !value.is_finite() {
                return Err(
                    LangError::new(here, "this is not a finite number").help("the largest is about 1.8e308")
                );
            }
            out.push((Token::Number(value), here));
            pos += len;
        } else if c.is_alphabetic() || c == '_' {
            let len = name_len(rest);
            out.push((Token::Name(rest[..len].to_owned()), span(pos, pos + len)));
            pos += len;
        } else if let Some(mark) = MARKS.iter().find(|m| rest.starts_with(**m)) {
            out.push((Token::Mark(mark), span(pos, pos + mark.len())));
            pos += mark.len();
        } else {
            return Err(unexpected(c, rest, span(pos, pos + c.len_utf8())));
        }
    }
    out.push((Token::End, span(text.len(), text.len())));
    Ok(out)
}

fn unexpected(c: char, rest: &str, span: Span) -> LangError {
    let error = LangError::new(span, format!("'{c}' has no meaning in an expression"));
    match c {
        '&' | '|' | '!' => error.help("write `and`, `or`, `not`"),
        ':' => error.help("named arguments are written `window=288`"),
        '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => error.help("write `0.5`, not `.5`"),
        _ => error.help("spec/README.md lists the operators"),
    }
}

/// `1000PEPEUSDT`: digits that run into capitals are a symbol.
fn is_symbol(rest: &str) -> bool {
    let word = &rest[..name_len(rest)];
    word.len() > 4 && word.starts_with(|c: char| c.is_ascii_digit()) && {
        let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
        letters.len() > 3 && letters.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    }
}

fn name_len(rest: &str) -> usize {
    rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len())
}

fn number_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |mut i: usize| {
        while bytes.get(i).is_some_and(u8::is_ascii_digit) {
            i += 1;
        }
        i
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    end
}
