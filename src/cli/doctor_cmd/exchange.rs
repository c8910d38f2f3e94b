//! The exchange: reachable, of one mind with the clock, listing what is followed, letting through what is
//! asked, talking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Finding;
use crate::daemon::config::{ClockSource, Config, UniverseRule};
use crate::daemon::feed::{Listing, overload};
use crate::daemon::universe::{Member, Members, Offer, decide};
use crate::daemon::{rest_config, ws_hosts};
use backtestd_binance::archive::{ArchiveHost, plan};
use backtestd_binance::clock::SystemClock;
use backtestd_binance::{Rest, RestConfig, Subscription, WsClient, install_tls};
use backtestd_core::clock::Clock;
use backtestd_core::market::{Kind, Market, SeriesKey};

/// A host that does not answer within this time is taken for unreachable.
const PATIENCE: Duration = Duration::from_secs(8);
/// A stream of this kind says something every second.
const STREAM_PATIENCE: Duration = Duration::from_secs(15);
/// Offset of the clock that a tick's grace still hides, and one that it does not, ms.
const OFFSET_MS: (i64, i64) = (500, 3000);
/// Time within which the statistics of all symbols have to be asked for: a bar.
const STATISTICS_PATIENCE: Duration = Duration::from_secs(300);

/// Asks it everything that can be asked without a key.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    install_tls();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rest = match Rest::new(RestConfig { trusts_clock: false, ..rest_config(config) }, Arc::clone(&clock))
    {
        Ok(rest) => rest,
        Err(error) => {
            return vec![Finding::wrong("exchange", error.to_string(), "check binance.futures_rest")];
        }
    };
    let mut findings = Vec::new();
    let mut is_reachable = true;
    let markets = [(Market::Perp, &config.binance.futures_rest), (Market::Spot, &config.binance.spot_rest)];
    for (market, url) in markets {
        if market == Market::Spot && config.spot_symbols.is_empty() {
            continue;
        }
        let (found, answered) = time_of(&rest, &clock, market, url, config.clock.source).await;
        is_reachable &= answered;
        findings.extend(found);
    }
    if !is_reachable {
        return findings;
    }
    let mut config = config.clone();
    if let Some(rule) = config.universe.take() {
        findings.push(universe(&rest, &rule, &mut config).await);
    }
    let config = &config;
    findings.push(listing(&rest, config).await);
    findings.push(limits(config));
    findings.push(streams(config, &clock).await);
    findings.extend(archive(config).await);
    findings
}

/// Whether the archive answers; nothing of a daemon depends on it.
async fn archive(config: &Config) -> Option<Finding> {
    let url = &config.binance.archive;
    let host = ArchiveHost::new(url).ok().filter(|_| config.archive_audit)?;
    let symbol = config.symbols.first()?.clone();
    let series = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol };
    // Of some days ago: it is there, if the symbol is.
    let file = plan::daily(&series, "klines", SystemClock.now().day() - 3);
    Some(match tokio::time::timeout(PATIENCE, host.checksum(&file.path)).await {
        Ok(Ok(_)) => Finding::fine("archive", format!("{url} answers")),
        Ok(Err(_)) | Err(_) => Finding::warning(
            "archive",
            format!("{url} does not answer within {} s", PATIENCE.as_secs()),
            "past days are not compared with it; check binance.archive, or set archive_audit = \"off\"",
        ),
    })
}

/// Whether a host answers, and how far its time is from ours. Half the round trip is taken off.
async fn time_of(
    rest: &Rest,
    clock: &Arc<dyn Clock>,
    market: Market,
    url: &str,
    source: ClockSource,
) -> (Vec<Finding>, bool) {
    let asked = (clock.now(), Instant::now());
    let subject = if market == Market::Spot { "spot" } else { "futures" };
    let server = match tokio::time::timeout(PATIENCE, rest.server_time(market)).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => {
            let advice =
                "check the address, the network, proxies, and whether this country may reach the exchange";
            return (vec![Finding::wrong(subject, format!("{url}: {error}"), advice)], false);
        }
        Err(_) => {
            let seen = format!("{url} did not answer within {} s", PATIENCE.as_secs());
            return (
                vec![Finding::wrong(subject, seen, "check the network, and firewalls on the way")],
                false,
            );
        }
    };
    let round_ms = i64::try_from(asked.1.elapsed().as_millis()).unwrap_or(0);
    let offset_ms = asked.0.0 + round_ms / 2 - server.0;
    let mut findings = vec![Finding::fine(subject, format!("{url} answers in {round_ms} ms"))];
    if market == Market::Perp {
        findings.push(clock_offset(offset_ms, source));
    }
    (findings, true)
}

fn clock_offset(offset_ms: i64, source: ClockSource) -> Finding {
    if source == ClockSource::Exchange {
        return Finding::fine("clock", "the exchange's time is used (clock.source)");
    }
    let way = if offset_ms > 0 { "ahead of" } else { "behind" };
    let seen = format!("{} ms {way} the exchange", offset_ms.abs());
    let advice = "let the system keep its time: `timedatectl set-ntp true`, or chrony";
    match offset_ms.abs() {
        ms if ms > OFFSET_MS.1 => Finding::wrong("clock", seen, advice),
        ms if ms > OFFSET_MS.0 => Finding::warning("clock", seen, advice),
        _ => Finding::fine("clock", seen),
    }
}

