//! The closed set of operators that read earlier rows or keep something between chunks.
//!
//! A kernel is listed once, by its class, and the class decides what is asked of it: [`kernels!`] writes
//! every match, and a kernel that lacks a part does not compile.

use super::bytes::{Malformed, Reader, Writer};
use super::clock::ClockField;
use super::counts::Counts;
use super::detect::{Detect, DetectLog};
use super::extremes::Extremes;
use super::memory::{At, Episode, Ewm, Latch, Since};
use super::moments::{Moments, Moments3, Stats, Sum};
use super::order::OrderStats;
use super::pairs::PairStats;
use super::shift::{Ffill, Held, Shift};
use super::tod::TodMean;
use super::vpin::Vpin;
use super::wma::Wma;
use super::{Rows, View};

/// The kernels by class:
///
/// * `plain`: keep nothing; `run`.
/// * `window`: what they keep follows from the history of their operands; `look_back run touch rebuild`.
/// * `state`: what they keep goes into the checkpoint; `BACK run save load`.
///
/// `shared` names those that report several statistics of one structure; they also have `join`.
macro_rules! kernels {
    (
        plain { $($plain:ident($plain_type:ty),)* }
        window { $($window:ident($window_type:ty),)* }
        state { $($state:ident($state_type:ty),)* }
        shared { $($shared:ident,)* }
    ) => {
        /// An operator, with the state it needs between chunks: small states side by side, large ones boxed.
        #[allow(missing_docs, reason = "each is documented where it is defined")]
        #[derive(Clone, Debug)]
        pub(crate) enum Kernel {
            $($plain($plain_type),)*
            $($window($window_type),)*
            $($state($state_type),)*
            Detect(Detect),
        }

        impl Kernel {
            /// Takes the outputs of a kernel like this one as further columns; gives the other back if it is
            /// not like it.
            pub(crate) fn join(&mut self, other: Self) -> Option<Self> {
                match (self, other) {
                    $((Self::$shared(kernel), Self::$shared(other)) => {
                        kernel.join(&other);
                        None
                    })*
                    (_, other) => Some(other),
                }
            }

            /// Rows of history it reads of its `input`-th operand.
            pub(crate) fn look_back(&self, input: usize) -> usize {
                let of_first = |rows: usize| if input == 0 { rows } else { 0 };
                match self {
                    Self::Clock(_) => 0,
                    Self::Shift(kernel) => kernel.look_back(),
                    $(Self::$window(kernel) => kernel.look_back(),)*
                    $(Self::$state(_) => of_first($state::BACK),)*
                    Self::Detect(_) => of_first(Detect::BACK),
                }
            }

            /// Evaluates the chunk into `out`: one column of `rows.n` values per output.
            pub(crate) fn run(&mut self, rows: &Rows<'_>, out: &mut [f64], log: &mut DetectLog) {
                match self {
                    $(Self::$plain(kernel) => kernel.run(rows, out),)*
                    $(Self::$window(kernel) => kernel.run(rows, out),)*
                    $(Self::$state(kernel) => kernel.run(rows, out),)*
                    Self::Detect(kernel) => kernel.run(rows, out, log),
                }
            }

            /// Reads what the next row will need of its state, and nothing more.
            #[inline(always)]
            pub(crate) fn touch(&self) -> u64 {
                match self {
                    $(Self::$window(kernel) => kernel.touch(),)*
                    // What these keep lies in the kernel itself or is too little to fetch.
                    $(Self::$plain(_) => 0,)*
                    $(Self::$state(_) => 0,)*
                    Self::Detect(_) => 0,
                }
            }

            /// Class W: derives what it keeps from the history of its operands; row `next` is the first to
            /// come.
            pub(crate) fn rebuild(&mut self, next: i64, inputs: &[View<'_>; 4]) {
                match self {
                    $(Self::$window(kernel) => kernel.rebuild(next, inputs),)*
                    $(Self::$plain(_) => {})*
                    $(Self::$state(_) => {})*
                    Self::Detect(_) => {}
                }
            }

            /// Class S: it has state that history does not give.
            pub(crate) const fn is_stateful(&self) -> bool {
                match self {
                    $(Self::$plain(_) => false,)*
                    $(Self::$window(_) => false,)*
                    $(Self::$state(_) => true,)*
                    Self::Detect(_) => true,
                }
            }

            /// Class S: state into the checkpoint.
            pub(crate) fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
                match self {
                    $(Self::$state(kernel) => kernel.save(w),)*
                    Self::Detect(kernel) => kernel.save(w),
                    $(Self::$plain(_) => Ok(()),)*
                    $(Self::$window(_) => Ok(()),)*
                }
            }

            /// Class S: state from the checkpoint.
            pub(crate) fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
                match self {
                    $(Self::$state(kernel) => kernel.load(r),)*
                    Self::Detect(kernel) => kernel.load(r),
                    $(Self::$plain(_) => Ok(()),)*
                    $(Self::$window(_) => Ok(()),)*
                }
            }
        }
    };
}

kernels! {
    plain {
        Clock(ClockField),
        Shift(Shift),
    }
    window {
        Ffill(Ffill),
        Held(Held),
        Sums(Box<Stats<Sum>>),
        Moments(Box<Stats<Moments>>),
        Skew(Box<Stats<Moments3>>),
        Pairs(Box<PairStats>),
        Extremes(Box<Extremes>),
        Counts(Box<Counts>),
        Order(Box<OrderStats>),
        TodMean(Box<TodMean>),
        Wma(Box<Wma>),
    }
    state {
        Ewm(Box<Ewm>),
        Since(Since),
        At(At),
        Latch(Latch),
        Episode(Episode),
        Vpin(Box<Vpin>),
    }
    shared { Sums, Moments, Skew, Pairs, Extremes, Counts, Order, Detect, }
}

impl Kernel {
    /// A shortcut for kernels that read their row and keep a few numbers: the rows of history that they read
    /// of their first operand. A kernel that is not named here runs one row at a time as it runs a chunk.
    pub(crate) const fn small(&self) -> Option<usize> {
        match self {
            Self::Ffill(_) | Self::Held(_) | Self::Since(_) | Self::At(_) | Self::Latch(_) => Some(0),
            Self::Episode(_) => Some(Episode::BACK),
            _ => None,
        }
    }

    /// A row of a [`small`](Self::small) kernel: its operands, and the first one's row before.
    #[inline]
    pub(crate) fn of_row(&mut self, a: f64, a_before: f64, b: f64) -> f64 {
        match self {
            Self::Ffill(kernel) => kernel.step(a),
            Self::Held(kernel) => kernel.step(a),
            Self::Since(kernel) => kernel.step(a),
            Self::At(kernel) => kernel.step(a, b),
            Self::Latch(kernel) => kernel.step(a, b),
            Self::Episode(kernel) => kernel.step(a, a_before, b),
            _ => {
                debug_assert!(false, "only small kernels are run by rows");
                f64::NAN
            }
        }
    }
}
