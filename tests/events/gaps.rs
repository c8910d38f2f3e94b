//! Every event survives an outage: nothing before it changes, what is unknown afterwards is bounded, and detection
//! comes back.

use backtestd::graph::EngineOptions;
use backtestd::market::{Source, TickBlock};

use crate::real::{FIRST, present};
use crate::reference::{ROWS, engine, market, run};
use crate::shipped::shipped;
use crate::trace::Trace;

/// First row of every hole.
const HOLE: usize = 16_000;

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
        let mut worst: Vec<(u64, &str)> = Vec::new();
        let mut problems: Vec<String> = Vec::new();
        for (ix, meta) in shipped().events.iter().enumerate() {
            for s in 0..holed.known_rows.len() {
                let lost = run().known_rows[s][ix].saturating_sub(holed.known_rows[s][ix]);
                worst.push((lost, &meta.event_type));
            }
            let healed = FIRST + (HOLE + bars) as i64;
            let after = |t: &Trace| t.onsets(ix).iter().filter(|o| o.1 >= healed).count();
            let (whole, part) = (after(run()), after(&holed));
            if part * 2 < whole || part > whole * 2 {
                problems
                    .push(format!("{}: {part} onsets after the hole, {whole} without it", meta.event_type));
            }
        }
        worst.sort_unstable_by(|a, b| b.cmp(a));
        eprintln!("{bars}: {:?}", &worst[..25]);
        assert!(problems.is_empty(), "a hole of {bars} bars: {problems:#?}");
    }
    assert!(ROWS > HOLE + 10_000, "there is a market after the hole");
}
