//! What a request may look like: whom it may be addressed to on the TCP port, how long and how large its body
//! may be.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HOST};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;

/// Largest body of a command, bytes.
const BODY_BYTES: usize = 16 << 10;
/// Time for the whole of a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Refuses requests that are addressed to a name that is not this machine's: a page of somebody else whose
/// name was made to point here would read the status with the visitor's browser.
pub(super) async fn local_host_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    match host {
        Some(host) if is_local(host) => next.run(request).await,
        other => Problem::new(
            403,
            format!(
                "Host '{}' is not this machine: ask for localhost or 127.0.0.1",
                other.unwrap_or_default()
            ),
        )
        .into_response(),
    }
}

/// `localhost`, or an address of the loopback, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A body that is small and comes in time.
pub(super) async fn body(request: Request) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    let stated = parts.headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|n| n > BODY_BYTES as u64) {
        return Err(too_large());
    }
    read(body, BODY_DEADLINE).await
}

async fn read(body: Body, deadline: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(deadline, to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.to_string().contains("length limit") => Err(too_large()),
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body could not be read: {error}"))),
        Err(_) => {
            Err(Problem::new(408, format!("the body did not come within {} s", deadline.as_secs_f64())))
        }
    }
}

fn too_large() -> Problem {
    Problem::new(413, format!("a body has at most {BODY_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in
            ["localhost", "LOCALHOST:9184", "127.0.0.1", "127.0.0.1:80", "[::1]:9184", "[::1]", "127.9.9.9:1"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9184", "localhost.evil.example", "10.0.0.1", "", "[fe80::1]:1"]
        {
            assert!(!is_local(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
        let stated = Request::builder().header(CONTENT_LENGTH, "99999999999").body(Body::empty()).unwrap();
        assert_eq!(body(stated).await.unwrap_err().status, 413);
        let silent = Request::new(Body::from(vec![b' '; BODY_BYTES + 1]));
        assert_eq!(body(silent).await.unwrap_err().status, 413);
        assert_eq!(body(Request::new(Body::from("{}"))).await.unwrap(), "{}");
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(never, Duration::from_millis(30)).await.unwrap_err().status, 408);
    }
}
