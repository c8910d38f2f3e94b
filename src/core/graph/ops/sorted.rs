//! A sorted multiset of numbers for sliding windows: a list of small sorted blocks.
//!
//! Insert and remove find the block, and the place in it, by short sweeps without branches on the data, then
//! shift part of one block. Ranks sum block lengths. Small blocks touch few cache lines, which is what counts
//! when one bar visits every multiset of the graph once.

/// Values per block at most.
const BLOCK: usize = 64;
/// Values swept together when searching.
const STRIDE: usize = 16;
/// Neighbours are joined when together they fill no more than this.
const JOIN: usize = 48;

/// A multiset of known, finite numbers.
#[derive(Clone, Debug, Default)]
pub struct Sorted {
    /// Slots of `BLOCK` values; a block's values are the first `len` of its slot.
    data: Vec<f64>,
    /// Slots not in use.
    free: Vec<u32>,
    /// The blocks in order: slot, length, largest value.
    slot: Vec<u32>,
    len: Vec<u32>,
    last: Vec<f64>,
    total: usize,
}

impl Sorted {
    /// How many values, duplicates counted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.total
    }

    /// Whether it holds no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Forgets every value that it holds.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Fills an empty multiset.
    pub fn fill(&mut self, mut values: Vec<f64>) {
        self.clear();
        values.sort_unstable_by(f64::total_cmp);
        for part in values.chunks(JOIN) {
            let at = self.slot.len();
            self.new_block(at, part);
        }
        self.total = values.len();
    }

    fn new_block(&mut self, at: usize, values: &[f64]) {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.data.len() / BLOCK;
            self.data.resize(self.data.len() + BLOCK, 0.0);
            slot as u32
        });
        let start = slot as usize * BLOCK;
        self.data[start..start + values.len()].copy_from_slice(values);
        self.slot.insert(at, slot);
        self.len.insert(at, values.len() as u32);
        self.last.insert(at, values.last().copied().unwrap_or(0.0));
    }

    fn drop_block(&mut self, at: usize) {
        self.free.push(self.slot.remove(at));
        self.len.remove(at);
        self.last.remove(at);
    }

    fn block(&self, at: usize) -> &[f64] {
        let start = self.slot[at] as usize * BLOCK;
        &self.data[start..start + self.len[at] as usize]
    }

    /// The first block whose largest value is not below `x`.
    #[inline]
    fn find(&self, x: f64) -> usize {
        lower_bound(&self.last, x)
    }

    /// Adds a value.
    pub fn insert(&mut self, x: f64) {
        self.total += 1;
        if self.slot.is_empty() {
            self.new_block(0, &[x]);
            return;
        }
        let mut at = self.find(x).min(self.slot.len() - 1);
        if self.len[at] as usize == BLOCK {
            at = self.split(at, x);
        }
        let len = self.len[at] as usize;
        let start = self.slot[at] as usize * BLOCK;
        let block = &mut self.data[start..start + BLOCK];
        let place = lower_bound(&block[..len], x);
        block.copy_within(place..len, place + 1);
        block[place] = x;
        self.len[at] += 1;
        if place == len {
            self.last[at] = x;
        }
    }

    /// Halves a full block; the half into which `x` belongs.
    fn split(&mut self, at: usize, x: f64) -> usize {
        let mut upper = [0.0; BLOCK / 2];
        upper.copy_from_slice(&self.block(at)[BLOCK / 2..]);
        self.len[at] = (BLOCK / 2) as u32;
        self.last[at] = self.block(at)[BLOCK / 2 - 1];
        self.new_block(at + 1, &upper);
        if self.last[at] < x { at + 1 } else { at }
    }

    /// Takes one of the values equal to `x` away; there must be one.
    pub fn remove(&mut self, x: f64) {
        let at = self.find(x);
        let Some(&len) = self.len.get(at) else {
            debug_assert!(false, "{x} is not in the multiset");
            return;
        };
        let len = len as usize;
        let start = self.slot[at] as usize * BLOCK;
        let block = &mut self.data[start..start + len];
        let place = lower_bound(block, x);
        debug_assert!(block.get(place) == Some(&x), "{x} is not in the multiset");
        block.copy_within(place + 1.., place);
        self.total -= 1;
        self.len[at] -= 1;
        if len == 1 {
            self.drop_block(at);
        } else {
            if place == len - 1 {
                self.last[at] = self.block(at)[place - 1];
            }
            if len - 1 < JOIN / 4 {
                self.join(at);
            }
        }
    }

    /// Joins a thin block with a neighbour if both fit in one with room to spare.
    fn join(&mut self, at: usize) {
        let left = if at + 1 < self.slot.len() { at } else { at.saturating_sub(1) };
        let Some(&right_len) = self.len.get(left + 1) else { return };
        let (left_len, right_len) = (self.len[left] as usize, right_len as usize);
        if left_len + right_len > JOIN {
            return;
        }
        let from = self.slot[left + 1] as usize * BLOCK;
        let to = self.slot[left] as usize * BLOCK + left_len;
        self.data.copy_within(from..from + right_len, to);
        self.len[left] += right_len as u32;
        self.last[left] = self.last[left + 1];
        self.drop_block(left + 1);
    }

    /// The `k`-th smallest and the one after it (itself again if it is the largest); `k < len`.
    #[must_use]
    pub fn pair(&self, k: usize) -> (f64, f64) {
        let (at, k) = self.locate(k as u32);
        let block = self.block(at);
        let low = block[k];
        let high = match block.get(k + 1) {
            Some(next) => *next,
            None if at + 1 < self.slot.len() => self.block(at + 1)[0],
            None => low,
        };
        (low, high)
    }

    /// Block and place of the `k`-th smallest: strides first, then single blocks.
    #[inline]
    fn locate(&self, mut k: u32) -> (usize, usize) {
        let (strides, _) = self.len.as_chunks::<STRIDE>();
        let mut at = 0;
        for stride in strides {
            let sum: u32 = stride.iter().sum();
            if k < sum {
                break;
            }
            k -= sum;
            at += STRIDE;
        }
        while k >= self.len[at] {
            k -= self.len[at];
            at += 1;
        }
        (at, k as usize)
    }

    /// How many values are less than `x`, and how many equal it.
    #[must_use]
    pub fn rank(&self, x: f64) -> (usize, usize) {
        let mut at = self.find(x);
        if at == self.slot.len() {
            return (self.total, 0);
        }
        let before: u32 = self.len[..at].iter().sum();
        let block = self.block(at);
        let low = lower_bound(block, x);
        let mut equal = upper_bound(&block[low..], x);
        // A run of ties may go on in the next blocks.
        while self.last[at] == x && at + 1 < self.slot.len() {
            at += 1;
            let more = upper_bound(self.block(at), x);
            equal += more;
        }
        (before as usize + low, equal)
    }
}