/// Who fits the rule now; the other findings are about them.
async fn universe(rest: &Rest, rule: &UniverseRule, config: &mut Config) -> Finding {
    let offers = match tokio::time::timeout(PATIENCE, Offer::ask(rest, &rule.spot)).await {
        Ok(Ok(offers)) => offers,
        Ok(Err(error)) => {
            return Finding::wrong("universe", error.to_string(), "ask again; exchangeInfo has to answer");
        }
        Err(_) => return Finding::warning("universe", "exchangeInfo did not come in time", "ask again"),
    };
    let members = match Members::load(&config.state) {
        Ok(members) => members,
        Err(error) => return Finding::wrong("universe", error.to_string(), "look into the state directory"),
    };
    let decision = decide(rule, &members, &offers, SystemClock.now());
    let leaves = |member: &&Member| !decision.leaves.iter().any(|(symbol, _)| *symbol == member.symbol);
    let all: Vec<&Member> = members.present().filter(leaves).chain(&decision.joins).collect();
    config.symbols = all.iter().map(|member| member.symbol.clone()).collect();
    config.spot_symbols = all.iter().filter(|member| member.has_spot).map(|m| m.symbol.clone()).collect();
    let seen = format!("{} of {} contracts fit: {}", all.len(), offers.len(), rule.in_words());
    match all.is_empty() {
        true => Finding::wrong("universe", seen, "ask for less in universe.*"),
        false => Finding::fine("universe", seen),
    }
}

async fn listing(rest: &Rest, config: &Config) -> Finding {
    let perp = config.symbols.iter().map(|symbol| (Market::Perp, symbol.clone()));
    let spot = config.spot_symbols.iter().map(|symbol| (Market::Spot, symbol.clone()));
    let bars: Vec<_> = perp.chain(spot).collect();
    match tokio::time::timeout(PATIENCE, Listing::ask(rest, &bars)).await {
        Ok(Ok(listing)) => {
            let unlisted: Vec<String> = listing.unlisted().iter().map(ToString::to_string).collect();
            match (unlisted.is_empty(), listing.not_trading()) {
                (false, _) => Finding::wrong(
                    "symbols",
                    unlisted.join("; "),
                    "take them out of `symbols` or `spot_symbols`",
                ),
                (true, Some(idle)) => {
                    Finding::warning("symbols", idle, "they deliver nothing until they trade")
                }
                (true, None) => Finding::fine("symbols", format!("all {} are listed and trade", bars.len())),
            }
        }
        Ok(Err(error)) => {
            Finding::wrong("symbols", error.to_string(), "ask again; exchangeInfo has to answer")
        }
        Err(_) => Finding::warning("symbols", "exchangeInfo did not come in time", "ask again"),
    }
}

fn limits(config: &Config) -> Finding {
    let limits = rest_config(config).limits;
    match overload(config.symbols.len(), config.collect, &limits, STATISTICS_PATIENCE) {
        None => Finding::fine("limits", "what is asked after each bar fits the exchange's limits"),
        Some((wanted, served)) => Finding::warning(
            "limits",
            format!(
                "{wanted} requests for statistics after each bar, {served} of them let through before the next"
            ),
            "follow fewer symbols, or leave a statistic out of `collect`",
        ),
    }
}

/// Whether a mark price comes: a subscription that is acknowledged proves nothing.
async fn streams(config: &Config, clock: &Arc<dyn Clock>) -> Finding {
    let Some(symbol) = config.symbols.first() else {
        return Finding::wrong("streams", "no symbol to listen to", "name at least one in `symbols`");
    };
    let wanted = [(Market::Perp, Subscription::MarkPrice(symbol.clone()))];
    let (client, mut updates) = match WsClient::spawn(ws_hosts(config), &wanted, clock) {
        Ok(client) => client,
        Err(error) => return Finding::wrong("streams", error.to_string(), "check binance.futures_ws"),
    };
    let began = Instant::now();
    let heard = tokio::time::timeout(STREAM_PATIENCE, async {
        while let Some(stamped) = updates.recv().await {
            if matches!(stamped.update, backtestd_binance::Update::Mark(_)) {
                return true;
            }
        }
        false
    });
    let is_heard = heard.await.unwrap_or(false);
    client.close().await;
    let url = &config.binance.futures_ws;
    if is_heard {
        Finding::fine("streams", format!("{url} spoke after {} ms", began.elapsed().as_millis()))
    } else {
        Finding::wrong(
            "streams",
            format!("{url} said nothing about {symbol} in {} s", STREAM_PATIENCE.as_secs()),
            "check the address and whether proxies let websockets through",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn an_offset_is_graded_by_what_it_does_to_a_tick() {
        let grade = |ms| clock_offset(ms, ClockSource::System).grade;
        assert_eq!((grade(-400), grade(900), grade(-45_000)), (Grade::Fine, Grade::Warning, Grade::Wrong));
        assert!(clock_offset(86_400_000, ClockSource::System).seen.contains("ahead of"));
        assert_eq!(clock_offset(86_400_000, ClockSource::Exchange).grade, Grade::Fine);
    }
}
