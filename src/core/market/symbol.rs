//! Symbols and markets.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An exchange symbol such as `BTCUSDT`: upper case, no separators, cheap to clone, ordered by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(Arc<str>);

/// Text that cannot be a symbol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a symbol (letters and digits, upper case, at most 40 bytes, as in BTCUSDT)")]
pub struct SymbolError(pub String);

impl Symbol {
    /// Checks and upper-cases. Non-ASCII letters are allowed: such contracts are listed.
    ///
    /// # Errors
    /// When the text is empty, too long, or holds anything but letters, digits and `_`.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        let text = text.trim().to_uppercase();
        let fits =
            !text.is_empty() && text.len() <= 40 && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if fits { Ok(Self(text.into())) } else { Err(SymbolError(text)) }
    }

    /// The symbol's name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The NautilusTrader instrument id of the USD-M perpetual.
    #[must_use]
    pub fn nautilus_perp(&self) -> String {
        format!("{}-PERP.BINANCE", self.0)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;
    fn from_str(s: &str) -> Result<Self, SymbolError> {
        Self::new(s)
    }
}

impl TryFrom<String> for Symbol {
    type Error = SymbolError;
    fn try_from(s: String) -> Result<Self, SymbolError> {
        Self::new(&s)
    }
}

impl From<Symbol> for String {
    fn from(s: Symbol) -> Self {
        s.0.as_ref().to_owned()
    }
}

/// Which market of the venue a series belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Market {
    /// USD-M perpetual futures.
    Perp,
    /// The spot market.
    Spot,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Perp => "perp",
            Self::Spot => "spot",
        })
    }
}