/// How many values of a sorted slice are less than `x`.
#[inline]
fn lower_bound(sorted: &[f64], x: f64) -> usize {
    count(sorted, |v| v < x)
}

/// How many are not greater.
#[inline]
fn upper_bound(sorted: &[f64], x: f64) -> usize {
    count(sorted, |v| v <= x)
}

/// How many values pass; those that do come first. Two short sweeps without branches on the data: the last
/// value of each stride, then one stride. Faster than a binary search of so few values: the loads do not wait
/// for each other.
#[inline]
fn count(sorted: &[f64], passes: impl Fn(f64) -> bool) -> usize {
    let (strides, _) = sorted.as_chunks::<STRIDE>();
    let whole: u64 = strides.iter().map(|stride| u64::from(passes(stride[STRIDE - 1]))).sum();
    let from = whole as usize * STRIDE;
    let part = &sorted[from..sorted.len().min(from + STRIDE)];
    let rest: u64 = match part.as_array::<STRIDE>() {
        Some(stride) => stride.iter().map(|v| u64::from(passes(*v))).sum(),
        None => part.iter().map(|v| u64::from(passes(*v))).sum(),
    };
    from + rest as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(ops: &[(bool, i16)]) {
        let mut sorted = Sorted::default();
        let mut model: Vec<f64> = Vec::new();
        for (add, v) in ops {
            let v = f64::from(*v);
            if *add || model.is_empty() {
                sorted.insert(v);
                model.insert(lower_bound(&model, v), v);
            } else {
                let i = (v.abs() as usize) % model.len();
                sorted.remove(model.remove(i));
            }
            assert_eq!(sorted.len(), model.len());
            let less = lower_bound(&model, v);
            assert_eq!(sorted.rank(v), (less, upper_bound(&model, v) - less));
            if !model.is_empty() {
                let k = (v.abs() as usize) % model.len();
                assert_eq!(sorted.pair(k), (model[k], model[(k + 1).min(model.len() - 1)]));
            }
        }
        assert!(model.iter().enumerate().all(|(k, v)| sorted.pair(k).0 == *v));
        let mut filled = Sorted::default();
        filled.fill(model.clone());
        assert!((0..model.len()).all(|k| filled.pair(k) == sorted.pair(k)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_agrees_with_a_sorted_vector(
            ops in prop::collection::vec((prop::bool::weighted(0.6), -300_i16..300), 1..1500)
        ) {
            check(&ops);
        }

        #[test]
        fn ties_across_blocks_are_counted(
            ops in prop::collection::vec((prop::bool::weighted(0.7), -2_i16..2), 1..1500)
        ) {
            check(&ops);
        }
    }

    #[test]
    fn blocks_are_given_back_when_the_window_moves_away() {
        let mut sorted = Sorted::default();
        for i in 0..20_000_i32 {
            sorted.insert(f64::from(i));
            if i >= 2000 {
                sorted.remove(f64::from(i - 2000));
            }
        }
        assert!(sorted.data.len() < 3 * 2000 * 2, "{}", sorted.data.len());
    }
}
