//! Events and ends of episodes.
//!
//! ```text
//! event          key    time: deciding bar | symbol 0x00 | event type 0x00
//!                value  0x02 | postcard of `StoredEvent2` (0x01 | of `StoredEvent`: without `sigma_event`)
//! episode end    key    time: exit bar | symbol 0x00 | event type 0x00 | time: onset bar
//!                value  0x01
//! revision       key    the event's key | time: rewind number
//!                value  0x01 | last committed bar before the rewind, i64 LE | the event's value
//! ```
//!
//! Time comes first, so a tick's facts lie together and a rewind is one range. postcard writes floats as
//! their bits: a value reads back bit for bit, NaN included.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{push_symbol, push_text, push_time, text_at, time_at, time_at_end};
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::outcomes::{EpisodeEnd, Event};

const VERSION: u8 = 1;
/// Of an event's value.
const EVENT_VERSION: u8 = 2;

/// The layout of an event's value: not [`Event`] itself, so that a change there cannot change what is on
/// disk.
#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    family: &'a str,
    direction: i8,
    severity: f64,
    states: Vec<i8>,
    vol_regime: i8,
    carry_state: i8,
    sigma_bar: f64,
    #[serde(borrow)]
    features: Vec<(&'a str, f64)>,
}

/// A value of version 2: the same, then `sigma_event`. Records of version 1 were written before there was
/// one, and score their outcomes in `sigma_bar`; specs that have the feature are others than those, and write
/// the records anew.
#[derive(Serialize, Deserialize)]
struct StoredEvent2<'a> {
    #[serde(borrow)]
    first: StoredEvent<'a>,
    sigma_event: f64,
}

/// Shares equal strings of many records.
#[derive(Debug, Default)]
pub(in crate::db) struct Interner(BTreeMap<String, Arc<str>>);

impl Interner {
    pub(in crate::db) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let made: Arc<str> = text.into();
        self.0.insert(text.to_owned(), Arc::clone(&made));
        made
    }
}

pub(in crate::db) fn key(bar: BarIndex, symbol: &Symbol, event_type: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(40);
    push_time(&mut key, bar.0);
    push_symbol(&mut key, symbol);
    push_text(&mut key, event_type);
    key
}

pub(in crate::db) fn encode(event: &Event) -> Result<Vec<u8>, postcard::Error> {
    let stored = StoredEvent {
        family: &event.family,
        direction: event.direction,
        severity: event.severity,
        states: event.states.to_vec(),
        vol_regime: event.vol_regime,
        carry_state: event.carry_state,
        sigma_bar: event.sigma_bar,
        features: event.features.iter().map(|(name, v)| (&**name, *v)).collect(),
    };
    postcard::to_extend(&StoredEvent2 { first: stored, sigma_event: event.sigma_event }, vec![EVENT_VERSION])
}

pub(in crate::db) fn decode(key: &[u8], value: &[u8], names: &mut Interner) -> Option<Event> {
    let bar = BarIndex(time_at(key, 0)?);
    let (symbol, next) = text_at(key, 8)?;
    let (event_type, _) = text_at(key, next)?;
    let (s, sigma_event) = match value.split_first()? {
        (&VERSION, body) => {
            let s: StoredEvent<'_> = postcard::from_bytes(body).ok()?;
            let sigma_event = s.sigma_bar;
            (s, sigma_event)
        }
        (&EVENT_VERSION, body) => {
            let s: StoredEvent2<'_> = postcard::from_bytes(body).ok()?;
            (s.first, s.sigma_event)
        }
        _ => return None,
    };
    Some(Event {
        event_type: names.get(event_type),
        family: names.get(s.family),
        symbol: Symbol::new(symbol).ok()?,
        bar,
        direction: s.direction,
        severity: s.severity,
        states: s.states.into(),
        vol_regime: s.vol_regime,
        carry_state: s.carry_state,
        sigma_bar: s.sigma_bar,
        sigma_event,
        features: s.features.into_iter().map(|(name, v)| (names.get(name), v)).collect(),
    })
}

pub(in crate::db) fn end_key(end: &EpisodeEnd) -> Vec<u8> {
    let mut key = key(end.exit, &end.symbol, &end.event_type);
    push_time(&mut key, end.onset.0);
    key
}

pub(in crate::db) const END_VALUE: [u8; 1] = [VERSION];

pub(in crate::db) fn decode_end(key: &[u8], value: &[u8], names: &mut Interner) -> Option<EpisodeEnd> {
    if value != END_VALUE {
        return None;
    }
    let (symbol, next) = text_at(key, 8)?;
    let (event_type, _) = text_at(key, next)?;
    Some(EpisodeEnd {
        event_type: names.get(event_type),
        symbol: Symbol::new(symbol).ok()?,
        onset: BarIndex(time_at_end(key)?),
        exit: BarIndex(time_at(key, 0)?),
    })
}

pub(in crate::db) fn revision_key(event_key: &[u8], rewind: i64) -> Vec<u8> {
    let mut key = event_key.to_vec();
    push_time(&mut key, rewind);
    key
}

pub(in crate::db) fn encode_revision(committed: BarIndex, event_value: &[u8]) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&committed.0.to_le_bytes());
    value.extend_from_slice(event_value);
    value
}

/// Last committed bar before the rewind, and the event's value.
pub(in crate::db) fn decode_revision(value: &[u8]) -> Option<(BarIndex, &[u8])> {
    let (&VERSION, rest) = value.split_first()? else { return None };
    let (committed, event) = rest.split_at_checked(8)?;
    Some((BarIndex(i64::from_le_bytes(committed.try_into().ok()?)), event))
}
