//! Calls: binds arguments to an operator's parameters, and offers its row what it needs to make nodes of
//! them.

use std::cell::Cell;

use super::ast::{Arg, Call, Expr, ExprKind, LangError, Span, Unary};
use super::ir::{EventId, NodeId, Op, Rolling, Rolling2, SymbolRef, Type};
use super::lower::{Def, Lowerer, Scope};
use super::suggest::nearest;
use super::table::{Absent, Kind, Operator, Param, known_elsewhere, operator, operator_names, type_name};
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
    /// A name that says nothing further.
    Name,
    /// It was refused; its row will not be asked.
    Refused,
}

/// The bound arguments of a call, in the order of the operator's parameters.
pub(super) struct Bound<'c> {
    operator: &'static Operator,
    values: Vec<Value>,
    /// The clock that `on=` names.
    pub(super) clock: Option<NodeId>,
    /// Where the call stands.
    pub(super) span: Span,
    /// As it was called.
    name: &'c str,
    /// Whether the row asked for a parameter that it does not have.
    has_missed: Cell<bool>,
}

/// What a row asks for. `None` where the row's parameters have none of this name and kind: see
/// [`Lowerer::call`].
impl Bound<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        let at = self.operator.params.iter().position(|p| p.name == name)?;
        self.values.get(at)
    }

    fn asked<T>(&self, found: Option<T>) -> Option<T> {
        self.has_missed.set(self.has_missed.get() || found.is_none());
        found
    }

    /// The series arguments, in order.
    pub(super) fn operands(&self) -> Vec<NodeId> {
        let node = |value: &Value| if let Value::Node(id) = value { Some(*id) } else { None };
        self.values.iter().filter_map(node).collect()
    }

    /// A series argument, by its parameter's name.
    pub(super) fn series(&self, name: &str) -> Option<NodeId> {
        self.asked(if let Some(Value::Node(id)) = self.value(name) { Some(*id) } else { None })
    }

    /// A literal whole number, by its parameter's name.
    pub(super) fn whole(&self, name: &str) -> Option<u32> {
        self.asked(if let Some(Value::Int(n)) = self.value(name) { Some(*n) } else { None })
    }

    /// A literal number, by its parameter's name.
    pub(super) fn literal(&self, name: &str) -> Option<f64> {
        self.asked(if let Some(Value::Literal(x)) = self.value(name) { Some(*x) } else { None })
    }

    /// The calendar that the call names.
    pub(super) fn calendar(&self) -> Option<Calendar> {
        self.asked(if let Some(Value::Calendar(calendar)) = self.value("calendar") {
            Some(*calendar)
        } else {
            None
        })
    }

    /// An event, as its place in the program.
    pub(super) fn event(&self) -> Option<usize> {
        self.asked(if let Some(Value::Event(ix)) = self.value("event") { Some(*ix) } else { None })
    }

    /// The symbol that the call names.
    pub(super) fn symbol(&self) -> Option<SymbolRef> {
        self.asked(if let Some(Value::Symbol(symbol)) = self.value("symbol") {
            Some(symbol.clone())
        } else {
            None
        })
    }
}

