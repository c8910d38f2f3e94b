//! Calls to nodes: binds arguments to an operator's parameters and picks the node.

use super::ast::{Arg, Call, Expr, ExprKind, LangError, Span, Unary};
use super::check::{Absent, Kind, Param, Signature, operator_names, signature, type_name};
use super::ir::{Cmp, Literal, NodeId, Op, Rolling, Rolling2, SymbolRef, Type, Universe};
use super::lower::{Def, Lowerer, Scope};
use super::suggest::nearest;
use crate::market::{Calendar, Symbol};

/// A bound argument.
#[derive(Clone, Debug)]
enum Value {
    Node(NodeId),
    Int(u32),
    Literal(f64),
    Calendar(Calendar),
    Event(usize),
    Symbol(SymbolRef),
}

/// The bound arguments of a call, in the order of the operator's parameters.
struct Bound {
    values: Vec<Value>,
    clock: Option<NodeId>,
}

impl Bound {
    fn node(&self, i: usize) -> NodeId {
        match self.values[i] {
            Value::Node(id) => id,
            _ => unreachable!("the signature says that argument {i} is a series"),
        }
    }

    fn int(&self, i: usize) -> u32 {
        match self.values[i] {
            Value::Int(n) => n,
            _ => unreachable!("the signature says that argument {i} is a whole number"),
        }
    }

    fn literal(&self, i: usize) -> f64 {
        match self.values[i] {
            Value::Literal(x) => x,
            _ => unreachable!("the signature says that argument {i} is a literal"),
        }
    }
}

