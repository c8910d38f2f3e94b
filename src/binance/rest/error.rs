//! What can go wrong with a request, and what to do about it.

use std::time::Duration;

use crate::wire::WireError;

/// A request that failed after the client's own retries.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RestError {
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client: {detail}")]
    Setup {
        /// What the library says.
        detail: String,
    },
    /// No whole answer: connection refused, reset, cut short or too slow.
    #[error("{endpoint}: no whole answer: {detail}")]
    Transport {
        /// Path of the request.
        endpoint: &'static str,
        /// What the transport says.
        detail: String,
    },
    /// 429, 418 or 403: the exchange wants this address to stop.
    #[error("{endpoint}: the exchange said stop (HTTP {status}: {message}); closed for {}s", .wait.as_secs())]
    Stopped {
        /// Path of the request.
        endpoint: &'static str,
        /// HTTP status of the answer: 429, 418 or 403.
        status: u16,
        /// What the body said, or what kind of body it was.
        message: String,
        /// How long this client will not ask again.
        wait: Duration,
    },
    /// 451: the exchange does not serve this place.
    #[error(
        "{endpoint}: the exchange does not serve this location (HTTP 451); run from another one, or set the base \
         URLs to a host that does serve it"
    )]
    Location {
        /// Path of the request.
        endpoint: &'static str,
    },
    /// 5xx or 408.
    #[error("{endpoint}: the exchange failed (HTTP {status}: {message})")]
    Server {
        /// Path of the request.
        endpoint: &'static str,
        /// HTTP status of the answer: 408 or 5xx.
        status: u16,
        /// What the body said.
        message: String,
    },
    /// The request itself is not acceptable: unknown symbol, bad parameter.
    #[error("{endpoint}: refused (HTTP {status}, code {code}: {message})")]
    Refused {
        /// Path of the request.
        endpoint: &'static str,
        /// HTTP status of the answer.
        status: u16,
        /// The exchange's code, 0 if the body had none.
        code: i64,
        /// What the body said.
        message: String,
    },
    /// The body exceeds the cap.
    #[error("{endpoint}: the answer exceeds {cap_bytes} bytes; raise the cap if the exchange really grew")]
    TooLarge {
        /// Path of the request.
        endpoint: &'static str,
        /// Largest body that the client reads, bytes.
        cap_bytes: usize,
    },
    /// The body is not what the endpoint documents.
    #[error("{endpoint}: {source}")]
    Wire {
        /// Path of the request.
        endpoint: &'static str,
        /// What is wrong with it.
        source: WireError,
    },
    /// The rows are well-formed and cannot be an answer to what was asked.
    #[error("{endpoint}: {detail}")]
    Answer {
        /// Path of the request.
        endpoint: &'static str,
        /// What contradicts the request.
        detail: String,
    },
}

impl RestError {
    /// Whether asking again later can help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Stopped { .. } | Self::Server { .. } => true,
            // A body cut in the middle reads as bad JSON; a bad value in good JSON stays bad.
            Self::Wire { source, .. } => matches!(source, WireError::Shape { .. }),
            Self::Setup { .. }
            | Self::Location { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Answer { .. } => false,
        }
    }

    /// The least time to wait before asking again, where the exchange set one.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Stopped { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// Whether the exchange does not know the symbol.
    #[must_use]
    pub const fn is_unknown_symbol(&self) -> bool {
        matches!(self, Self::Refused { code: -1121, .. })
    }
}
