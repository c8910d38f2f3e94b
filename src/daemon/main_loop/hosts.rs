//! Where the exchange is, whose time it has, and how long one waits for it at the start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::start::{DaemonError, show_detail};
use super::time::{TimeAnswer, Timekeeper};
use crate::daemon::config::{ClockSource, Config};
use crate::daemon::feed::{self, Follow};
use crate::daemon::live::LiveSieve;
use crate::daemon::shared::Shared;
use crate::daemon::systemd::ServiceManager;
use backtestd_binance::clock::{ExchangeClock, SystemClock};
use backtestd_binance::{
    Limits, RefusedFrame, Rest, RestConfig, RestError, Sieve, Stamped, StreamKind, Subscription, Update,
    WsClient, WsConfig,
};
use backtestd_core::clock::Clock;
use backtestd_core::market::Market;
use backtestd_core::spec::CompiledSpec;

/// Wait between two questions for the time.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long frames of the streams are awaited that may contradict `/time`.
const FRAMES_WITHIN: Duration = Duration::from_secs(2);
/// After so long without an answer of `/time` the streams are enough.
const STREAMS_ALONE_AFTER: Duration = Duration::from_secs(3);
/// Updates that may come before the loop turns; the streams wait with further ones.
const EARLY_UPDATES: usize = 8192;
/// How long somebody is awaited who agrees with `/time`, where others contradict it.
const AGREED_WITHIN: Duration = Duration::from_secs(6);
/// Wait after which the voices are weighed again while the time is not known.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The exchange's clock, told once.
///
/// # Errors
/// When the exchange does not say what time it is.
pub async fn exchange_clock(config: &Config) -> Result<Arc<dyn Clock>, RestError> {
    let clock = ExchangeClock::new(speed(config));
    let rest = Rest::new(rest_config(config), Arc::new(SystemClock))?;
    let mut time = Timekeeper::new(Some(clock.clone()), config.clock);
    let began = Instant::now();
    loop {
        if let Some(answer) = TimeAnswer::ask(&rest, clock.speed()).await? {
            let trouble = time.told(&answer);
            if time.is_agreed() || began.elapsed() > FRAMES_WITHIN {
                warn_of(trouble);
                return Ok(Arc::new(clock));
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn warn_of(trouble: Option<String>) {
    if let Some(trouble) = trouble {
        tracing::warn!("{trouble}");
    }
}

/// The lines to the exchange, and the time that came over them.
pub(super) struct Lines {
    pub websocket: WsClient,
    pub subscribed: Vec<(Market, Subscription)>,
    pub updates: mpsc::Receiver<Stamped>,
    /// Updates that came before anybody listened.
    pub early: Vec<Stamped>,
    pub sieve: Arc<LiveSieve>,
    pub time: Timekeeper,
}

impl Lines {
    /// Opens them, and waits until the exchange has told the time where it has to.
    pub(super) async fn open(
        shared: &Shared,
        follow: &Follow,
        spec: &CompiledSpec,
        told: Option<ExchangeClock>,
        service: &mut ServiceManager,
    ) -> Result<Self, DaemonError> {
        let (config, clock) = (&shared.config, &shared.clock);
        let rest = Rest::new(rest_config(config), Arc::clone(clock))?;
        let rest = shared.rest.get_or_init(|| rest).clone();
        let subscribed = feed::subscriptions(config.collect, follow);
        let sieve = Arc::new(LiveSieve::new(clock.clone(), told.clone(), &spec.sources));
        let (websocket, mut updates) = WsClient::spawn(ws_config(config, sieve.clone()), &subscribed, clock)?;
        let _ = shared.metrics.streams.set(websocket.stats().clone());
        let has_to_be_told = told.is_some();
        let mut time = Timekeeper::new(told, config.clock);
        let mut early = Vec::new();
        if has_to_be_told {
            show_detail(shared, "asking the exchange what time it is");
            let told = wait_for_time(&rest, &mut time, &mut updates, shared);
            early = service.alive_while(shared, told).await?;
            shared.update(|s| s.spec.loaded_at = Some(clock.now()));
        }
        let early = early.into_iter().map(|stamped| judged(stamped, sieve.as_ref())).collect();
        Ok(Self { websocket, subscribed, updates, early, sieve, time })
    }
}

/// An update that came before anybody knew the time, and so before it could be judged.
fn judged(stamped: Stamped, sieve: &dyn Sieve) -> Stamped {
    let (kind, market) = match &stamped.update {
        Update::Kline(kline) => (StreamKind::Kline, kline.market),
        Update::Mark(_) => (StreamKind::MarkPrice, Market::Perp),
        Update::ForceOrder(_) => (StreamKind::ForceOrder, Market::Perp),
        Update::BookTicker(quote) => (StreamKind::BookTicker, quote.market),
        _ => return stamped,
    };
    let (Some(route), Some(reason)) = (kind.route(market), sieve.doubt(&stamped.update)) else {
        return stamped;
    };
    // Its text is gone by now.
    let frame = format!("{:?}", stamped.update);
    Stamped { update: Update::Refused(RefusedFrame { route, reason, frame }), ..stamped }
}

/// How fast the exchange's time runs.
pub(super) fn speed(config: &Config) -> f64 {
    if is_simulated(config) { config.clock.speed } else { 1.0 }
}

/// Waits until `/time`, or the streams alone, have told the time; the updates that came meanwhile. `status`
/// says why it takes long.
///
/// # Errors
/// What `/time` fails with for good.
async fn wait_for_time(
    rest: &Rest,
    time: &mut Timekeeper,
    updates: &mut mpsc::Receiver<Stamped>,
    shared: &Shared,
) -> Result<Vec<Stamped>, RestError> {
    let began = Instant::now();
    let mut early = Vec::new();
    let speed = speed(&shared.config);
    let mut answered: Option<(Instant, TimeAnswer)> = None;
    let ask = |after: Duration| async move {
        tokio::time::sleep(after).await;
        TimeAnswer::ask(rest, speed).await
    };
    let mut question = Box::pin(ask(Duration::ZERO));
    loop {
        if let Some((first, answer)) = &answered {
            // Where the last answer stands alone the next may not, or frames come that say who is right.
            let trouble = time.told(answer);
            let patience = if time.is_contradicted(answer) { AGREED_WITHIN } else { FRAMES_WITHIN };
            if time.is_agreed() || first.elapsed() > patience {
                warn_of(trouble);
                return Ok(early);
            }
        }
        if answered.is_none() && time.has_heard() && began.elapsed() > STREAMS_ALONE_AFTER {
            tracing::warn!("the exchange does not say what time it is; going by its streams");
            time.go_by_streams();
            return Ok(early);
        }
        tokio::select! {
            answer = &mut question => {
                match answer {
                    Ok(Some(answer)) => {
                        let first = answered.map_or_else(Instant::now, |(first, _)| first);
                        answered = Some((first, answer));
                        drop(time.told(&answer));
                        shared.update(|s| s.clock = time.status(&answer));
                    }
                    Ok(None) => {}
                    Err(error) if error.is_retryable() => {
                        shared.update(|s| s.detail = format!("the exchange does not say what time it is: {error}"));
                        tracing::warn!(%error, "the exchange does not say what time it is yet");
                    }
                    Err(error) => return Err(error),
                }
                question = Box::pin(ask(ASK_AGAIN));
            }
            Some(update) = updates.recv(), if early.len() < EARLY_UPDATES => {
                time.hear(&update.update);
                early.push(update);
            }
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// An exchange whose time is asked for instead of the system's is a simulated one.
fn is_simulated(config: &Config) -> bool {
    config.clock.source == ClockSource::Exchange
}

/// Hosts, limits and patience of the REST client.
#[must_use]
pub fn rest_config(config: &Config) -> RestConfig {
    let urls = &config.binance;
    let base =
        if is_simulated(config) { RestConfig::simulated(&urls.futures_rest) } else { RestConfig::default() };
    RestConfig {
        futures_url: urls.futures_rest.clone(),
        spot_url: urls.spot_rest.clone(),
        limits: Limits::default().times(speed(config)),
        trusts_clock: true,
        ..base
    }
}

/// Hosts and patience of the websocket client.
#[must_use]
pub fn ws_hosts(config: &Config) -> WsConfig {
    let urls = &config.binance;
    let base = if is_simulated(config) { WsConfig::simulated(&urls.futures_ws) } else { WsConfig::default() };
    WsConfig { futures_url: urls.futures_ws.clone(), spot_url: urls.spot_ws.clone(), ..base }
}

/// The same, and who judges what it hears.
fn ws_config(config: &Config, sieve: Arc<LiveSieve>) -> WsConfig {
    WsConfig { sieve: Some(sieve), ..ws_hosts(config) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_binance::MarkUpdate;
    use backtestd_core::market::{Symbol, Ts};

    #[derive(Debug)]
    struct Strict;

    impl Sieve for Strict {
        fn doubt(&self, update: &Update) -> Option<String> {
            let Update::Mark(mark) = update else { return None };
            (mark.mark <= 0.0).then(|| "a price is positive".to_owned())
        }
    }

    #[test]
    fn what_came_before_the_time_was_known_is_judged_when_it_is() {
        let update = |mark: f64| {
            let symbol = Symbol::new("BTCUSDT").unwrap();
            let (index, predicted_rate) = (1.0, 0.0);
            let event_ts = Ts(1000);
            let update = MarkUpdate { symbol, mark, index, predicted_rate, next_funding_ts: None, event_ts };
            Stamped { arrival: event_ts, update: Update::Mark(update) }
        };
        assert_eq!(judged(update(2.0), &Strict), update(2.0));
        let Update::Refused(refused) = judged(update(-2.0), &Strict).update else { panic!("it is refused") };
        assert!(refused.reason.contains("positive") && refused.frame.contains("-2.0"), "{refused:?}");
    }
}
