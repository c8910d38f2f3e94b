//! What an answer lacks: slots without a bar, labels that a statistic skipped, settlements that ought to be
//! there.

use super::Stretch;
use backtestd_core::market::{BAR_MS, HOUR_MS, Kind};

/// Longest time between two settlements.
const LONGEST_INTERVAL_MS: i64 = 8 * HOUR_MS;
/// How far a settlement may lie from its whole hour, and how late it may be told.
const JITTER_MS: i64 = 60_000;

/// The parts of `asked` for which there ought to be records and are none. `times` are those of the records in
/// `asked` and, of funding, of the settlements before it, ascending. A settlement that is missing between one
/// of those and one in `asked` may lie before `asked`: nobody knows where, so the whole time between the two
/// is.
#[must_use]
pub fn missing(kind: Kind, asked: Stretch, times: &[i64]) -> Vec<Stretch> {
    match kind {
        Kind::Funding => settlements(asked, times),
        kind if kind.is_bar_like() => slots(asked, times.iter().copied()),
        _ => {
            let cells = |ms: i64| -(-ms).div_euclid(BAR_MS);
            let cell = Stretch { from: cells(asked.from), to: cells(asked.to) };
            let labels = times.iter().map(|ms| (ms + BAR_MS / 2).div_euclid(BAR_MS));
            let back = |s: Stretch| Stretch { from: s.from * BAR_MS, to: s.to * BAR_MS };
            slots(cell, labels).into_iter().filter_map(|s| back(s).common(asked)).collect()
        }
    }
}

/// Whether a settlement can lie in a stretch: they lie on whole hours.
#[must_use]
pub const fn can_settle(at: Stretch) -> bool {
    (at.to - 1).div_euclid(HOUR_MS) > (at.from - 1).div_euclid(HOUR_MS)
}

/// Maximal runs of slots without a record.
fn slots(asked: Stretch, present: impl Iterator<Item = i64>) -> Vec<Stretch> {
    let mut missing = Vec::new();
    let mut next = asked.from;
    for slot in present.filter(|slot| *slot < asked.to).chain([asked.to]) {
        if slot > next {
            missing.push(Stretch { from: next, to: slot });
        }
        next = next.max(slot + 1);
    }
    missing
}

/// A settlement is missing where two are further apart than the longest interval, or twice as far apart as
/// those on both sides, and at the end where the usual interval is over.
fn settlements(asked: Stretch, times: &[i64]) -> Vec<Stretch> {
    let Some((first, last)) = times.first().zip(times.last()) else {
        // Nothing is known of the interval: one ought to be where those of every interval lie, and nowhere
        // else.
        let passed = |at: i64| (at - 1).div_euclid(LONGEST_INTERVAL_MS);
        return if passed(asked.to) > passed(asked.from) { vec![asked] } else { Vec::new() };
    };
    let mut missing = Vec::new();
    if first - asked.from > LONGEST_INTERVAL_MS + JITTER_MS {
        missing.push(Stretch { from: asked.from, to: *first - JITTER_MS });
    }
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let is_short = |step: Option<&i64>, of: i64| step.is_some_and(|step| 2 * step <= of + JITTER_MS);
    for (ix, step) in steps.iter().enumerate() {
        let (before, after) = (ix.checked_sub(1).and_then(|ix| steps.get(ix)), steps.get(ix + 1));
        let skips = is_short(before, *step) && is_short(after, *step);
        if *step > LONGEST_INTERVAL_MS + JITTER_MS || skips {
            missing.push(Stretch { from: times[ix] + JITTER_MS, to: times[ix + 1] });
        }
    }
    let usual = steps.last().copied().unwrap_or(LONGEST_INTERVAL_MS).min(LONGEST_INTERVAL_MS);
    if asked.to - last > usual + JITTER_MS {
        missing.push(Stretch { from: last + usual - JITTER_MS, to: asked.to });
    }
    let known = Stretch { from: asked.from.min(*first), ..asked };
    missing.into_iter().filter(|gap| gap.to > asked.from).filter_map(|gap| gap.common(known)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(from: i64, to: i64) -> Stretch {
        Stretch { from, to }
    }

    #[test]
    fn a_settlement_lies_on_a_whole_hour() {
        assert!(can_settle(s(HOUR_MS - 5, HOUR_MS + 1)) && can_settle(s(HOUR_MS, HOUR_MS + 1)));
        assert!(!can_settle(s(HOUR_MS - 5, HOUR_MS)) && !can_settle(s(HOUR_MS + 1, 2 * HOUR_MS)));
    }

    #[test]
    fn slots_and_records_cover_what_was_asked_exactly() {
        assert_eq!(missing(Kind::Bars, s(10, 20), &[12, 13, 17]), [s(10, 12), s(14, 17), s(18, 20)]);
        assert_eq!(missing(Kind::Mark, s(10, 12), &[]), [s(10, 12)]);
        assert_eq!(missing(Kind::Bars, s(12, 14), &[12, 13]), []);
    }

    #[test]
    fn a_statistic_has_a_label_every_five_minutes_however_late_it_is_written() {
        let label = |n: i64| 1_000 * BAR_MS + n * BAR_MS;
        let asked = s(label(0) + 1, label(4) + 1);
        assert_eq!(missing(Kind::OpenInterest, asked, &[label(1), label(2) + 1500, label(3), label(4)]), []);
        assert_eq!(missing(Kind::OpenInterest, asked, &[label(1), label(4)]), [s(label(2), label(4))]);
        assert_eq!(missing(Kind::OpenInterest, asked, &[]), [s(label(1), label(4) + 1)]);
    }

    #[test]
    fn settlements_are_missing_by_the_interval_of_their_neighbours() {
        let hours = |list: &[i64]| list.iter().map(|h| h * HOUR_MS).collect::<Vec<_>>();
        let gaps = |list: &[i64], to: i64| {
            let found = missing(Kind::Funding, s(0, to * HOUR_MS + 1), &hours(list));
            found.iter().map(|g| (g.from.div_euclid(HOUR_MS), g.to.div_euclid(HOUR_MS))).collect::<Vec<_>>()
        };
        assert_eq!(gaps(&[0, 8, 16], 24), [], "the last one may be a minute late");
        assert_eq!(gaps(&[0, 8, 16], 25), [(23, 25)]);
        assert_eq!(gaps(&[0, 16, 24], 24), [(0, 16)]);
        assert_eq!(gaps(&[0, 4, 8, 16, 20], 20), [(8, 16)], "one of four hours was skipped");
        assert_eq!(gaps(&[0, 4, 8, 16, 24], 24), [], "the interval was changed");
        assert_eq!(gaps(&[], 24), [(0, 24)]);
        assert_eq!(gaps(&[20, 28], 28), [(0, 19)]);
        // One was lost before the stretch that is asked for.
        let asked = s(9 * HOUR_MS, 17 * HOUR_MS);
        let lost = missing(Kind::Funding, asked, &hours(&[0, 16]));
        assert_eq!(lost, [s(JITTER_MS, 16 * HOUR_MS)]);
        assert_eq!(missing(Kind::Funding, asked, &hours(&[0, 8, 16])), []);
        // The newest is asked for first: of a stretch between two settlements that nobody has, nothing is
        // missing.
        let alone = |from: i64, to: i64| missing(Kind::Funding, s(from * HOUR_MS + 1, to * HOUR_MS + 1), &[]);
        assert_eq!((alone(8, 14), alone(9, 15)), (vec![], vec![]));
        assert_eq!(alone(7, 8), [s(7 * HOUR_MS + 1, 8 * HOUR_MS + 1)]);
    }
}
