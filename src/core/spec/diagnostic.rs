//! What is wrong with the specs, drawn as rustc draws it: file, line, column, the line, a caret, help.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

/// A file's text, kept for drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As shown in messages.
    pub path: PathBuf,
    /// Content.
    pub text: Arc<str>,
}

/// A stretch of one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// The line.
    pub text: String,
}

impl SourceFile {
    /// The place of a byte range; a range over several lines is cut at the end of its first line.
    #[must_use]
    pub fn place(&self, bytes: &Range<usize>) -> Place {
        let mut start = bytes.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |i| start + i);
        let mut end = bytes.end.clamp(start, line_end);
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Place {
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            width: self.text[start..end].trim_end().chars().count().max(1),
            text: self.text[line_start..line_end].trim_end().replace('\t', " "),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// File it is in, as shown.
    pub file: PathBuf,
    /// Where in it; `None` for the file as a whole.
    pub place: Option<Place>,
    /// What is wrong, one sentence.
    pub message: String,
    /// Short note under the caret; may be empty.
    pub label: String,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// About a file as a whole.
    #[must_use]
    pub fn about(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            place: None,
            message: message.into(),
            label: String::new(),
            help: Vec::new(),
        }
    }

    /// About a byte range of a file.
    #[must_use]
    pub fn at(file: &SourceFile, bytes: &Range<usize>, message: impl Into<String>) -> Self {
        Self { place: Some(file.place(bytes)), ..Self::about(&file.path, message) }
    }

    /// With a note under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl Place {
    /// The line with its underline, for drawing.
    fn snippet<'a>(&'a self, path: &'a str, label: &'a str) -> Snippet<'a, Annotation<'a>> {
        let byte = |column: usize| self.text.chars().take(column).map(char::len_utf8).sum::<usize>();
        let start = byte(self.column - 1);
        // An underline after the last character of the line is one character wide.
        let end = byte(self.column - 1 + self.width).max(start + 1);
        let underline = AnnotationKind::Primary.span(start..end);
        let underline = if label.is_empty() { underline } else { underline.label(label) };
        Snippet::source(self.text.as_str()).path(path).line_start(self.line).annotation(underline)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.file.display().to_string();
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match &self.place {
            Some(place) => title.element(place.snippet(&path, &self.label)),
            None => title.element(Origin::path(path.as_str())),
        };
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

/// Everything that is wrong, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecErrors(pub Vec<Diagnostic>);

impl SpecErrors {
    /// A single finding.
    #[must_use]
    pub fn one(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            write!(f, "{diagnostic}\n\n")?;
        }
        match self.0.len() {
            1 => f.write_str("1 error in the specs"),
            n => write!(f, "{n} errors in the specs"),
        }
    }
}

impl std::error::Error for SpecErrors {}
