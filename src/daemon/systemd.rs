//! Talking to the service manager. Without one (no `NOTIFY_SOCKET`) every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use super::shared::Shared;

/// How often a starting daemon says what it waits for.
const STARTING_EVERY: Duration = Duration::from_secs(1);

/// The service manager's end, as far as the daemon cares.
#[derive(Debug)]
pub(super) struct ServiceManager {
    last_status: String,
    watchdog: Option<Duration>,
}

impl Default for ServiceManager {
    fn default() -> Self {
        Self { last_status: String::new(), watchdog: sd_notify::watchdog_enabled() }
    }
}

impl ServiceManager {
    /// How often the main loop should call [`ServiceManager::alive`]: a third of what is allowed.
    #[must_use]
    pub(super) fn alive_every(&self) -> Duration {
        self.watchdog.map_or(Duration::from_secs(5), |limit| limit / 3)
    }

    /// The API listens and the store is open.
    pub(super) fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// A reload begins; [`ServiceManager::ready`] ends it.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "no monotonic time for the service manager"),
        }
    }

    /// The daemon stops.
    pub(super) fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }

    /// The main loop turned. Called from the loop itself, never from a side task.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            send(&[NotifyState::Watchdog]);
        }
    }

    /// Gives signs of life while the daemon waits for something at its start.
    pub(super) async fn alive_while<T>(&mut self, shared: &Shared, waited_for: impl Future<Output = T>) -> T {
        let mut waited_for = std::pin::pin!(waited_for);
        loop {
            let status = shared.status();
            let rest = status.rest.trouble().map(|trouble| format!("; {trouble}"));
            self.status(&format!("{}: {}{}", status.state.name(), status.detail, rest.unwrap_or_default()));
            match tokio::time::timeout(self.alive_every().min(STARTING_EVERY), &mut waited_for).await {
                Ok(done) => return done,
                Err(_) => self.alive(),
            }
        }
    }

    /// One line for `systemctl status`; repeats are not sent.
    pub(super) fn status(&mut self, line: &str) {
        if line != self.last_status {
            line.clone_into(&mut self.last_status);
            send(&[NotifyState::Status(line)]);
        }
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
