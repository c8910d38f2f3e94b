use super::*;

/// Bars of a day.
const DAY: i64 = crate::market::BARS_PER_DAY;

fn terms() -> RoundTripCost {
    RoundTripCost {
        fee_bps: 8.0,
        fee_steps: vec![(BarIndex(3 * DAY).open(), 9.0)],
        takes: 2.0,
        half_spread_bps: 1.0,
        slippage_bps: 1.0,
        spread: Some(TrailingDays { days: 2, min_bars: 3 }),
        impact: Some(ImpactRule { coefficient: 0.5, order_notional: 40_000.0, fallback_bps: 7.0 }),
        turnover: Some(TrailingDays { days: 2, min_bars: 3 }),
    }
}

/// Quotes of one day, bar by bar: spread in bps and traded value; prices stand still.
fn day(book: &mut TrailingBook, day: i64, rows: &[(f64, f64)]) {
    for (at, (spread_bps, quote_volume)) in rows.iter().enumerate() {
        let row = Quoted { close: 100.0, spread_bps: *spread_bps, quote_volume: *quote_volume };
        book.push(BarIndex(day * DAY + at as i64), row, &terms());
    }
}

#[test]
fn a_half_spread_is_the_median_of_past_days_medians_and_never_of_the_day_itself() {
    let mut book = TrailingBook::default();
    day(&mut book, 1, &[(2.0, 1.0), (4.0, 1.0), (60.0, 1.0)]);
    assert!(book.known().half_spread_bps.is_nan(), "the first day is not over");
    day(&mut book, 2, &[(6.0, 1.0), (8.0, 1.0), (8.0, 1.0)]);
    // Of the first day: spreads 2, 4, 60, median 4, half of it 2.
    assert_eq!(book.known().half_spread_bps, 2.0);
    day(&mut book, 3, &[(1000.0, 1.0), (1000.0, 1.0)]);
    // And of the second: 6, 8, 8, half of the median 4. Between 2 and 4 lies 3.
    assert_eq!(book.known().half_spread_bps, 3.0);
    day(&mut book, 4, &[(f64::NAN, 1.0)]);
    // Two bars with quotes are no day where three are asked for.
    assert_eq!(book.known().half_spread_bps, 3.0);
    day(&mut book, 5, &[(20.0, 1.0); 3]);
    day(&mut book, 6, &[(20.0, 1.0)]);
    // The two newest days with quotes are the second and the fifth: 4 and 10.
    assert_eq!(book.known().half_spread_bps, 7.0);
}

#[test]
fn every_part_of_a_round_trip_by_hand_and_their_sum() {
    let known = Known { half_spread_bps: 3.0, day_volume: 1_000_000.0, day_sigma_bps: 300.0 };
    let trip = terms().parts(BarIndex(2 * DAY).close(), known);
    // Fees 4 + 4; half spreads 3 + 3; slippage 1 + 1. Participation is 40 000 of a million, .04, its root .2:
    // half of a day's 300 bps times .2 is 30 a fill.
    assert_eq!(
        (trip.fee_bps, trip.spread_bps, trip.slippage_bps, trip.impact_bps, trip.borrow_bps),
        (8.0, 6.0, 2.0, 60.0, 0.0)
    );
    assert_eq!((trip.total(), trip.measured_share), (76.0, 1.0));
    // One unit instead of 40 000, whose root is 200.
    assert!((trip.impact_per_root - 0.3).abs() < 1e-12);
    // From the instant of the change on the fees are 9.
    assert_eq!(terms().parts(BarIndex(3 * DAY).open(), known).fee_bps, 9.0);
}

#[test]
fn what_nobody_measured_is_charged_as_configured_and_says_so() {
    let trip = terms().parts(BarIndex(2 * DAY).close(), Known::NOTHING);
    assert_eq!((trip.spread_bps, trip.impact_bps, trip.measured_share), (2.0, 14.0, 0.0));
    let small = RoundTripCost {
        impact: Some(ImpactRule { order_notional: 0.0, ..terms().impact.unwrap() }),
        ..terms()
    };
    assert_eq!(small.at(BarIndex(0).open()), 12.0, "the shipped 12 bps: two fees of 4, two fills of 1 + 1");
    assert_eq!(RoundTripCost::constant(12.0).at(BarIndex(0).open()), 12.0);
}

#[test]
fn volume_and_volatility_are_means_of_closed_days() {
    let mut book = TrailingBook::default();
    let mut push = |at: i64, close: f64, volume: f64| {
        book.push(BarIndex(DAY + at), Quoted { close, spread_bps: f64::NAN, quote_volume: volume }, &terms());
        book.known()
    };
    push(0, 100.0, 10.0);
    push(1, 101.0, 20.0);
    push(2, 101.0 * 0.99, f64::NAN);
    // Three bars have a volume: a gap of volume is no volume of zero.
    push(3, 101.0 * 0.99, 30.0);
    push(DAY, 101.0 * 0.99, 0.0);
    push(DAY + 1, f64::NAN, 40.0);
    push(DAY + 2, 101.0 * 0.99, 60.0);
    let known = push(2 * DAY, 90.0, 1e9);
    // Days of 60 and 100. Squares of the first day: 1 % twice; of the second none.
    assert_eq!(known.day_volume, 80.0);
    assert!((known.day_sigma_bps - 100.0).abs() < 1e-9, "{}", known.day_sigma_bps);
}

#[test]
fn a_mean_of_trips_adds_up_to_the_mean_of_their_totals() {
    let known = Known { half_spread_bps: 3.0, day_volume: 1e6, day_sigma_bps: 100.0 };
    let trips = [terms().parts(BarIndex(0).open(), known), CostParts::whole(12.0)];
    let mean = CostParts::mean(trips.iter()).unwrap();
    assert!((mean.total() - (trips[0].total() + 12.0) / 2.0).abs() < 1e-12);
    assert_eq!((mean.measured_share, mean.fee_bps), (0.5, 4.0));
    assert_eq!(mean.impact_per_root, trips[0].impact_per_root, "the other's is unknown");
    assert_eq!(CostParts::mean([].iter()), None);
}
