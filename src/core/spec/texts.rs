//! Every expression text of the specs, with the file and the bytes it came from: from a place in an
//! expression back to a place in a YAML file.

use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, SourceFile};
use super::yaml::{Spanned, scalar_map};
use crate::graph::{Expr, LangError, Span, parse};

/// All expression texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    entries: Vec<Entry>,
    /// Texts that did not parse.
    pub errors: Vec<LangError>,
}

#[derive(Debug)]
struct Entry {
    file: SourceFile,
    /// File offset of each byte of the text, and of its end.
    map: Arc<[usize]>,
}

/// A parsed text.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    /// `None`: it did not parse, which is in [`Texts::errors`].
    pub expr: Option<Arc<Expr>>,
    /// The whole text.
    pub span: Span,
}

impl Texts {
    /// Registers a text without parsing it.
    pub(super) fn register(&mut self, file: &SourceFile, text: &Spanned<String>) -> Span {
        let map = scalar_map(file, text.referenced, &text.value);
        self.entries.push(Entry { file: file.clone(), map });
        Span { text: self.entries.len() as u32 - 1, start: 0, end: text.value.len() as u32 }
    }

    /// Registers and parses a text.
    pub(super) fn parse(&mut self, file: &SourceFile, text: &Spanned<String>) -> Parsed {
        let span = self.register(file, text);
        match parse(&text.value, span.text) {
            Ok(expr) => Parsed { expr: Some(Arc::new(expr)), span },
            Err(error) => {
                self.errors.push(error);
                Parsed { expr: None, span }
            }
        }
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let map = &self.entries[span.text as usize].map;
        let last = map.len() - 1;
        let start = map[(span.start as usize).min(last)];
        match span.end.checked_sub(1).filter(|end| *end >= span.start) {
            Some(end) => start..map[(end as usize).min(last)] + 1,
            None => start..start,
        }
    }

    /// The error, drawn into its file.
    pub(super) fn diagnostic(&self, error: &LangError) -> Diagnostic {
        let file = &self.entries[error.span.text as usize].file;
        let drawn = Diagnostic::at(file, &self.bytes(error.span), &error.message).label(&error.label);
        error.help.iter().fold(drawn, |d, help| d.help(help))
    }
}
