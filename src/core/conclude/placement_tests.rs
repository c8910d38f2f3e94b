use std::num::NonZeroU32;

use super::*;
use crate::market::DAY_MS;
use crate::outcomes::{EntryPrice, Horizon, RoundTripCost};

const DAYS: i64 = 35;
const FIRST_DAY: i64 = 20_000;

/// One symbol whose close counts the bars, so that an outcome tells where it was taken.
fn history() -> History {
    let rows = DAYS * BARS_PER_DAY;
    let mut h = History::new(vec![Symbol::new("AUSDT").unwrap()], BarIndex(FIRST_DAY * BARS_PER_DAY));
    h.rows = rows as usize;
    for price in &mut h.columns[0].prices {
        *price = (0..rows).map(|i| 1000.0 + i as f64).collect();
    }
    h.columns[0].sigma_bar = (0..rows).map(|i| 1e-6 * i as f64).collect();
    h.columns[0].sigma_event = (0..rows).map(|i| 2e-6 * i as f64).collect();
    h
}

fn event(day: i64, slot: i64) -> Event {
    Event {
        event_type: "E".into(),
        family: "F".into(),
        symbol: Symbol::new("AUSDT").unwrap(),
        bar: BarIndex((FIRST_DAY + day) * BARS_PER_DAY + slot),
        direction: -1,
        severity: 1.0,
        states: Arc::from([1i8]),
        vol_regime: 2,
        carry_state: 0,
        sigma_bar: 0.5,
        sigma_event: 0.5,
        features: Vec::new(),
    }
}

#[test]
fn every_day_moves_to_another_day_of_its_weekday_and_none_is_used_twice() {
    let h = history();
    let map = h.shuffle(7, 0, 2);
    assert_eq!(map.moves.len(), DAYS as usize);
    let targets: std::collections::BTreeSet<i64> = map.moves.values().copied().collect();
    assert_eq!(targets.len(), DAYS as usize);
    for (from, to) in &map.moves {
        assert!(from != to && (from - to) % 7 == 0, "{from} to {to}");
    }
    assert_eq!(map, h.shuffle(7, 0, 2));
    assert_ne!(map, h.shuffle(7, 1, 2));
    assert_ne!(map, h.shuffle(8, 0, 2));
}

#[test]
fn a_moved_event_keeps_what_it_is_and_meets_the_market_of_its_new_day() {
    let h = history();
    let map = h.shuffle(7, 0, 2);
    let events = [event(3, 17), event(3, 40), event(9, 100)];
    let placed = h.place(&events, &map);
    assert_eq!(placed.len(), 3);
    for old in &events {
        let bar = old.bar + (map.moves[&old.bar.open().day()] - old.bar.open().day()) * BARS_PER_DAY;
        let new = placed.iter().find(|e| e.bar == bar).unwrap();
        assert_eq!(
            (new.direction, &new.states, new.vol_regime),
            (old.direction, &old.states, old.vol_regime)
        );
        assert_eq!(new.bar.0.rem_euclid(BARS_PER_DAY), old.bar.0.rem_euclid(BARS_PER_DAY));
        assert!((new.sigma_bar - 1e-6 * (bar - h.first) as f64).abs() < 1e-15);
        assert_eq!(new.sigma_event, 2.0 * new.sigma_bar);
    }
    let config = BookConfig {
        entry_lag_bars: NonZeroU32::MIN,
        entry_price: EntryPrice::Close,
        horizons: BTreeMap::from([("E".into(), vec![Horizon::parse("15m").unwrap()])]),
        symbols: vec![(h.symbols[0].clone(), RoundTripCost::constant(12.0))],
    };
    let outcomes = h.book(config, &placed);
    assert_eq!(outcomes.len(), 3);
    for o in &outcomes {
        let entry = 1000.0 + (o.event.bar + 1 - h.first) as f64;
        assert!((o.forward_return - ((entry + 3.0) / entry - 1.0)).abs() < 1e-12);
    }
    assert_eq!(events_of(&outcomes).len(), 3);
}

#[test]
fn flips_turn_whole_days_and_leave_sizes_alone() {
    let h = history();
    let config = BookConfig {
        entry_lag_bars: NonZeroU32::MIN,
        entry_price: EntryPrice::Close,
        horizons: BTreeMap::from([("E".into(), vec![Horizon::parse("15m").unwrap()])]),
        symbols: vec![(h.symbols[0].clone(), RoundTripCost::constant(12.0))],
    };
    let events: Vec<Event> = (0..DAYS).flat_map(|d| [event(d, 10), event(d, 90)]).collect();
    let outcomes = h.book(config, &events);
    let flipped = flip_days(&outcomes, 3, 0);
    let mut turned = 0;
    for (pair, old) in flipped.chunks(2).zip(outcomes.chunks(2)) {
        assert_eq!(pair[0].event.bar.open().0 / DAY_MS, pair[1].event.bar.open().0 / DAY_MS);
        assert_eq!(pair[0].forward_return > 0.0, pair[1].forward_return > 0.0, "a day turns as a whole");
        assert!((pair[0].forward_return.abs() - old[0].forward_return.abs()).abs() < 1e-15);
        assert!(pair[0].mfe_bps >= 0.0 && pair[0].mae_bps <= 0.0);
        turned += usize::from(pair[0].forward_return < 0.0);
    }
    assert!(turned > 5 && turned < 30, "{turned}");
}
