//! Definitions to one hash-consed DAG.
//!
//! Names are lowered on first use, so definitions may stand in any order and in any file; a name that is
//! reached again while it is being lowered is a cycle. Macro arguments are lowered in the caller's scope
//! before the body, which is lowered in the global scope: a macro cannot capture a let-binding. Equal nodes
//! are one node, whoever wrote them.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Binary, Expr, ExprKind, LangError, Span, Unary};
use super::facts::{facts, needs_of};
use super::ir::{Cmp, EventId, EventNode, Graph, Literal, Node, NodeId, Op, Output, Type};
use super::part::part;
use super::program::{EventDef, Program, SeriesDef};
use super::suggest::nearest;
use super::table::{operator_names, type_name, type_names};
use crate::market::{Calendar, Source};

/// Compiles all definitions.
///
/// # Errors
/// Everything that is wrong with them. A name that failed is reported once, where it is defined.
pub fn compile(program: &Program) -> Result<Graph, Vec<LangError>> {
    let mut lowerer = Lowerer::new(program);
    let features = lowerer.outputs(&program.features, Def::Feature);
    let states = lowerer.outputs(&program.states, Def::State);
    let mut events = Vec::new();
    for (ix, def) in program.events.iter().enumerate() {
        let detect = lowerer.resolve(Def::Event(ix), def.when.span);
        if let (Some(detect), true) = (detect, def.enabled) {
            events.push(lowerer.event_node(ix, def, detect));
        }
    }
    if !lowerer.errors.is_empty() {
        return Err(lowerer.errors);
    }
    let mut graph = prune(&Graph { nodes: lowerer.nodes, features, states, events });
    let facts = facts(&graph);
    for event in &mut graph.events {
        event.needs = needs_of(&facts, event.detect);
    }
    Ok(graph)
}

/// A definition that is lowered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Def {
    Feature(usize),
    State(usize),
    Event(usize),
    Let(usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Progress {
    Busy,
    /// `None`: it failed, and was reported.
    Done(Option<NodeId>),
}

/// What names mean besides the global ones.
#[derive(Clone, Copy)]
pub(super) enum Scope<'s> {
    Global,
    Event(usize),
    Macro(&'s [(&'s str, Option<NodeId>)]),
}

pub(super) struct Lowerer<'p> {
    pub(super) program: &'p Program,
    nodes: Vec<Node>,
    index: BTreeMap<(Op, Vec<NodeId>, Option<NodeId>), NodeId>,
    progress: BTreeMap<Def, Progress>,
    busy: Vec<Def>,
    /// Macros being expanded: a macro cannot use itself.
    expanding: Vec<usize>,
    /// Names that each event's own expressions read, in order of first reading.
    reads: BTreeMap<usize, Vec<Output>>,
    errors: Vec<LangError>,
}

impl<'p> Lowerer<'p> {
    fn new(program: &'p Program) -> Self {
        Self {
            program,
            nodes: Vec::new(),
            index: BTreeMap::new(),
            progress: BTreeMap::new(),
            busy: Vec::new(),
            expanding: Vec::new(),
            reads: BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    fn outputs(&mut self, defs: &[SeriesDef], def: fn(usize) -> Def) -> Vec<Output> {
        let lower = |(ix, d): (usize, &SeriesDef)| {
            Some(Output { name: d.name.clone(), node: self.resolve(def(ix), d.span)? })
        };
        defs.iter().enumerate().filter_map(lower).collect()
    }

    fn event_node(&self, ix: usize, def: &EventDef, detect: NodeId) -> EventNode {
        EventNode {
            event_type: def.event_type.clone(),
            family: def.family.clone(),
            detect,
            onset: def.onset,
            spacing_bars: def.spacing_bars,
            max_bars: def.max_bars,
            has_exit: def.exit.is_some(),
            undirected: def.undirected,
            snapshot: self.reads.get(&ix).cloned().unwrap_or_default(),
            needs: Vec::new(),
        }
    }

    pub(super) fn report(&mut self, error: LangError) -> Option<NodeId> {
        self.errors.push(error);
        None
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.ix()]
    }

    pub(super) fn ty(&self, id: NodeId) -> Type {
        self.node(id).ty
    }

    /// The node, made if there is none like it.
    pub(super) fn make(&mut self, op: Op, inputs: Vec<NodeId>, clock: Option<NodeId>, ty: Type) -> NodeId {
        let key = (op, inputs, clock);
        if let Some(&id) = self.index.get(&key) {
            return id;
        }
        let id = NodeId(self.nodes.len() as u32);
        let (op, inputs, clock) = key.clone();
        self.nodes.push(Node { op, inputs, clock, ty });
        self.index.insert(key, id);
        id
    }

    pub(super) fn constant(&mut self, value: f64) -> NodeId {
        self.make(Op::Const(Literal::new(value)), Vec::new(), None, Type::Num)
    }

    pub(super) fn source(&mut self, source: Source) -> NodeId {
        self.make(Op::Source(source), Vec::new(), None, Type::Num)
    }

    // -- definitions -------------------------------------------------------------------------------------

    fn name_of(&self, def: Def) -> &'p str {
        let p = self.program;
        match def {
            Def::Feature(i) => &p.features[i].name,
            Def::State(i) => &p.states[i].name,
            Def::Event(i) => &p.events[i].event_type,
            Def::Let(e, i) => &p.events[e].lets[i].name,
        }
    }

