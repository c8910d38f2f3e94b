//! What made a value unknown, false or true: the walk from a node down to the inputs that decided it.

use std::collections::BTreeSet;

use super::formula::{formula, named};
use super::show::value_text;
use super::trace::Trace;
use crate::graph::ops::{is_false, is_true};
use crate::graph::{NodeId, Op, Type, Unknown as Why, sheet};

/// Reasons listed at most; the tree shows the rest.
const REASONS: usize = 6;

impl Trace {
    /// Why the value of `node` is unknown, in words; nothing if it is known.
    pub(super) fn why_unknown(&self, symbol: usize, node: NodeId) -> Vec<String> {
        let mut walk = Unknown { trace: self, seen: BTreeSet::new(), reasons: Vec::new() };
        walk.visit(symbol, node);
        walk.reasons.truncate(REASONS);
        walk.reasons
    }

    /// The comparisons (or other parts that are no connective) that made a known truth value what it is, with
    /// the numbers compared.
    pub(super) fn why_known(&self, symbol: usize, node: NodeId) -> Vec<String> {
        let mut deciding = Vec::new();
        self.deciding(symbol, node, &mut deciding);
        deciding.truncate(REASONS);
        deciding.into_iter().map(|id| self.assertion(symbol, id)).collect()
    }

    /// Parts of `and`, `or` and `not` that decide: the false ones of a false `and`, all of a true one.
    fn deciding(&self, symbol: usize, node: NodeId, out: &mut Vec<NodeId>) {
        let value = self.value(symbol, node);
        let inputs = &self.graph().node(node).inputs;
        let decides = |input: &NodeId| match self.graph().node(node).op {
            Op::And => is_true(value) || is_false(self.value(symbol, *input)),
            Op::Or => is_false(value) || is_true(self.value(symbol, *input)),
            Op::Not => true,
            _ => false,
        };
        let parts: Vec<NodeId> = inputs.iter().copied().filter(decides).collect();
        if parts.is_empty() {
            if !out.contains(&node) {
                out.push(node);
            }
            return;
        }
        for part in parts {
            self.deciding(symbol, part, out);
        }
    }

    /// `vol_ratio >= 1.5 is false (1.27 against 1.5)`.
    fn assertion(&self, symbol: usize, node: NodeId) -> String {
        let graph = self.graph();
        let value = value_text(Type::Bool, self.value(symbol, node));
        let compared = match graph.node(node).op {
            Op::Compare(_) => {
                let side = |i: usize| {
                    let input = graph.node(node).inputs[i];
                    value_text(graph.node(input).ty, self.value(symbol, input))
                };
                format!(" ({} against {})", side(0), side(1))
            }
            _ => String::new(),
        };
        format!("`{}` is {value}{compared}", formula(&self.subject, node))
    }
}

struct Unknown<'t> {
    trace: &'t Trace,
    seen: BTreeSet<(usize, NodeId)>,
    reasons: Vec<String>,
}

