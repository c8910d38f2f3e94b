//! What can be wrong with a payload.

/// Longest part of an offending payload that an error repeats, in characters.
const EXCERPT_CHARS: usize = 160;

/// A payload that cannot be used. The message names the kind of payload, the field and the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON, cut short, a required field is missing, or of another shape than documented.
    #[error("{what}: {detail}; the payload begins with {excerpt:?}")]
    Shape {
        /// Kind of payload, as in "aggTrade frame".
        what: &'static str,
        /// What the JSON reader says: position and reason.
        detail: String,
        /// The beginning of the payload.
        excerpt: String,
    },
    /// A field holds a value that cannot be what the field means.
    #[error("{what}: field `{field}` is {value:?}, expected {expected}")]
    Field {
        /// Kind of payload.
        what: &'static str,
        /// Name of the field on the wire.
        field: &'static str,
        /// What it held.
        value: String,
        /// What it must hold.
        expected: &'static str,
    },
}

impl WireError {
    pub(crate) fn shape(what: &'static str, detail: &impl ToString, payload: &[u8]) -> Self {
        // Only the head is decoded: the payload may be megabytes of something that is not text at all.
        let head = &payload[..payload.len().min(4 * EXCERPT_CHARS)];
        let excerpt = String::from_utf8_lossy(head).chars().take(EXCERPT_CHARS).collect();
        Self::Shape { what, detail: detail.to_string(), excerpt }
    }

    pub(crate) fn field(
        what: &'static str,
        field: &'static str,
        value: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        Self::Field { what, field, value: value.into(), expected }
    }
}