impl Lowerer<'_> {
    pub(super) fn call(&mut self, call: &Call, span: Span, scope: Scope<'_>) -> Option<NodeId> {
        let positional = call.args.iter().filter(|a| a.name.is_none()).count();
        let Some(operator) = operator(&call.name, positional, call.args.len() - positional) else {
            return match self.expand(call, scope) {
                Some(node) => node,
                None => self.unknown_operator(call),
            };
        };
        let bound = self.bind(operator, call, span, scope)?;
        let node = (operator.lower)(self, &bound);
        if node.is_none() && bound.has_missed.get() {
            // A fault of the table, which the row's example shows in tests.
            let message = format!("`{}` makes nothing of these arguments", operator.name);
            return self.report(
                LangError::new(span, message).help(format!("it is called as `{}`", operator.usage())),
            );
        }
        node
    }

    fn unknown_operator(&mut self, call: &Call) -> Option<NodeId> {
        let macros = self.program.macros.iter().map(|m| m.name.as_str());
        let near = nearest(&call.name, operator_names().chain(macros));
        let error = LangError::new(call.name_span, format!("unknown operator '{}'", call.name))
            .label("not an operator or macro");
        let elsewhere = known_elsewhere(&call.name);
        self.report(match (elsewhere, near) {
            (Some(here), _) => error.help(format!("here it is `{here}`")),
            (None, Some(near)) => error.help(format!("did you mean '{near}'?")),
            (None, None) => {
                error.help("the operators are listed in spec/README.md, the macros in spec/macros.yaml")
            }
        })
    }

    fn bind<'c>(
        &mut self,
        op: &'static Operator,
        call: &'c Call,
        span: Span,
        scope: Scope<'_>,
    ) -> Option<Bound<'c>> {
        let mut given: Vec<Option<&Arg>> = vec![None; op.params.len()];
        let mut clock = None;
        let mut ok = true;
        for (i, arg) in call.args.iter().enumerate() {
            if let Some(("on", at)) = arg.name.as_ref().map(|(n, s)| (n.as_str(), *s)) {
                if op.takes_clock {
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
                    values.push(Value::Refused);
                }
            }
        }
        ok.then_some(Bound {
            operator: op,
            values,
            clock,
            span,
            name: &call.name,
            has_missed: Cell::new(false),
        })
    }

    fn misfit(&mut self, op: &Operator, arg: &Arg) -> Option<NodeId> {
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
        op: &Operator,
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

    fn argument(&mut self, op: &Operator, param: &Param, arg: &Arg, scope: Scope<'_>) -> Option<Value> {
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
                let any = bare_name(expr).filter(|n| *n == "any").map(|_| Value::Name);
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

    fn event_argument(&mut self, op: &Operator, expr: &Expr) -> Option<Value> {
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
}

/// What rows make nodes with.
impl Lowerer<'_> {
    /// The node of `op` over all series arguments of the call, on its clock.
    pub(super) fn node_of(&mut self, b: &Bound<'_>, op: Op, ty: Type) -> Option<NodeId> {
        Some(self.make(op, b.operands(), b.clock, ty))
    }

    /// An error at the call.
    pub(super) fn refuse(
        &mut self,
        b: &Bound<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<NodeId> {
        self.report(LangError::new(b.span, message).help(help))
    }

    /// `min` may not exceed the `held` values that `what` can hold.
    pub(super) fn fits(&mut self, b: &Bound<'_>, min: u32, held: u32, what: &str) -> Option<()> {
        if min <= held {
            return Some(());
        }
        let message = format!("'min' is {min}, more than {what} can ever hold ({held})");
        let error = LangError::new(b.span, message).label("never known");
        self.report(error.help("lower 'min', or widen the window"));
        None
    }

    /// `window` and `min` of a call that has both.
    pub(super) fn window(&mut self, b: &Bound<'_>) -> Option<(u32, u32)> {
        let (window, min) = (b.whole("window")?, b.whole("min")?);
        self.fits(b, min, window, "the window")?;
        Some((window, min))
    }

    /// A rolling operator over the call's one series.
    pub(super) fn roll(&mut self, b: &Bound<'_>, f: Rolling, ty: Type) -> Option<NodeId> {
        let (window, min) = self.window(b)?;
        self.node_of(b, Op::Roll { f, window, min }, ty)
    }

    /// A rolling operator over the call's two series.
    pub(super) fn roll2(&mut self, b: &Bound<'_>, f: Rolling2) -> Option<NodeId> {
        let (window, min) = self.window(b)?;
        self.node_of(b, Op::Roll2 { f, window, min }, Type::Num)
    }

    /// The detector of the call's event.
    pub(super) fn detector(&mut self, b: &Bound<'_>) -> Option<(NodeId, EventId)> {
        let detect = self.resolve(Def::Event(b.event()?), b.span)?;
        let Op::Detect(event) = self.node(detect).op else { return None };
        Some((detect, event))
    }

    /// The type of both series, which must be alike.
    pub(super) fn same_type(&mut self, b: &Bound<'_>, one: &str, other: &str) -> Option<Type> {
        let (one, other) = (self.ty(b.series(one)?), self.ty(b.series(other)?));
        if one == other {
            return Some(one);
        }
        let message = format!(
            "both results of `{}` must be alike, but one is {}, the other {}",
            b.name,
            type_name(one),
            type_name(other)
        );
        self.refuse(b, message, "turn a truth value into a number with `if(c, 1, 0)`");
        None
    }
}

fn bare_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        _ => None,
    }
}
