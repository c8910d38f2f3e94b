//! Class S: recursions over rows whose state goes into the checkpoint.

use super::bytes::{Malformed, Reader, Writer};
use super::kernel::Kernel;
use super::{FALSE, Rows, TRUE, is_false, is_true, truth};
use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{ANY, Absent, C, Class, Kind, Operator, Param, X};
use crate::graph::{Literal, Op, Type};

const SWITCH: &[Param] = &[Param::of("set", Kind::Bool), Param::of("reset", Kind::Bool)];
const STAY: &[Param] = &[
    Param::of("enter", Kind::Bool),
    Param::of("exit", Kind::Bool),
    Param::or("max", Kind::Int(1), Absent::Int(0)),
];
const DECAY: &[Param] =
    &[X, Param::of("halflife", Kind::Literal), Param::or("min", Kind::Int(1), Absent::Int(1))];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::state(
        "since",
        &[C],
        "since(close > open)",
        |at, b| at.node_of(b, Op::Since, Type::Num),
        |say| format!("the rows since {}", say.bracketed("c")),
    ),
    Operator::state(
        "at",
        &[ANY, C],
        "at(close, volume > 2000)",
        |at, b| {
            let ty = at.ty(b.series("x")?);
            at.node_of(b, Op::At, ty)
        },
        |say| format!("{} when last {}", say.word("x"), say.bracketed("c")),
    ),
    Operator::state(
        "latch",
        SWITCH,
        "latch(close > open, close < open)",
        |at, b| at.node_of(b, Op::Latch, Type::Bool),
        |say| format!("on from {} until {}", say.bracketed("set"), say.bracketed("reset")),
    ),
    Operator::state(
        "episode",
        STAY,
        "episode(close > open, volume > 2000, max=12)",
        |at, b| at.node_of(b, Op::Episode { max: b.whole("max")? }, Type::Bool),
        |say| {
            let most = if say.has("max") { format!(", at most {}", say.rows("max")) } else { String::new() };
            format!("from when {} starts until {}{most}", say.bracketed("enter"), say.bracketed("exit"))
        },
    ),
    Operator::state(
        "ewm",
        DECAY,
        "ewm(close, halflife=6, min=3)",
        |at, b| {
            let halflife = b.literal("halflife")?;
            if halflife <= 0.0 {
                let help = "after so many rows a value weighs half as much";
                return at.refuse(b, "'halflife' of `ewm` is positive", help);
            }
            let min = b.whole("min")?;
            at.node_of(b, Op::Ewm { halflife: Literal::new(halflife), min }, Type::Num)
        },
        |say| format!("the exponential mean of {}, half-life {}", say.word("x"), say.rows("halflife")),
    ),
];

fn sheet(text: String, unknown: Unknown, make: impl FnOnce() -> Kernel + 'static) -> Sheet {
    Sheet {
        text,
        class: Class::State,
        reach: Reach::ROW,
        cost: 1.0,
        needs: Needs::All,
        unknown,
        work: Work::alone(make),
    }
}

/// The sheet of `since`.
pub(in crate::graph) fn since() -> Sheet {
    sheet("since".to_owned(), Unknown::NeverHappened, || Kernel::Since(Since::default()))
}

/// The sheet of `at`.
pub(in crate::graph) fn at() -> Sheet {
    sheet("at".to_owned(), Unknown::NeverHappened, || Kernel::At(At::default()))
}

/// The sheet of `latch`.
pub(in crate::graph) fn latch() -> Sheet {
    sheet("latch".to_owned(), Unknown::NeverSet, || Kernel::Latch(Latch::default()))
}

/// The sheet of `episode`.
pub(in crate::graph) fn episode(max: u32) -> Sheet {
    let text = if max == 0 { "episode".to_owned() } else { format!("episode(max={max})") };
    sheet(text, Unknown::Inputs, move || Kernel::Episode(Episode::new(max)))
}

/// The sheet of `ewm`.
pub(in crate::graph) fn ewm(halflife: f64, min: u32) -> Sheet {
    let text = format!("ewm(halflife={halflife}, min={min})");
    sheet(text, Unknown::TooFew, move || Kernel::Ewm(Box::new(Ewm::new(halflife, min))))
}

