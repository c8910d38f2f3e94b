//! One quantile of a sliding window, followed through its neighbourhood.
//!
//! A row that comes or goes moves a rank by one at most. So of a window of thousands only the values near the
//! order statistic are kept, sorted; what lies further below is counted, what lies further above is ignored.
//! When the order statistic leaves the neighbourhood, a new one is read from the window, which costs
//! O(window) and is rare: after hundreds of rows of a wandering series, after [`REACH`] rows of one that only
//! climbs. Order statistics are values of the window, so the way to them leaves no trace in the bits.

/// Ranks read on each side of the order statistic.
const REACH: usize = 96;
/// Distinct values kept at most.
const MOST: usize = 3 * REACH;

/// The q-quantile by linear interpolation at position (n-1)q, n = known values in the window.
#[derive(Clone, Debug)]
pub struct Quantile {
    q: f64,
    /// The neighbourhood has every known value of the window from here
    low: f64,
    /// up to this one.
    high: f64,
    /// Place in it of the order statistic last asked for, and how many known values are less than that.
    at: u32,
    before: u32,
    /// What was asked last, until a value of the neighbourhood comes or goes: how many known values, how many
    /// of them less, and the answer. Nothing was asked of 0 values.
    asked_of: u32,
    asked_before: u32,
    answer: f64,
    /// Boxed, so that all before it is one cache line.
    near: Box<Near>,
}

/// The values of the neighbourhood.
#[derive(Clone, Debug, Default)]
struct Near {
    /// Ascending, each once.
    values: Vec<f64>,
    /// How often the window has each.
    counts: Vec<u32>,
}

