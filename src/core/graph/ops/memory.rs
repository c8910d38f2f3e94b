//! Class S: recursions over rows whose state goes into the checkpoint.

use super::bytes::{Malformed, Reader, Writer};
use super::{FALSE, Rows, TRUE, is_false, is_true, truth};

/// `ewm(x, halflife, min)`: m <- m + a (x - m), a = 1 - 2^(-1/halflife); the first known value starts it.
#[derive(Clone, Debug)]
pub struct Ewm {
    a: f64,
    min: u64,
    mean: f64,
    n: u64,
}

impl Ewm {
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
    pub fn save(&self, w: &mut Writer) {
        w.f64(self.mean);
        w.u64(self.n);
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.mean = r.f64()?;
        self.n = r.u64()?;
        Ok(())
    }
}

/// `since(c)`: rows since the last known true, 0 = now.
#[derive(Clone, Debug, Default)]
pub struct Since {
    age: Option<u64>,
}

impl Since {
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
    pub fn save(&self, w: &mut Writer) {
        w.u64(self.age.unwrap_or(u64::MAX));
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.age = Some(r.u64()?).filter(|age| *age != u64::MAX);
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
    pub fn save(&self, w: &mut Writer) {
        w.f64(self.held);
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.held = r.f64()?;
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
    pub fn save(&self, w: &mut Writer) {
        w.f64(self.on);
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.on = r.f64()?;
        Ok(())
    }
}

/// `episode(enter, exit, max)`: entered on a rising `enter` unless `exit` holds; left when `exit` is known true or
/// the age reaches `max` (0: no bound); never re-entered on the row of exit.
#[derive(Clone, Debug)]
pub struct Episode {
    max: u64,
    age: Option<u64>,
}

impl Episode {
    /// Outside.
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
    pub fn save(&self, w: &mut Writer) {
        w.u64(self.age.unwrap_or(u64::MAX));
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.age = Some(r.u64()?).filter(|age| *age != u64::MAX);
        Ok(())
    }
}