/// `ewm(x, halflife, min)`: m <- m + a (x - m), a = 1 - 2^(-1/halflife); the first known value starts it.
#[derive(Clone, Debug)]
pub struct Ewm {
    a: f64,
    min: u64,
    mean: f64,
    n: u64,
}

impl Ewm {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 0;

    /// Half-life in rows (ticks on an event clock).
    #[must_use]
    pub fn new(halflife: f64, min: u32) -> Self {
        Self { a: 1.0 - libm::exp2(-1.0 / halflife), min: u64::from(min.max(1)), mean: 0.0, n: 0 }
    }

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        for (o, x) in out.iter_mut().zip(rows.inputs[0].rows()) {
            if !x.is_nan() {
                self.mean = if self.n == 0 { *x } else { self.mean + self.a * (x - self.mean) };
                self.n += 1;
            }
            *o = if self.n >= self.min { self.mean } else { f64::NAN };
        }
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&(self.mean, self.n))
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        (self.mean, self.n) = r.take()?;
        Ok(())
    }
}

/// `since(c)`: rows since the last known true, 0 = now.
#[derive(Clone, Debug, Default)]
pub struct Since {
    age: Option<u64>,
}

impl Since {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 0;

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        for (o, c) in out.iter_mut().zip(rows.inputs[0].rows()) {
            *o = self.step(*c);
        }
    }

    /// The next row.
    pub fn step(&mut self, c: f64) -> f64 {
        self.age = if is_true(c) { Some(0) } else { self.age.map(|age| age + 1) };
        self.age.map_or(f64::NAN, |age| age as f64)
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&self.age)
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.age = r.take()?;
        Ok(())
    }
}

/// `at(x, c)`: the x of the most recent row with c known true.
#[derive(Clone, Debug)]
pub struct At {
    held: f64,
}

impl Default for At {
    fn default() -> Self {
        Self { held: f64::NAN }
    }
}

impl At {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 0;

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let [x, c, ..] = rows.inputs;
        for ((o, x), c) in out.iter_mut().zip(x.rows()).zip(c.rows()) {
            *o = self.step(*x, *c);
        }
    }

    /// The next row.
    pub fn step(&mut self, x: f64, c: f64) -> f64 {
        if is_true(c) {
            self.held = x;
        }
        self.held
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&self.held)
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.held = r.take()?;
        Ok(())
    }
}

/// `latch(set, reset)`; reset wins, unknown until the first of either.
#[derive(Clone, Debug)]
pub struct Latch {
    on: f64,
}

impl Default for Latch {
    fn default() -> Self {
        Self { on: f64::NAN }
    }
}

impl Latch {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 0;

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let [set, reset, ..] = rows.inputs;
        for ((o, set), reset) in out.iter_mut().zip(set.rows()).zip(reset.rows()) {
            *o = self.step(*set, *reset);
        }
    }

    /// The next row.
    pub fn step(&mut self, set: f64, reset: f64) -> f64 {
        if is_true(reset) {
            self.on = FALSE;
        } else if is_true(set) {
            self.on = TRUE;
        }
        self.on
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&self.on)
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.on = r.take()?;
        Ok(())
    }
}

/// `episode(enter, exit, max)`: entered on a rising `enter` unless `exit` holds; left when `exit` is known
/// true or the age reaches `max` (0: no bound); never re-entered on the row of exit.
#[derive(Clone, Debug)]
pub struct Episode {
    max: u64,
    age: Option<u64>,
}

impl Episode {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 1;

    /// An episode that is not open.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self { max: u64::from(max), age: None }
    }

    /// Evaluates the chunk; reads one row of history of `enter`.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let [enter, exit, ..] = rows.inputs;
        for (i, (o, exit)) in out.iter_mut().zip(exit.rows()).enumerate() {
            *o = self.step(enter.get(i, 0), enter.get(i, 1), *exit);
        }
    }

    /// The next row; `before` is `enter` one row before.
    pub fn step(&mut self, enter: f64, before: f64, exit: f64) -> f64 {
        let leave = is_true(exit);
        self.age = match self.age {
            Some(age) if leave || age + 1 == self.max => None,
            Some(age) => Some(age + 1),
            None if is_true(enter) && is_false(before) && !leave => Some(0),
            None => None,
        };
        truth(self.age.is_some())
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&self.age)
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.age = r.take()?;
        Ok(())
    }
}
