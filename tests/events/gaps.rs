//! Every event survives an outage: nothing before it changes, what is unknown afterwards is bounded, and
//! detection comes back.

use std::collections::BTreeSet;

use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{Source, TickBlock};

use crate::real::{FIRST, present};
use crate::reference::{ROWS, engine, market, run};
use crate::shipped::shipped;
use crate::trace::Trace;

/// First row of every hole.
const HOLE: usize = 16_000;

/// Rows on which an event may be unknown because of a hole. A row that is missing hides itself and the few
/// rows that read exactly it at a lag (`lag`, `diff`, windows that want all of a few rows); windows of hours
/// and days only have to be half full. After a long hole a day's window fills anew, and the weekly extremes
/// want most of their week.
fn most_unknown(event: &str, hole: u64) -> u64 {
    let refill = if event == "SUPPORT_RESISTANCE_BREAK" { 1440 } else { 288 };
    (5 * hole).min(hole + refill)
}

fn with_hole(bars: usize) -> Trace {
    let mut block: TickBlock = market().clone();
    for columns in &mut block.symbols {
        for source in Source::ALL {
            // Calendars know the time in an outage too.
            if source.name().starts_with("minutes_") {
                continue;
            }
            let Some(column) = columns.get(*source) else { continue };
            let mut column = column.to_vec();
            column[HOLE..HOLE + bars].fill(f64::NAN);
            columns.set(*source, column);
        }
    }
    let mut trace = Trace::default();
    trace.add(engine(EngineOptions::BATCH).push(&block).unwrap());
    trace
}

#[test]
fn holes_of_1_10_and_1000_bars_leave_the_past_alone_and_heal() {
    if !present() {
        return;
    }
    for bars in [1, 10, 1000] {
        let holed = with_hole(bars);
        let end = FIRST + HOLE as i64;
        assert_eq!(run().fingerprints(end, HOLE), holed.fingerprints(end, HOLE), "before the hole");
        let healed = FIRST + (HOLE + bars) as i64;
        let mut problems: Vec<String> = Vec::new();
        let (mut differ, mut total) = (0, 0);
        for (ix, meta) in shipped().events.iter().enumerate() {
            for (whole, part) in run().known_rows.iter().zip(&holed.known_rows) {
                let lost = whole[ix].saturating_sub(part[ix]);
                if lost > most_unknown(&meta.event_type, bars as u64) {
                    problems.push(format!("{}: {lost} rows more are unknown", meta.event_type));
                }
            }
            let after =
                |t: &Trace| -> BTreeSet<_> { t.onsets(ix).into_iter().filter(|o| o.1 >= healed).collect() };
            let (whole, part) = (after(run()), after(&holed));
            differ += whole.symmetric_difference(&part).count();
            total += whole.len();
            if part.len() * 2 < whole.len() || part.len() > whole.len() * 2 {
                let (part, whole) = (part.len(), whole.len());
                problems.push(format!("{}: {part} onsets after the hole, {whole} without", meta.event_type));
            }
        }
        let short = bars <= 10;
        if short && differ * 50 > total {
            problems.push(format!("{differ} of {total} onsets after so short a hole differ"));
        }
        assert!(problems.is_empty(), "a hole of {bars} bars: {problems:#?}");
    }
    const { assert!(ROWS > HOLE + 10_000, "there is a market after the hole") };
}
