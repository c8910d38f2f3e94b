//! What the scenario does to sockets and frames.

use backtestd_core::market::{Draws, Symbol, Ts, derive};
use backtestd_lab::sim::{Fault, FaultKind};
use serde_json::Value;

use crate::venue::state::Venue;

use super::frames::Frame;
use super::stream::Route;

/// Whether sockets of a route are cut and refused now.
pub(super) fn is_cut(venue: &Venue, route: Route, at: Ts) -> bool {
    holds(venue, FaultKind::Disconnect, route, at)
}

/// Whether sockets of a route stay open and say nothing.
pub(super) fn is_half_open(venue: &Venue, route: Route, at: Ts) -> bool {
    holds(venue, FaultKind::HalfOpen, route, at)
}

fn holds(venue: &Venue, kind: FaultKind, route: Route, at: Ts) -> bool {
    let mut rules = venue.market.scenario().faults_at(kind, at);
    let is_hit = rules.any(|fault| {
        fault.symbols.is_empty() && fault.hits_path(route.path()) && fault.hits_market(route.side())
    });
    if is_hit {
        venue.tally.fault(kind);
    }
    is_hit
}

/// Whether a symbol has no say in the arrays of all symbols now.
pub(super) fn is_muted(venue: &Venue, symbol: usize, family: &str, at: Ts) -> bool {
    let mut rules = venue.market.scenario().faults_at(FaultKind::SilentStreams, at);
    rules.any(|fault| {
        !fault.symbols.is_empty() && fault.hits(Some(venue.key(symbol))) && fault.hits_stream(family)
    })
}

/// Texts to be sent at once, and texts to be sent later.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) now: Vec<String>,
    pub(super) later: Vec<(Ts, String)>,
}

/// A stream's name taken apart for the rules.
struct Stream<'a> {
    family: &'a str,
    symbol: Option<Symbol>,
}

/// What comes of a frame on its way: nothing, itself, or worse. `text` is the frame as it would be sent.
pub(super) fn pass(venue: &Venue, route: Route, name: &str, frame: &Frame, text: String) -> Sent {
    if venue.market.scenario().faults.is_empty() {
        return Sent { now: vec![text], later: Vec::new() };
    }
    let stream = parts(name);
    let symbol = frame.symbol.map(|symbol| venue.key(symbol).clone()).or(stream.symbol);
    let mut draws = Draws::numbered(derive(derive(venue.market.seed(), "frames"), name), frame.at.0);
    let mut rule = |kind| rule(venue, kind, route, stream.family, symbol.as_ref(), frame.at, &mut draws);
    if rule(FaultKind::SilentStreams).is_some() || rule(FaultKind::DropFrames).is_some() {
        return Sent::default();
    }
    let mut text = text;
    let is_strange = rule(FaultKind::StrangeFrames).is_some();
    if is_strange {
        text = strange(&text);
    }
    if rule(FaultKind::CorruptFrames).is_some() {
        text = corrupt(&text, frame.at.0);
    }
    let mut sent = Sent::default();
    if is_strange {
        sent.now.push(format!("{{\"e\":\"surpriseUpdate\",\"E\":{},\"z\":[1,2,{{}}]}}", frame.at.0));
    }
    let copies = if rule(FaultKind::DuplicateFrames).is_some() { 2 } else { 1 };
    match rule(FaultKind::DelayFrames) {
        Some(fault) => {
            let at = Ts(frame.at.0 + fault.seconds * 1000);
            sent.later.extend(std::iter::repeat_n((at, text), copies));
        }
        None => sent.now.extend(std::iter::repeat_n(text, copies)),
    }
    sent
}

/// Whether frames that are due together are to change places.
pub(super) fn is_shuffled(venue: &Venue, route: Route, at: Ts) -> bool {
    holds(venue, FaultKind::ReorderFrames, route, at)
}

/// Another order, the same for the same instant.
pub(super) fn shuffle(texts: &mut [String], at: Ts, seed: u64) {
    let mut draws = Draws::numbered(derive(seed, "order of frames"), at.0);
    for last in (1..texts.len()).rev() {
        let other = (draws.uniform() * (last + 1) as f64) as usize;
        texts.swap(last, other.min(last));
    }
}

fn rule<'a>(
    venue: &'a Venue,
    kind: FaultKind,
    route: Route,
    family: &str,
    symbol: Option<&Symbol>,
    at: Ts,
    draws: &mut Draws,
) -> Option<&'a Fault> {
    let fault = venue.market.scenario().faults_at(kind, at).find(|fault| {
        fault.hits(symbol)
            && fault.hits_stream(family)
            && fault.hits_path(route.path())
            && fault.hits_market(route.side())
    })?;
    let is_hit = draws.uniform() < fault.share;
    is_hit.then(|| {
        venue.tally.fault(kind);
        fault
    })
}

/// `btcusdt@kline_5m` is of the family `kline`, `!markPrice@arr@1s` of `markPrice`, `x@depth20@100ms` of
/// `depth`.
fn parts(name: &str) -> Stream<'_> {
    let (symbol, stream) = match name.strip_prefix('!') {
        Some(all) => ("", all),
        None => name.split_once('@').unwrap_or(("", name)),
    };
    let end = stream.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(stream.len());
    let symbol = symbol.split('_').next().unwrap_or_default();
    Stream { family: &stream[..end], symbol: Symbol::new(symbol).ok() }
}

/// The same facts with fields that nobody knows.
fn strange(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap_or_default();
    fn add(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(add);
                fields.insert("zz".into(), Value::from("new"));
            }
            Value::Array(rows) => rows.iter_mut().for_each(add),
            _ => {}
        }
    }
    add(&mut value);
    value.to_string()
}

/// Cut in the middle, or a letter in place of a digit.
fn corrupt(text: &str, at_ms: i64) -> String {
    if at_ms % 2 == 0 {
        let mut end = text.len() / 2;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        return text[..end].to_owned();
    }
    text.replacen("\":\"", "\":\"x", 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_s_family_is_its_word() {
        let check = |name, family, symbol: Option<&str>| {
            let stream = parts(name);
            assert_eq!(
                (stream.family, stream.symbol.as_ref().map(Symbol::as_str)),
                (family, symbol),
                "{name}"
            );
        };
        check("btcusdt@kline_5m", "kline", Some("BTCUSDT"));
        check("btcusdt_perpetual@continuousKline_1m", "continuousKline", Some("BTCUSDT"));
        check("!markPrice@arr@1s", "markPrice", None);
        check("ethusdt@depth20@100ms", "depth", Some("ETHUSDT"));
    }

    #[test]
    fn a_strange_frame_still_tells_the_truth() {
        let text = strange(r#"{"stream":"a@b","data":{"e":"kline","k":{"c":"1.5"}}}"#);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["data"]["k"]["c"], &value["data"]["zz"]),
            (&Value::from("1.5"), &Value::from("new"))
        );
        assert!(serde_json::from_str::<Value>(&corrupt(&text, 2)).is_err());
    }
}