impl Quantile {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.near.values.get(self.at as usize).map_or(0, |x| x.to_bits()) ^ self.answer.to_bits()
    }

    /// Of an empty window.
    #[must_use]
    pub fn new(q: f64) -> Self {
        Self {
            q,
            low: f64::NAN,
            high: f64::NAN,
            at: 0,
            before: 0,
            asked_of: 0,
            asked_before: 0,
            answer: f64::NAN,
            near: Box::default(),
        }
    }

    /// A known value enters the window.
    #[inline]
    pub fn enter(&mut self, x: f64) {
        if x < self.low {
            self.before += 1;
        } else if x <= self.high {
            self.enter_near(x);
        }
    }

    /// A known value leaves the window.
    #[inline]
    pub fn leave(&mut self, x: f64) {
        if x < self.low {
            self.before -= 1;
        } else if x <= self.high {
            self.leave_near(x);
        }
    }

    /// The place of `x` in the neighbourhood, or where it belongs.
    fn place(&self, x: f64) -> (usize, bool) {
        let place = self.near.values.partition_point(|v| *v < x);
        (place, self.near.values.get(place) == Some(&x))
    }

    fn enter_near(&mut self, x: f64) {
        self.asked_of = 0;
        let (place, found) = self.place(x);
        if found {
            self.near.counts[place] += 1;
            self.before += u32::from(place < self.at as usize);
            return;
        }
        self.near.values.insert(place, x);
        self.near.counts.insert(place, 1);
        if place <= self.at as usize {
            self.at += 1;
            self.before += 1;
        }
        if self.near.values.len() > MOST {
            self.forget();
        }
    }

    fn leave_near(&mut self, x: f64) {
        self.asked_of = 0;
        let (place, found) = self.place(x);
        if !found {
            debug_assert!(false, "{x} is not in the window");
            return;
        }
        self.near.counts[place] -= 1;
        self.before -= u32::from(place < self.at as usize);
        if self.near.counts[place] == 0 {
            self.near.values.remove(place);
            self.near.counts.remove(place);
            self.at -= u32::from(place < self.at as usize);
        }
    }

    /// No comparison with NaN holds: until the next reading nothing is kept.
    const fn forget(&mut self) {
        (self.low, self.high, self.asked_of) = (f64::NAN, f64::NAN, 0);
    }

    /// The quantile of the `known` > 0 known values of `window`, all of which have entered and not left.
    #[inline]
    pub fn of(&mut self, known: usize, window: &[f64]) -> f64 {
        if self.asked_of as usize == known && self.asked_before == self.before {
            return self.answer;
        }
        self.find(known, window)
    }

    fn find(&mut self, known: usize, window: &[f64]) -> f64 {
        let (k, part) = position(known, self.q);
        if self.low.is_nan() || !self.seek(k) {
            self.read(k, known, window);
        }
        let a = self.near.values[self.at as usize];
        self.answer = if part == 0.0 { a } else { a + part * (self.after(k) - a) };
        (self.asked_of, self.asked_before) = (known as u32, self.before);
        self.answer
    }

    /// The order statistic after the `k`-th, at which the cursor stands.
    fn after(&self, k: usize) -> f64 {
        let at = self.at as usize;
        let own = k + 1 < (self.before + self.near.counts[at]) as usize;
        self.near.values[at + usize::from(!own)]
    }

    /// Moves to the `k`-th smallest known value; whether it and the one after it are in the neighbourhood.
    fn seek(&mut self, k: usize) -> bool {
        while k < self.before as usize {
            if self.at == 0 {
                return false;
            }
            self.at -= 1;
            self.before -= self.near.counts[self.at as usize];
        }
        while let Some(count) = self.near.counts.get(self.at as usize) {
            let upto = self.before + *count;
            if k < upto as usize {
                let last = self.at as usize + 1 == self.near.counts.len();
                return k + 1 < upto as usize || !last || self.high == f64::INFINITY;
            }
            self.before = upto;
            self.at += 1;
        }
        false
    }

    /// Reads the neighbourhood of the `k`-th smallest of the `n` known values of `window`, and moves there.
    fn read(&mut self, k: usize, n: usize, window: &[f64]) {
        let (from, upto) = (k.saturating_sub(REACH), (k + 1 + REACH).min(n - 1));
        let mut between = Between::default();
        if let [first, .., last] = self.near.values[..] {
            // Where it went when it left the old neighbourhood is not far from it.
            let wide = 0.5 * (last - first);
            between.read(window, first - wide, last + wide);
        }
        if !between.covers(k.saturating_sub(REACH / 2), (k + 1 + REACH / 2).min(n - 1)) {
            let (low, high) = order_statistics(window, from, upto);
            between.read(window, low, high);
        }
        between.near.sort_unstable_by(f64::total_cmp);
        let (first, last) = (between.below, between.below + between.near.len() - 1);
        self.low = match from.checked_sub(first) {
            Some(at) if at > 0 => between.near[at],
            _ if first == 0 => f64::NEG_INFINITY,
            _ => between.low,
        };
        self.high = match upto.checked_sub(first) {
            Some(at) if upto < last => between.near[at],
            _ if last + 1 == n => f64::INFINITY,
            _ => between.high,
        };
        self.before = (between.below + between.near.partition_point(|x| *x < self.low)) as u32;
        let Near { values, counts } = &mut *self.near;
        values.clear();
        counts.clear();
        let room = (2 * REACH + 2).min(between.near.len()) + REACH / 2;
        values.reserve_exact(room);
        counts.reserve_exact(room);
        for x in between.near.iter().copied().filter(|x| *x >= self.low && *x <= self.high) {
            match (values.last(), counts.last_mut()) {
                (Some(last), Some(count)) if *last == x => *count += 1,
                _ => {
                    values.push(x);
                    counts.push(1);
                }
            }
        }
        self.at = 0;
        let found = self.seek(k);
        debug_assert!(found, "rank {k} of {n}");
    }

    /// As if the known values of `window` had entered.
    pub fn rebuild(&mut self, window: &[f64]) {
        self.forget();
        let known = window.iter().filter(|x| !x.is_nan()).count();
        if known > 0 {
            self.read(position(known, self.q).0, known, window);
        }
    }
}

