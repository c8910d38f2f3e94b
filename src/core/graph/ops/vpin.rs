//! `vpin`: order-flow imbalance on a volume clock.

use std::collections::VecDeque;

use super::Rows;
use super::bytes::{Malformed, Reader, Writer};
use super::kernel::Kernel;
use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{Class, Kind, Operator, Param};
use crate::graph::{Op, Type};
use crate::market::BARS_PER_DAY;

pub(in crate::graph) const OPERATORS: &[Operator] = &[Operator::state(
    "vpin",
    &[
        Param::of("buy", Kind::Num),
        Param::of("total", Kind::Num),
        Param::of("bucket", Kind::Num),
        Param::of("buckets", Kind::Int(1)),
        Param::of("min", Kind::Int(1)),
    ],
    "vpin(taker_buy_volume, volume, mean(volume, window=12, min=6), buckets=5, min=2)",
    |at, b| {
        let (buckets, min) = (b.whole("buckets")?, b.whole("min")?);
        at.fits(b, min, buckets, "the buckets")?;
        at.node_of(b, Op::Vpin { buckets, min }, Type::Num)
    },
    |say| {
        let (buckets, bucket) = (say.word("buckets"), say.word("bucket"));
        format!(
            "the mean imbalance of {} in {} over {buckets} buckets of {bucket} (the first of a UTC day begins at 00:00)",
            say.word("buy"),
            say.word("total")
        )
    },
)];

/// The sheet of `vpin`.
pub(in crate::graph) fn sheet(buckets: u32, min: u32) -> Sheet {
    Sheet {
        text: format!("vpin(buckets={buckets}, min={min})"),
        class: Class::State,
        reach: Reach::ROW,
        cost: 1.0,
        needs: Needs::All,
        unknown: Unknown::TooFew,
        work: Work::alone(move || Kernel::Vpin(Box::new(Vpin::new(buckets, min)))),
    }
}

/// A bucket counts as full at this share of its size, so that rounding cannot leave a sliver open.
const FULL: f64 = 1.0 - 1e-12;

/// Mean imbalance |2 buy - total| / total of the last `buckets` full buckets.
///
/// Every UTC day begins with an empty bucket, and the one that is open is given up: where the buckets lie
/// does not depend on where history begins. A bucket's size is the `bucket` input at the row where it opens.
/// A row is poured with a constant buy share into as many buckets as it fills. Buckets that one row would
/// both open and push out of the memory are skipped.
#[derive(Clone, Debug)]
pub struct Vpin {
    buckets: usize,
    min: usize,
    /// The open bucket's size, NaN if none is open.
    size: f64,
    filled: f64,
    bought: f64,
    /// Imbalances of full buckets, oldest first.
    yields: VecDeque<f64>,
    mean: f64,
}

impl Vpin {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 0;

    /// No volume seen.
    #[must_use]
    pub fn new(buckets: u32, min: u32) -> Self {
        Self {
            buckets: buckets.max(1) as usize,
            min: min.max(1) as usize,
            size: f64::NAN,
            filled: 0.0,
            bought: 0.0,
            yields: VecDeque::new(),
            mean: f64::NAN,
        }
    }

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let [buy, total, bucket, _] = rows.inputs;
        let volume = buy.rows().iter().zip(total.rows()).zip(bucket.rows());
        for ((o, bar), ((buy, total), bucket)) in out.iter_mut().zip(rows.first..).zip(volume) {
            if bar.rem_euclid(BARS_PER_DAY) == 0 {
                self.size = f64::NAN;
            }
            if !buy.is_nan() && *total > 0.0 && self.pour(*buy / *total, *total, *bucket) {
                self.refresh();
            }
            *o = self.mean;
        }
    }

    /// Pours a row; whether a bucket was filled.
    fn pour(&mut self, share: f64, total: f64, bucket: f64) -> bool {
        let mut rest = total;
        let mut any_full = false;
        while rest > 0.0 {
            if self.size.is_nan() {
                if bucket.is_nan() || bucket <= 0.0 {
                    break; // the volume is discarded
                }
                (self.size, self.filled, self.bought) = (bucket, 0.0, 0.0);
                let ahead = (rest / bucket).floor() - self.buckets as f64;
                if ahead > 0.0 {
                    rest -= ahead * bucket;
                }
            }
            let part = rest.min(self.size - self.filled);
            self.filled += part;
            self.bought += part * share;
            rest -= part;
            if self.filled >= self.size * FULL {
                self.yields.push_back((2.0 * self.bought - self.filled).abs() / self.filled);
                if self.yields.len() > self.buckets {
                    self.yields.pop_front();
                }
                self.size = f64::NAN;
                any_full = true;
            }
        }
        any_full
    }

    fn refresh(&mut self) {
        let n = self.yields.len();
        self.mean = if n >= self.min { self.yields.iter().sum::<f64>() / n as f64 } else { f64::NAN };
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&(self.size, self.filled, self.bought, &self.yields))
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        (self.size, self.filled, self.bought, self.yields) = r.take()?;
        self.refresh();
        Ok(())
    }
}