    /// The node of a definition; `from` is where it is asked for.
    pub(super) fn resolve(&mut self, def: Def, from: Span) -> Option<NodeId> {
        match self.progress.get(&def) {
            Some(Progress::Done(node)) => return *node,
            Some(Progress::Busy) => {
                let start = self.busy.iter().position(|d| *d == def).unwrap_or(0);
                let mut names: Vec<&str> = self.busy[start..].iter().map(|d| self.name_of(*d)).collect();
                names.push(self.name_of(def));
                let message = format!("'{}' is defined by itself: {}", self.name_of(def), names.join(" -> "));
                let error = LangError::new(from, message).label("this closes the cycle");
                return self.report(
                    error.help("read an earlier row of something else; no definition may need its own value"),
                );
            }
            None => {}
        }
        self.progress.insert(def, Progress::Busy);
        self.busy.push(def);
        let node = match def {
            Def::Feature(i) => self.series(&self.program.features[i], Scope::Global, None),
            Def::State(i) => self.series(&self.program.states[i], Scope::Global, Some(Type::Bool)),
            Def::Let(e, i) => self.series(&self.program.events[e].lets[i], Scope::Event(e), None),
            Def::Event(i) => self.event(i),
        };
        self.busy.pop();
        self.progress.insert(def, Progress::Done(node));
        node
    }

    fn series(&mut self, def: &SeriesDef, scope: Scope<'_>, want: Option<Type>) -> Option<NodeId> {
        let expr = def.expr.as_deref()?;
        match want {
            Some(ty) => self.typed(expr, scope, ty, &format!("'{}'", def.name)),
            None => self.expr(expr, scope),
        }
    }

    fn event(&mut self, ix: usize) -> Option<NodeId> {
        let def = &self.program.events[ix];
        let scope = Scope::Event(ix);
        for i in 0..def.lets.len() {
            self.resolve(Def::Let(ix, i), def.lets[i].span);
        }
        let when = self.series(&def.when, scope, Some(Type::Bool));
        let exit = match &def.exit {
            Some(exit) => self.series(exit, scope, Some(Type::Bool)),
            None => Some(self.make(Op::Truth(Some(false)), Vec::new(), None, Type::Bool)),
        };
        let direction = self.series(&def.direction, scope, Some(Type::Num));
        let severity = self.series(&def.severity, scope, Some(Type::Num));
        let inputs = vec![when?, exit?, direction?, severity?];
        let id = EventId(self.event_id(ix));
        Some(self.make(Op::Detect(id), inputs, None, Type::Bool))
    }

    /// Enabled events are numbered first, in order: their ids index [`Graph::events`].
    fn event_id(&self, ix: usize) -> u16 {
        let events = &self.program.events;
        let enabled = events.iter().filter(|e| e.enabled).count();
        let before = events[..ix].iter().filter(|e| e.enabled == events[ix].enabled).count();
        (if events[ix].enabled { before } else { enabled + before }) as u16
    }

    // -- expressions -------------------------------------------------------------------------------------