impl Lowerer<'_> {
    pub(super) fn call(&mut self, call: &Call, span: Span, scope: Scope<'_>) -> Option<NodeId> {
        let positional = call.args.iter().filter(|a| a.name.is_none()).count();
        let Some(operator) = signature(&call.name, positional, call.args.len() - positional) else {
            return match self.expand(call, scope) {
                Some(node) => node,
                None => self.unknown_operator(call),
            };
        };
        let bound = self.bind(operator, call, span, scope)?;
        self.apply(operator.name, &bound, call, span)
    }

    fn unknown_operator(&mut self, call: &Call) -> Option<NodeId> {
        let macros = self.program.macros.iter().map(|m| m.name.as_str());
        let near = nearest(&call.name, operator_names().chain(macros));
        let error = LangError::new(call.name_span, format!("unknown operator '{}'", call.name))
            .label("not an operator or macro");
        let elsewhere = ELSEWHERE.iter().find(|(name, _)| call.name.eq_ignore_ascii_case(name));
        self.report(match (elsewhere, near) {
            (Some((_, here)), _) => error.help(format!("here it is `{here}`")),
            (None, Some(near)) => error.help(format!("did you mean '{near}'?")),
            (None, None) => {
                error.help("the operators are listed in spec/README.md, the macros in spec/macros.yaml")
            }
        })
    }

    fn bind(&mut self, op: &Signature, call: &Call, span: Span, scope: Scope<'_>) -> Option<Bound> {
        let mut given: Vec<Option<&Arg>> = vec![None; op.params.len()];
        let mut clock = None;
        let mut ok = true;
        for (i, arg) in call.args.iter().enumerate() {
            if let Some(("on", at)) = arg.name.as_ref().map(|(n, s)| (n.as_str(), *s)) {
                if op.clocked {
                    clock = self.typed(&arg.value, scope, Type::Bool, "`on=`");
                    ok &= clock.is_some();
                } else {
                    let message = format!("`{}` looks at one row only and takes no clock", op.name);
                    ok = self
                        .report(LangError::new(at, message).help("put `on=` on the window or lag inside"))
                        .is_some();
                }
                continue;
            }
            let slot = match &arg.name {
                Some((name, _)) => op.params.iter().position(|p| p.name == name),
                None => (i < op.params.len()).then_some(i),
            };
            match slot {
                Some(slot) if given[slot].is_none() => given[slot] = Some(arg),
                _ => ok = self.misfit(op, arg).is_some(),
            }
        }
        let mut values: Vec<Value> = Vec::new();
        for (param, arg) in op.params.iter().zip(given) {
            let value = match arg {
                Some(arg) => self.argument(op, param, arg, scope),
                None => self.absent(op, param, &values, call, span),
            };
            match value {
                Some(value) => values.push(value),
                None => {
                    ok = false;
                    values.push(Value::Int(1));
                }
            }
        }
        ok.then_some(Bound { values, clock })
    }

    fn misfit(&mut self, op: &Signature, arg: &Arg) -> Option<NodeId> {
        let usage = format!("it is called as `{}`", op.usage());
        let error = match &arg.name {
            Some((name, span)) => {
                let message = format!("`{}` has no free parameter '{name}'", op.name);
                let error = LangError::new(*span, message);
                match nearest(name, op.params.iter().map(|p| p.name)) {
                    Some(near) if near != name => error.help(format!("did you mean '{near}'?")),
                    _ => error,
                }
            }
            None => LangError::new(arg.value.span, format!("`{}` takes fewer arguments", op.name)),
        };
        self.report(error.help(usage))
    }

    fn absent(
        &mut self,
        op: &Signature,
        param: &Param,
        before: &[Value],
        call: &Call,
        span: Span,
    ) -> Option<Value> {
        match param.absent {
            Absent::Int(n) => Some(Value::Int(n)),
            Absent::UniverseMin => Some(Value::Int(self.program.universe_min)),
            Absent::Window => {
                let window = op.params.iter().position(|p| p.name == "window")?;
                before.get(window).cloned()
            }
            Absent::Error => {
                let message = format!("`{}` is called without '{}'", call.name, param.name);
                self.report(LangError::new(span, message).help(format!("it is called as `{}`", op.usage())));
                None
            }
        }
    }

    fn argument(&mut self, op: &Signature, param: &Param, arg: &Arg, scope: Scope<'_>) -> Option<Value> {
        let expr = &arg.value;
        let what = || format!("`{}`", op.name);
        match param.kind {
            Kind::Num => self.typed(expr, scope, Type::Num, &what()).map(Value::Node),
            Kind::Bool => self.typed(expr, scope, Type::Bool, &what()).map(Value::Node),
            Kind::Any => self.expr(expr, scope).map(Value::Node),
            Kind::Literal => self.literal(param, expr, scope).map(Value::Literal),
            Kind::Int(least) => {
                let value = self.literal(param, expr, scope)?;
                if value.fract() == 0.0 && value >= f64::from(least) && value <= f64::from(u32::MAX) {
                    return Some(Value::Int(value as u32));
                }
                let message =
                    format!("'{}' of `{}` is a whole number, at least {least}", param.name, op.name);
                let help = if value < 0.0 {
                    "rows are counted back from this one: nothing reads a later row".to_owned()
                } else {
                    format!("it is called as `{}`", op.usage())
                };
                self.report(LangError::new(expr.span, message).label(format!("{value}")).help(help));
                None
            }
            Kind::Calendar => {
                let calendar = bare_name(expr).and_then(Calendar::from_name);
                let help = "the calendars are session_opens, session_closes, funding and macro";
                self.or_report(calendar.map(Value::Calendar), expr, "expected a calendar", help)
            }
            Kind::Session => {
                let any = bare_name(expr).filter(|n| *n == "any").map(|_| Value::Int(0));
                let help = "the calendar columns hold all sessions together";
                self.or_report(any, expr, "expected `any`", help)
            }
            Kind::Event => self.event_argument(op, expr),
            Kind::Symbol => {
                let symbol = match bare_name(expr) {
                    Some("LEADER") => Some(self.program.leader.clone()),
                    Some(name) if name.chars().all(|c| !c.is_lowercase()) => {
                        Symbol::new(name).ok().map(SymbolRef::Named)
                    }
                    _ => None,
                };
                let help = "in capitals as in BTCUSDT; LEADER is the benchmark of global_defaults.yaml";
                self.or_report(symbol.map(Value::Symbol), expr, "expected a symbol, or LEADER", help)
            }
        }
    }

    fn or_report(&mut self, value: Option<Value>, expr: &Expr, message: &str, help: &str) -> Option<Value> {
        if value.is_none() {
            self.report(LangError::new(expr.span, message).help(help));
        }
        value
    }

    fn event_argument(&mut self, op: &Signature, expr: &Expr) -> Option<Value> {
        let program = self.program;
        let name = bare_name(expr).unwrap_or_default();
        match program.events.iter().position(|e| e.event_type == name) {
            Some(ix) if program.events[ix].enabled => Some(Value::Event(ix)),
            Some(_) => self.or_report(None, expr, "this event is disabled", "enable it in its file"),
            None => {
                let error = LangError::new(expr.span, format!("`{}` takes the name of an event", op.name))
                    .label("not an event");
                let near = nearest(name, program.events.iter().map(|e| e.event_type.as_str()));
                self.report(match near {
                    Some(near) => error.help(format!("did you mean '{near}'?")),
                    None => error.help("the events are in events/canonical_event_registry.yaml"),
                });
                None
            }
        }
    }

    /// A literal number, or a macro parameter bound to one.
    fn literal(&mut self, param: &Param, expr: &Expr, scope: Scope<'_>) -> Option<f64> {
        let value = match (&expr.kind, scope) {
            (ExprKind::Number(value), _) => Some(*value),
            (ExprKind::Unary(Unary::Neg, x), _) => match x.kind {
                ExprKind::Number(value) => Some(-value),
                _ => None,
            },
            (ExprKind::Name(name), Scope::Macro(params)) => {
                let bound = params.iter().find(|(p, _)| p == name).and_then(|(_, node)| *node);
                bound.and_then(|node| match self.node(node).op {
                    Op::Const(value) => Some(value.get()),
                    _ => None,
                })
            }
            _ => None,
        };
        if value.is_none() {
            let message = format!("'{}' must be a literal number", param.name);
            self.report(
                LangError::new(expr.span, message)
                    .help("windows, lags and levels are fixed when the spec is compiled"),
            );
        }
        value
    }

    fn apply(&mut self, name: &str, b: &Bound, call: &Call, span: Span) -> Option<NodeId> {
        use Type::{Bool, Num};
        let unary = |op: Op, ty: Type| Some((op, vec![b.node(0)], ty));
        let roll = |f: Rolling, ty: Type| {
            Some((Op::Roll { f, window: b.int(1), min: b.int(2) }, vec![b.node(0)], ty))
        };
        let roll2 = |f: Rolling2| {
            Some((Op::Roll2 { f, window: b.int(2), min: b.int(3) }, vec![b.node(0), b.node(1)], Num))
        };
        let pair = |op: Op, ty: Type| Some((op, vec![b.node(0), b.node(1)], ty));
        let universe = |f: Universe| Some((Op::Universe { f, min: b.int(1) }, vec![b.node(0)], Num));
        let pointwise = b.values.len() == 2;
        let made = match name {
            "abs" => unary(Op::Abs, Num),
            "sign" => unary(Op::Sign, Num),
            "ln" => unary(Op::Ln, Num),
            "exp" => unary(Op::Exp, Num),
            "sqrt" => unary(Op::Sqrt, Num),
            "norm_cdf" => unary(Op::NormCdf, Num),
            "norm_inv" => unary(Op::NormInv, Num),
            "known" => unary(Op::Known, Bool),
            "min" if pointwise => pair(Op::Min2, Num),
            "max" if pointwise => pair(Op::Max2, Num),
            "clip" => Some((Op::Clip, vec![b.node(0), b.node(1), b.node(2)], Num)),
            "if" => {
                let ty = self.same_type(b.node(1), b.node(2), call, span)?;
                Some((Op::If, vec![b.node(0), b.node(1), b.node(2)], ty))
            }
            "coalesce" => {
                let ty = self.same_type(b.node(0), b.node(1), call, span)?;
                pair(Op::Coalesce, ty)
            }
            "lag" => unary(Op::Lag { k: b.int(1) }, self.ty(b.node(0))),
            "diff" => unary(Op::Diff { k: b.int(1) }, Num),
            "pct_change" => unary(Op::PctChange { k: b.int(1) }, Num),
            "ffill" => unary(Op::Ffill { max: b.int(1) }, Num),
            "sum" => roll(Rolling::Sum, Num),
            "mean" => roll(Rolling::Mean, Num),
            "std" => roll(Rolling::Std, Num),
            "var" => roll(Rolling::Var, Num),
            "z" => roll(Rolling::Z, Num),
            "skew" => roll(Rolling::Skew, Num),
            "min" => roll(Rolling::Min, Num),
            "max" => roll(Rolling::Max, Num),
            "median" => roll(Rolling::Quantile(Literal::new(0.5)), Num),
            "pct_rank" => roll(Rolling::PctRank, Num),
            "count" => roll(Rolling::Count, Num),
            "any" => roll(Rolling::Any, Bool),
            "all" => roll(Rolling::All, Bool),
            "quantile" => {
                let (q, window, min) = (b.literal(1), b.int(2), b.int(3));
                if !(0.0..=1.0).contains(&q) {
                    let help = format!("a share, not a percentage: 0.95 for 95 %; this one is {q}");
                    return self
                        .report(LangError::new(span, "'q' of `quantile` lies between 0 and 1").help(help));
                }
                Some((Op::Roll { f: Rolling::Quantile(Literal::new(q)), window, min }, vec![b.node(0)], Num))
            }
            "age_max" | "age_min" => {
                let f = if name == "age_max" { Rolling::AgeMax } else { Rolling::AgeMin };
                Some((Op::Roll { f, window: b.int(1), min: b.int(1) }, vec![b.node(0)], Num))
            }
            "corr" => roll2(Rolling2::Corr),
            "cov" => roll2(Rolling2::Cov),
            "beta" => roll2(Rolling2::Beta),
            "tod_mean" => unary(Op::TodMean { days: b.int(1), half: b.int(2), min: b.int(3) }, Num),
            "rising" => unary(Op::Rising, Bool),
            "falling" => unary(Op::Falling, Bool),
            "held" => unary(Op::Held { n: b.int(1) }, Bool),
            "since" => unary(Op::Since, Num),
            "crosses_above" => pair(Op::CrossesAbove, Bool),
            "crosses_below" => pair(Op::CrossesBelow, Bool),
            "at" => pair(Op::At, self.ty(b.node(0))),
            "latch" => pair(Op::Latch, Bool),
            "episode" => pair(Op::Episode { max: b.int(2) }, Bool),
            "ewm" => {
                let halflife = b.literal(1);
                if halflife <= 0.0 {
                    let help = "after so many rows a value weighs half as much";
                    return self.report(LangError::new(span, "'halflife' of `ewm` is positive").help(help));
                }
                unary(Op::Ewm { halflife: Literal::new(halflife), min: b.int(2) }, Num)
            }
            "vpin" => {
                let inputs = vec![b.node(0), b.node(1), b.node(2)];
                Some((Op::Vpin { buckets: b.int(3), min: b.int(4) }, inputs, Num))
            }
            "fired" | "active" | "event_dir" => return self.event_read(name, &b.values[0], span),
            "of" => {
                let Value::Symbol(symbol) = b.values[0].clone() else { return None };
                Some((Op::Of(symbol), vec![b.node(1)], self.ty(b.node(1))))
            }
            "universe_median" => universe(Universe::Median),
            "universe_mean" => universe(Universe::Mean),
            "universe_std" => universe(Universe::Std),
            "universe_rank" => universe(Universe::Rank),
            "minutes_since" | "minutes_to" | "in_window" => return self.calendar_read(name, b),
            "session" => Some(self.any_session()),
            "hour" => Some((Op::Hour, Vec::new(), Num)),
            "minute" => Some((Op::Minute, Vec::new(), Num)),
            "weekday" => Some((Op::Weekday, Vec::new(), Num)),
            _ => None,
        };
        let (op, inputs, ty) = made?;
        self.check_window(&op, span)?;
        if (&op, b.clock) == (&Op::Lag { k: 0 }, None) {
            return Some(inputs[0]);
        }
        Some(self.make(op, inputs, b.clock, ty))
    }

    fn same_type(&mut self, a: NodeId, b: NodeId, call: &Call, span: Span) -> Option<Type> {
        let (a, b) = (self.ty(a), self.ty(b));
        if a == b {
            return Some(a);
        }
        let message = format!(
            "both results of `{}` must be alike, but one is {}, the other {}",
            call.name,
            type_name(a),
            type_name(b)
        );
        self.report(
            LangError::new(span, message).help("turn a truth value into a number with `if(c, 1, 0)`"),
        );
        None
    }

    /// `min` may not exceed what the window can hold.
    fn check_window(&mut self, op: &Op, span: Span) -> Option<()> {
        let (held, min, what) = match *op {
            Op::Roll { window, min, .. } | Op::Roll2 { window, min, .. } => (window, min, "the window"),
            Op::TodMean { days, half, min } => {
                (days.saturating_mul(2 * half + 1), min, "days times (2 half + 1)")
            }
            Op::Vpin { buckets, min } => (buckets, min, "the buckets"),
            _ => return Some(()),
        };
        if let Op::TodMean { half: 144.., .. } = op {
            let message = "'half' of `tod_mean` is below 144: rows of today are never read";
            self.report(LangError::new(span, message).help("half an hour to each side is 6 rows"));
            return None;
        }
        if min > held {
            let message = format!("'min' is {min}, more than {what} can ever hold ({held})");
            let help = "lower 'min', or widen the window";
            self.report(LangError::new(span, message).label("never known").help(help));
            return None;
        }
        Some(())
    }

    fn event_read(&mut self, name: &str, event: &Value, span: Span) -> Option<NodeId> {
        let &Value::Event(ix) = event else { return None };
        let detect = self.resolve(Def::Event(ix), span)?;
        let Op::Detect(id) = self.node(detect).op else { return None };
        Some(match name {
            "fired" => detect,
            "active" => self.make(Op::Active(id), vec![detect], None, Type::Bool),
            _ => self.make(Op::EventDir(id), vec![detect], None, Type::Num),
        })
    }

    fn calendar_read(&mut self, name: &str, b: &Bound) -> Option<NodeId> {
        let Value::Calendar(calendar) = b.values[0] else { return None };
        match name {
            "minutes_since" => Some(self.source(calendar.minutes_since())),
            "minutes_to" => Some(self.source(calendar.minutes_to())),
            _ => {
                let to = self.source(calendar.minutes_to());
                let since = self.source(calendar.minutes_since());
                let before = self.constant(f64::from(b.int(1)));
                let after = self.constant(f64::from(b.int(2)));
                let le = |a, c| (Op::Compare(Cmp::Le), vec![a, c], None, Type::Bool);
                let (op, inputs, clock, ty) = le(to, before);
                let near = self.make(op, inputs, clock, ty);
                let (op, inputs, clock, ty) = le(since, after);
                let past = self.make(op, inputs, clock, ty);
                Some(self.make(Op::Or, vec![near, past], None, Type::Bool))
            }
        }
    }

    /// Some session is open: the last instant was an open, or the next one is a close.
    fn any_session(&mut self) -> (Op, Vec<NodeId>, Type) {
        let (opens, closes) = (Calendar::SessionOpens, Calendar::SessionCloses);
        let since_open = self.source(opens.minutes_since());
        let since_close = self.source(closes.minutes_since());
        let to_open = self.source(opens.minutes_to());
        let to_close = self.source(closes.minutes_to());
        let opened = self.make(Op::Compare(Cmp::Lt), vec![since_open, since_close], None, Type::Bool);
        let closing = self.make(Op::Compare(Cmp::Lt), vec![to_close, to_open], None, Type::Bool);
        (Op::Or, vec![opened, closing], Type::Bool)
    }
}

