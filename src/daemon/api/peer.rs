//! Who is asking: peer credentials of the socket, and the right to change something.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use tokio::net::UnixStream;

use super::Problem;
use crate::daemon::shared::Shared;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process of this user (`SO_PEERCRED`).
    User(u32),
    /// Nobody in particular: a TCP connection, or credentials that could not be read. May read.
    Anonymous,
}

impl Peer {
    /// Who stands behind a connection of the socket.
    #[must_use]
    pub fn of(stream: &UnixStream) -> Self {
        stream.peer_cred().map_or(Self::Anonymous, |credentials| Self::User(credentials.uid()))
    }

    /// Whether this peer may change something of a daemon that runs as `owner`.
    #[must_use]
    pub const fn may_change(self, owner: u32) -> bool {
        matches!(self, Self::User(uid) if uid == owner || uid == 0)
    }
}

/// Extractor: refuses peers that may only read, with 403.
#[derive(Clone, Copy, Debug)]
pub(super) struct MayChange;

impl FromRequestParts<Arc<Shared>> for MayChange {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Shared>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().map_or(Peer::Anonymous, |info| info.0);
        if own_uid().is_some_and(|owner| peer.may_change(owner)) {
            return Ok(Self);
        }
        Err(Problem::new(
            403,
            "this peer may only read: commands are for the daemon's own user and root, over the Unix socket"
                .to_owned(),
        ))
    }
}

/// The user this process runs as: the owner of its entry in /proc.
fn own_uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|m| m.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_change_something() {
        assert!(Peer::User(1000).may_change(1000));
        assert!(Peer::User(0).may_change(1000));
        assert!(!Peer::User(1001).may_change(1000));
        assert!(!Peer::Anonymous.may_change(1000));
    }
}