    /// Lowers `expr`, which must be of type `ty`; `what` names the taker in messages.
    pub(super) fn typed(&mut self, expr: &Expr, scope: Scope<'_>, ty: Type, what: &str) -> Option<NodeId> {
        let node = self.expr(expr, scope)?;
        if self.ty(node) == ty {
            return Some(node);
        }
        let found = self.ty(node);
        let message = format!("{what} needs {}, but this is {}", type_names(ty), type_name(found));
        let help = match found {
            Type::Num => "compare it with something, as in `x > 0`",
            Type::Bool => "turn it into a number with `if(c, 1, 0)`",
        };
        self.report(LangError::new(expr.span, message).label(type_name(found)).help(help))
    }

    pub(super) fn expr(&mut self, expr: &Expr, scope: Scope<'_>) -> Option<NodeId> {
        match &expr.kind {
            ExprKind::Number(value) => Some(self.constant(*value)),
            ExprKind::Name(name) => self.name(name, expr.span, scope),
            ExprKind::Unary(Unary::Neg, x) => {
                let x = self.typed(x, scope, Type::Num, "`-`")?;
                Some(match self.node(x).op {
                    Op::Const(value) => self.constant(-value.get()),
                    _ => self.make(Op::Neg, vec![x], None, Type::Num),
                })
            }
            ExprKind::Unary(Unary::Not, c) => {
                let c = self.typed(c, scope, Type::Bool, "`not`")?;
                Some(self.make(Op::Not, vec![c], None, Type::Bool))
            }
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, scope),
            ExprKind::Call(call) => self.call(call, expr.span, scope),
        }
    }

    fn binary(&mut self, op: Binary, a: &Expr, b: &Expr, scope: Scope<'_>) -> Option<NodeId> {
        use Type::{Bool, Num};
        let (lowered, takes, gives) = match op {
            Binary::Or => (Op::Or, Bool, Bool),
            Binary::And => (Op::And, Bool, Bool),
            Binary::Lt => (Op::Compare(Cmp::Lt), Num, Bool),
            Binary::Le => (Op::Compare(Cmp::Le), Num, Bool),
            Binary::Gt => (Op::Compare(Cmp::Gt), Num, Bool),
            Binary::Ge => (Op::Compare(Cmp::Ge), Num, Bool),
            Binary::Eq => (Op::Compare(Cmp::Eq), Num, Bool),
            Binary::Ne => (Op::Compare(Cmp::Ne), Num, Bool),
            Binary::Add => (Op::Add, Num, Num),
            Binary::Sub => (Op::Sub, Num, Num),
            Binary::Mul => (Op::Mul, Num, Num),
            Binary::Div => (Op::Div, Num, Num),
            Binary::Pow => (Op::Pow, Num, Num),
        };
        let what = format!("`{}`", op.symbol());
        let a = self.typed(a, scope, takes, &what);
        let b = self.typed(b, scope, takes, &what);
        Some(self.make(lowered, vec![a?, b?], None, gives))
    }

    fn name(&mut self, name: &str, span: Span, scope: Scope<'_>) -> Option<NodeId> {
        if let Scope::Macro(params) = scope
            && let Some((_, value)) = params.iter().find(|(param, _)| *param == name)
        {
            return *value;
        }
        let node = self.lookup(name, span, scope)?;
        if let Scope::Event(event) = scope {
            let reads = self.reads.entry(event).or_default();
            if reads.iter().all(|r| r.name != name) {
                reads.push(Output { name: name.to_owned(), node });
            }
        }
        Some(node)
    }

    fn lookup(&mut self, name: &str, span: Span, scope: Scope<'_>) -> Option<NodeId> {
        let program = self.program;
        if let Scope::Event(event) = scope {
            if let Some(i) = program.events[event].lets.iter().position(|l| l.name == name) {
                return self.resolve(Def::Let(event, i), span);
            }
            if let ("base", Some(base)) = (name, program.events[event].base) {
                return self.resolve(Def::Event(base), span).map(|detect| self.node(detect).inputs[0]);
            }
        }
        if let Some(i) = program.features.iter().position(|f| f.name == name) {
            return self.resolve(Def::Feature(i), span);
        }
        if let Some(i) = program.states.iter().position(|s| s.name == name) {
            return self.resolve(Def::State(i), span);
        }
        if let Some(source) = Source::ALL.iter().find(|s| s.name() == name) {
            return Some(self.source(*source));
        }
        match name {
            "true" => Some(self.make(Op::Truth(Some(true)), Vec::new(), None, Type::Bool)),
            "false" => Some(self.make(Op::Truth(Some(false)), Vec::new(), None, Type::Bool)),
            _ => self.unknown(name, span, scope),
        }
    }

    fn unknown(&mut self, name: &str, span: Span, scope: Scope<'_>) -> Option<NodeId> {
        let program = self.program;
        let error = LangError::new(span, format!("unknown name '{name}'"));
        let is_call =
            operator_names().chain(program.macros.iter().map(|m| m.name.as_str())).any(|o| o == name);
        let error = if program.events.iter().any(|e| e.event_type == name) {
            error.label("an event").help(format!(
                "an event is read with `fired({name})`, `active({name})` or `event_dir({name})`"
            ))
        } else if Calendar::from_name(name).is_some() {
            error
                .label("a calendar")
                .help(format!("a calendar is read with `minutes_since({name})` or `minutes_to({name})`"))
        } else if matches!(name.to_lowercase().as_str(), "nan" | "null" | "none" | "na" | "inf" | "infinity")
        {
            error.label("not a value").help(
                "unknown is not written; ask for it with `known(x)`, or replace it with `coalesce(x, y)`",
            )
        } else if is_call {
            error.label("an operator").help(format!("call it: `{name}(...)`"))
        } else {
            let mut known: BTreeSet<&str> = Source::ALL.iter().map(|s| s.name()).collect();
            known.extend(program.features.iter().chain(&program.states).map(|d| d.name.as_str()));
            match scope {
                Scope::Event(event) => {
                    known.extend(program.events[event].lets.iter().map(|l| l.name.as_str()));
                }
                Scope::Macro(params) => known.extend(params.iter().map(|(param, _)| *param)),
                Scope::Global => {}
            }
            let error = error.label("not a source, feature, state or let-binding");
            match nearest(name, known) {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error.help("define it as a feature or in `let`, or list the sources with `backtestd spec explain sources`"),
            }
        };
        self.report(error)
    }

    /// Expands a macro. `None`: no such macro.
    pub(super) fn expand(&mut self, call: &super::ast::Call, scope: Scope<'_>) -> Option<Option<NodeId>> {
        let program = self.program;
        let ix = program.macros.iter().position(|m| m.name == call.name)?;
        let def = &program.macros[ix];
        let head = format!("{}({})", def.name, def.params.join(", "));
        let mut bound: Vec<(&str, Option<NodeId>)> = Vec::new();
        for (i, arg) in call.args.iter().enumerate() {
            let param = match &arg.name {
                Some((name, _)) => def.params.iter().find(|p| *p == name),
                None => def.params.get(i),
            };
            let free = param.filter(|p| bound.iter().all(|(b, _)| b != p));
            let Some(param) = free else {
                let span = arg.name.as_ref().map_or(arg.value.span, |(_, span)| *span);
                return Some(
                    self.report(
                        LangError::new(span, format!("the macro is {head}"))
                            .label("no such parameter is left")
                            .help("each parameter is given once, in order or by name"),
                    ),
                );
            };
            let value = self.expr(&arg.value, scope);
            bound.push((param.as_str(), value));
        }
        if let Some(missing) = def.params.iter().find(|p| bound.iter().all(|(b, _)| b != p)) {
            let message = format!("the macro {head} is called without '{missing}'");
            let help = format!("it is called as `{head}`");
            return Some(self.report(LangError::new(call.name_span, message).help(help)));
        }
        if self.expanding.contains(&ix) {
            let message = format!("the macro '{}' uses itself", def.name);
            let help = "a macro is replaced by its body: it may use other macros only";
            return Some(self.report(LangError::new(call.name_span, message).help(help)));
        }
        if bound.iter().any(|(_, value)| value.is_none()) {
            return Some(None);
        }
        let Some(body) = def.body.as_deref() else { return Some(None) };
        self.expanding.push(ix);
        let node = self.expr(body, Scope::Macro(&bound));
        self.expanding.pop();
        Some(node)
    }
}

/// Drops what no output reads (arguments of macros, disabled variants) and numbers the rest densely.
fn prune(graph: &Graph) -> Graph {
    let outputs = graph.features.iter().chain(&graph.states).map(|o| o.node);
    let events = graph.events.iter().flat_map(|e| e.snapshot.iter().map(|o| o.node).chain([e.detect]));
    part(graph, outputs.chain(events))
}
