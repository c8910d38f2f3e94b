//! The other end of the API: what `backtestd status`, `recompute` and the rest speak.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Why a request to the daemon did not give an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon answers on the socket.
    #[error(
        "no daemon answers on {}: {reason}; start one with `backtestd run`, or name its socket with --socket",
        socket.display()
    )]
    NotRunning {
        /// Path of the daemon's Unix socket.
        socket: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The daemon answered with a problem document.
    #[error("{detail}")]
    Problem {
        /// HTTP status of the answer.
        status: u16,
        /// What the daemon says.
        detail: String,
    },
    /// The answer broke off or was not what the API promises.
    #[error("the daemon's answer cannot be used: {0}")]
    Answer(String),
}

/// A client of one daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    http: reqwest::Client,
}

impl Client {
    /// For the daemon on `socket`; connects with the first request.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        // No TLS is spoken here, but the HTTP client wants a provider to exist; a second install is refused
        // harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Answer(error.to_string()))?;
        Ok(Self { socket: socket.to_owned(), http })
    }

    /// `GET path` as JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, ClientError> {
        let request = self.http.get(format!("http://localhost{path}")).query(query);
        self.json(request).await
    }

    /// `POST path` with a JSON body, the answer as JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.json(self.http.post(format!("http://localhost{path}")).json(body)).await
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> Result<Value, ClientError> {
        let response = request.send().await.map_err(|error| self.send_error(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| ClientError::Answer(error.to_string()))?;
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| ClientError::Answer(format!("HTTP {status}, {error}")))?;
        if status.is_success() {
            return Ok(value);
        }
        let detail = value["detail"].as_str().unwrap_or("no detail given").to_owned();
        Err(ClientError::Problem { status: status.as_u16(), detail })
    }

    fn send_error(&self, error: &reqwest::Error) -> ClientError {
        // The innermost cause is the operating system's: "No such file", "Connection refused", "Permission
        // denied".
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        if error.is_connect() {
            ClientError::NotRunning { socket: self.socket.clone(), reason: cause.to_string() }
        } else {
            ClientError::Answer(format!("the connection broke: {cause}"))
        }
    }
}