/// The values of a window in an interval.
#[derive(Default)]
struct Between {
    low: f64,
    high: f64,
    near: Vec<f64>,
    /// How many lie below.
    below: usize,
}

impl Between {
    /// An interval with an unknown end is empty.
    fn read(&mut self, window: &[f64], low: f64, high: f64) {
        (self.low, self.high, self.below) = (low, high, 0);
        self.near.clear();
        for x in window {
            self.below += usize::from(*x < low);
            if *x >= low && *x <= high {
                self.near.push(*x);
            }
        }
    }

    /// Whether ranks `from..=upto` of the window lie in it.
    const fn covers(&self, from: usize, upto: usize) -> bool {
        self.below <= from && upto < self.below + self.near.len()
    }
}

/// The values of two ranks among the known ones of a window, `from <= upto`.
fn order_statistics(window: &[f64], from: usize, upto: usize) -> (f64, f64) {
    let mut known: Vec<f64> = window.iter().copied().filter(|x| !x.is_nan()).collect();
    let (_, low, above) = known.select_nth_unstable_by(from, f64::total_cmp);
    let low = *low;
    let high = match upto - from {
        0 => low,
        more => *above.select_nth_unstable_by(more - 1, f64::total_cmp).1,
    };
    (low, high)
}

/// Rank below the quantile of `n` values, and the part of the way to the next one.
#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "0 <= q <= 1, n < 2^32")]
pub(super) fn position(n: usize, q: f64) -> (usize, f64) {
    let h = (n - 1) as f64 * q;
    let k = h as usize;
    (k, h - k as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Against sorting every window. `x` is scaled so that a small `ties` means many equal values.
    fn check(xs: &[Option<f64>], window: usize, q: f64) {
        let xs: Vec<f64> = xs.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        let mut quantile = Quantile::new(q);
        let mut known = 0;
        for t in 0..xs.len() {
            if t >= window && !xs[t - window].is_nan() {
                quantile.leave(xs[t - window]);
                known -= 1;
            }
            if !xs[t].is_nan() {
                quantile.enter(xs[t]);
                known += 1;
            }
            if t % 97 == 50 {
                quantile.rebuild(&xs[(t + 1).saturating_sub(window)..=t]);
            }
            if known == 0 {
                continue;
            }
            let window = &xs[(t + 1).saturating_sub(window)..=t];
            let mut sorted: Vec<f64> = window.iter().copied().filter(|x| !x.is_nan()).collect();
            sorted.sort_by(f64::total_cmp);
            let (k, part) = position(known, q);
            let expected = match sorted.get(k + 1) {
                Some(next) if part > 0.0 => sorted[k] + part * (next - sorted[k]),
                _ => sorted[k],
            };
            assert_eq!(quantile.of(known, window).to_bits(), expected.to_bits(), "row {t}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_is_the_sorted_windows_quantile(
            xs in prop::collection::vec(prop::option::weighted(0.9, -1e3..1e3), 1..1200),
            window in 1_usize..700,
            q in 0.0..=1.0,
        ) {
            check(&xs, window, q);
        }

        #[test]
        fn ties_are_counted(
            xs in prop::collection::vec(prop::option::weighted(0.95, -3..3_i32), 1..900),
            window in 1_usize..500,
            q in prop::sample::select(vec![0.0, 0.05, 0.25, 0.5, 0.8, 0.99, 1.0]),
        ) {
            let xs: Vec<_> = xs.into_iter().map(|x| x.map(f64::from)).collect();
            check(&xs, window, q);
        }

        #[test]
        fn a_series_that_only_climbs_or_falls_is_followed(
            steps in prop::collection::vec(0.0..1.0, 1..1500),
            up in prop::bool::ANY,
            q in prop::sample::select(vec![0.01, 0.5, 0.97]),
        ) {
            let mut x = 0.0;
            let xs: Vec<_> = steps.iter().map(|s: &f64| { x += if up { *s } else { -*s }; Some(x) }).collect();
            check(&xs, 400, q);
        }
    }
}
