//! Listening: the socket file's life, and serving until told to stop.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::middleware::from_fn;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;

use super::{Peer, connections, guard, router};
use crate::daemon::shared::Shared;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody answers on the socket.
    #[error(
        "another daemon answers on {}; stop it first (`backtestd status` shows its pid), or give this one its own --socket and --state",
        path.display()
    )]
    AlreadyServed {
        /// Path of the Unix socket.
        path: PathBuf,
    },
    /// A file is in the way.
    #[error("{} exists and is not a socket; move it away or choose another --socket", path.display())]
    NotASocket {
        /// Path that is taken by something other than a socket.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot listen on {place}: {source}")]
    Io {
        /// Socket path or address.
        place: String,
        /// What the operating system reported.
        source: io::Error,
    },
}

/// Binds the socket with mode 0660. A leftover of a dead daemon is replaced; a living one is an error. The
/// socket appears under its name only with its final mode (bound beside, then renamed).
///
/// # Errors
/// See [`ApiError`].
pub async fn listen_unix(path: &Path) -> Result<UnixListener, ApiError> {
    let io = |source| ApiError::Io { place: path.display().to_string(), source };
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(ApiError::NotASocket { path: path.to_owned() });
        }
        if UnixStream::connect(path).await.is_ok() {
            return Err(ApiError::AlreadyServed { path: path.to_owned() });
        }
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(io)?;
    }
    let beside = path.with_extension(format!("sock.{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).map_err(io)?;
    std::fs::set_permissions(&beside, Permissions::from_mode(0o660)).map_err(io)?;
    std::fs::rename(&beside, path).map_err(io)?;
    Ok(listener)
}

/// Serves on the Unix socket until `stop` turns true; open signal streams end by themselves then.
pub async fn serve_unix(listener: UnixListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) {
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        let peer = Peer::of(&stream);
        Ok((stream, peer))
    };
    connections::serve(accept, router(shared), stop).await;
}

/// Serves on a loopback address. Peers there are anonymous: they may read only, and have to name this
/// machine.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve_loopback(
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> Result<(), ApiError> {
    let io = |source| ApiError::Io { place: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(io)?;
    let app = router(shared).layer(from_fn(guard::local_host_only));
    let accept = async || Ok((listener.accept().await?.0, Peer::Anonymous));
    connections::serve(accept, app, stop).await;
    Ok(())
}
