//! Who belongs to the universe, and who did: a small file of the state directory, so that a restart need not
//! ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use backtestd_core::market::{BarIndex, Symbol, Ts};
use backtestd_store::lake::write_bytes;

/// Name of the file below the state directory.
const FILE: &str = "universe.json";

/// A symbol that is followed, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name at the exchange.
    pub symbol: Symbol,
    /// Its spot pair is followed too.
    pub has_spot: bool,
    /// When the contract began to trade, as the exchange said when it joined: what tells it from another one
    /// of its name.
    pub onboard: Option<Ts>,
    /// Its first row; none: it has been there from the beginning of the history.
    pub since: Option<BarIndex>,
    /// It is followed no longer.
    pub left: Option<Left>,
}

/// When and why a symbol left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// By the exchange's clock.
    pub at: Ts,
    /// Why, in words.
    pub why: String,
}

/// All of them, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(BTreeMap<Symbol, Member>);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}; a universe that is forgotten is chosen anew: remove the file if that is what you want", path.display())]
pub struct MembersError {
    path: PathBuf,
    detail: String,
}

impl Members {
    /// Reads the file; empty if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(state: &Path) -> Result<Self, MembersError> {
        let path = state.join(FILE);
        let fail = |detail: String| MembersError { path: path.clone(), detail };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fail(error.to_string())),
        };
        let all: Vec<Member> = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
        Ok(Self(all.into_iter().map(|member| (member.symbol.clone(), member)).collect()))
    }

    /// Writes the file as a whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, state: &Path) -> Result<(), MembersError> {
        let path = state.join(FILE);
        let fail = |detail: String| MembersError { path: path.clone(), detail };
        std::fs::create_dir_all(state).map_err(|error| fail(error.to_string()))?;
        let all: Vec<&Member> = self.0.values().collect();
        let bytes = serde_json::to_vec_pretty(&all).map_err(|error| fail(error.to_string()))?;
        write_bytes(&path, &bytes).map_err(|error| fail(error.to_string()))
    }

    /// Whether nobody was ever chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whoever is or was a member, by name.
    #[must_use]
    pub fn of(&self, symbol: &Symbol) -> Option<&Member> {
        self.0.get(symbol)
    }

    /// Everybody who is or was a member, in name order.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.0.values()
    }

    /// Those who are followed, in name order.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.all().filter(|member| member.left.is_none())
    }

    /// Takes a member in, or back.
    pub fn join(&mut self, member: Member) {
        self.0.insert(member.symbol.clone(), member);
    }

    /// A member is followed no longer.
    pub fn leave(&mut self, symbol: &Symbol, at: Ts, why: &str) {
        if let Some(member) = self.0.get_mut(symbol) {
            member.left = Some(Left { at, why: why.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_remembered_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut members = Members::load(dir.path()).unwrap();
        assert!(members.is_empty());
        for (name, since) in [("BTCUSDT", None), ("ETHUSDT", Some(BarIndex(7)))] {
            let symbol = Symbol::new(name).unwrap();
            members.join(Member { symbol, has_spot: true, onboard: Some(Ts(5)), since, left: None });
        }
        members.leave(&Symbol::new("BTCUSDT").unwrap(), Ts(9), "it does not trade: SETTLING");
        members.save(dir.path()).unwrap();
        let again = Members::load(dir.path()).unwrap();
        assert_eq!(again, members);
        assert_eq!(again.present().map(|m| m.symbol.as_str()).collect::<Vec<_>>(), ["ETHUSDT"]);
        std::fs::write(dir.path().join(FILE), "[{]").unwrap();
        let error = Members::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("universe.json") && error.contains("line 1"), "{error}");
    }
}