impl Unknown<'_> {
    fn say(&mut self, reason: String) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    fn visit(&mut self, symbol: usize, id: NodeId) {
        let trace = self.trace;
        if !trace.value(symbol, id).is_nan() || !self.seen.insert((symbol, id)) {
            return;
        }
        let whose = &trace.symbols[symbol];
        if let Some(source) = trace.missing(symbol, id) {
            return self.say(format!("{} is not collected for {whose}", source.name()));
        }
        let node = trace.graph().node(id);
        let name = named(&trace.subject, id);
        let unknown: Vec<NodeId> =
            node.inputs.iter().copied().filter(|i| trace.value(symbol, *i).is_nan()).collect();
        if let Some(clock) = node.clock
            && trace.value(symbol, clock).is_nan()
        {
            return self.visit(symbol, clock);
        }
        let inputs = |walk: &mut Self| unknown.iter().for_each(|input| walk.visit(symbol, *input));
        match sheet(&node.op).unknown {
            Why::Column(source) => {
                let rule = trace.spec.sources.rule(source);
                let when = rule.map_or("no value", |r| r.unknown_when.as_str());
                self.say(format!("{} is unknown for {whose} on this bar ({when})", source.name()));
            }
            Why::Symbol(reference) => match trace.referred(&reference, symbol) {
                (other, None) => self.say(format!("{other} is not followed")),
                (_, Some(other)) if trace.value(other, node.inputs[0]).is_nan() => {
                    self.visit(other, node.inputs[0]);
                }
                (other, Some(_)) => self.say(format!("there is no bar of {other} here")),
            },
            Why::Symbols(min) => {
                // A rank needs a value of the symbol's own too.
                let own = node.inputs[0];
                let known = (0..trace.symbols.len()).filter(|s| !trace.value(*s, node.inputs[0]).is_nan());
                let n = known.count();
                if n >= min as usize && trace.value(symbol, own).is_nan() {
                    self.visit(symbol, own);
                } else {
                    self.say(format!("`{name}` needs {min} symbols with a known value, and {n} have one"));
                }
            }
            Why::Window { window, min, needs_own_row } => {
                self.rolling(symbol, id, (window, min), needs_own_row);
            }
            Why::Fallback => self.visit(symbol, node.inputs[1]),
            Why::Earlier(k) if node.clock.is_none() => self.earlier(symbol, id, i64::from(k)),
            Why::RowBefore if unknown.is_empty() => {
                self.say(format!("`{name}` looks one bar back, where its operand was unknown"));
            }
            Why::NeverSet => self.say(format!(
                "`{name}` has been neither set nor reset since the history began at {}",
                trace.first
            )),
            Why::NeverHappened if unknown.is_empty() => {
                self.say(format!(
                    "`{name}`: that has not happened since the history began at {}",
                    trace.first
                ));
            }
            Why::TooFew if unknown.is_empty() => {
                self.say(format!("`{name}` has seen too few known values{}", self.short_history(id)));
            }
            Why::Earlier(_) | Why::Inputs if unknown.is_empty() => {
                let why = if node.clock.is_some() {
                    "has not ticked often enough"
                } else {
                    "is undefined for these operands (as a division by zero)"
                };
                self.say(format!("`{name}` {why}"));
            }
            Why::Earlier(_) | Why::Inputs | Why::RowBefore | Why::NeverHappened | Why::TooFew => inputs(self),
        }
    }

    fn rolling(&mut self, symbol: usize, id: NodeId, (window, min): (u32, u32), own_row: bool) {
        let trace = self.trace;
        let node = trace.graph().node(id);
        let name = named(&trace.subject, id);
        let rows = if node.clock.is_some() { "ticks" } else { "rows" };
        let probe = trace.subject.known_in_window(id).map_or(f64::NAN, |probe| trace.value(symbol, probe));
        let known = if probe.is_nan() { 0.0 } else { probe };
        if known < f64::from(min) {
            let short = self.short_history(id);
            let own = formula(&trace.subject, id);
            self.say(format!("`{own}` knows {known} of its last {window} {rows} and needs {min}{short}"));
        } else if own_row && trace.value(symbol, node.inputs[0]).is_nan() {
            self.visit(symbol, node.inputs[0]);
        } else {
            self.say(format!("`{name}` is undefined: its window does not vary"));
        }
    }

    /// An operand `k` rows before.
    fn earlier(&mut self, symbol: usize, id: NodeId, k: i64) {
        let trace = self.trace;
        let node = trace.graph().node(id);
        let input = node.inputs[0];
        let name = named(&trace.subject, input);
        if k >= trace.rows() {
            let rows = trace.rows() - 1;
            return self
                .say(format!("`{name}` is read {k} rows back, and the history begins {rows} rows back"));
        }
        let unknown_now = trace.value(symbol, input).is_nan();
        if unknown_now {
            // What makes it unknown now usually made it unknown then.
            self.visit(symbol, input);
        } else {
            self.say(format!("`{name}` was unknown {k} {} before", if k == 1 { "row" } else { "rows" }));
        }
    }

    /// That the history is shorter than what the node needs, if so.
    fn short_history(&self, id: NodeId) -> String {
        let (needed, rows) = (self.trace.subject.facts[id.ix()].warm_up.rows, self.trace.rows());
        if rows as u64 > needed {
            return String::new();
        }
        format!(" (a warm-up of {needed} rows, and the history begins {} rows back)", rows - 1)
    }
}