/// What other languages call an operator, and how it is written here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("shift", "lag(x, k)"),
    ("ref", "lag(x, k)"),
    ("delay", "lag(x, k)"),
    ("delta", "diff(x, k)"),
    ("rolling_mean", "mean(x, window=n)"),
    ("sma", "mean(x, window=n)"),
    ("avg", "mean(x, window=n)"),
    ("rolling_sum", "sum(x, window=n)"),
    ("rolling_std", "std(x, window=n)"),
    ("stddev", "std(x, window=n)"),
    ("rolling_max", "max(x, window=n)"),
    ("rolling_min", "min(x, window=n)"),
    ("zscore", "z(x, window=n)"),
    ("percentile", "quantile(x, q=0.95, window=n)"),
    ("rank", "pct_rank(x, window=n)"),
    ("ema", "ewm(x, halflife=n)"),
    ("log", "ln(x)"),
    ("pow", "x^y"),
    ("where", "if(c, a, b)"),
    ("iff", "if(c, a, b)"),
    ("fillna", "coalesce(x, y)"),
    ("isnan", "not known(x)"),
    ("isnull", "not known(x)"),
    ("crossover", "crosses_above(x, y)"),
    ("crossunder", "crosses_below(x, y)"),
];

fn bare_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        _ => None,
    }
}
