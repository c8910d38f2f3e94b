//! Detectors with other thresholds: what a rule would have met had its event been drawn a little wider or
//! narrower.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CompiledSpec;
use crate::graph::{Arg, Binary, Call, Expr, ExprKind, SeriesDef, compile, part};

impl CompiledSpec {
    /// These events, detected with every threshold of their `when` and of its `let` bindings multiplied by
    /// `factor`, the states that are named, and what both read; nothing else. A threshold is what stands to
    /// the right of `<`, `<=`, `>` or `>=`: a number, a quantile of the past, an expression. `==` and `!=`
    /// name cases and are left alone, and so are features, states, the end of an episode and its direction.
    /// `None` where the shifted definitions do not compile.
    #[must_use]
    pub fn shifted(&self, events: &BTreeSet<&str>, states: &BTreeSet<&str>, factor: f64) -> Option<Self> {
        let mut program = (*self.program).clone();
        let asked = |name: &str| events.contains(name);
        let bases: BTreeSet<usize> =
            program.events.iter().filter(|e| asked(&e.event_type)).filter_map(|e| e.base).collect();
        for (at, event) in program.events.iter_mut().enumerate() {
            if asked(&event.event_type) || bases.contains(&at) {
                event.lets.iter_mut().for_each(|binding| shift(binding, factor));
                shift(&mut event.when, factor);
            }
        }
        let whole = compile(&program).ok()?;
        let detectors = whole.events.iter().filter(|e| asked(&e.event_type)).map(|e| e.detect);
        let regimes = &self.defaults.conditioning.regimes;
        let is_read = |name: &str| regimes.contains_key(name) || RECORDED.contains(&name);
        let features = whole.features.iter().filter(|f| is_read(&f.name)).map(|f| f.node);
        let named = whole.states.iter().filter(|s| states.contains(s.name.as_str())).map(|s| s.node);
        let graph = part(&whole, detectors.chain(features).chain(named).collect::<Vec<_>>());
        let (has_event, has_state, has_feature) = (
            |name: &str| graph.events.iter().any(|e| e.event_type == name),
            |name: &str| graph.states.iter().any(|s| s.name == name),
            |name: &str| graph.features.iter().any(|f| f.name == name),
        );
        let spec = Self {
            events: self.events.iter().filter(|e| has_event(&e.event_type)).cloned().collect(),
            states: self.states.iter().filter(|s| has_state(&s.id)).cloned().collect(),
            features: self.features.iter().filter(|f| has_feature(&f.name)).cloned().collect(),
            program: Arc::new(program),
            ..self.clone()
        };
        Some(Self { graph: Arc::new(graph), ..spec })
    }
}

/// Features that the record of an event carries.
const RECORDED: [&str; 4] = ["vol_regime", "carry_state", "sigma_bar", "sigma_event"];

fn shift(series: &mut SeriesDef, factor: f64) {
    series.expr = series.expr.take().map(|expr| Arc::new(shifted(&expr, factor)));
}

/// The expression with every threshold multiplied.
fn shifted(expr: &Expr, factor: f64) -> Expr {
    let inner = |x: &Expr| Box::new(shifted(x, factor));
    let kind = match &expr.kind {
        ExprKind::Number(_) | ExprKind::Name(_) => expr.kind.clone(),
        ExprKind::Unary(op, x) => ExprKind::Unary(*op, inner(x)),
        ExprKind::Binary(op @ (Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge), a, b) => {
            let by = Expr { kind: ExprKind::Number(factor), span: b.span };
            let product = ExprKind::Binary(Binary::Mul, inner(b), Box::new(by));
            ExprKind::Binary(*op, inner(a), Box::new(Expr { kind: product, span: b.span }))
        }
        ExprKind::Binary(op, a, b) => ExprKind::Binary(*op, inner(a), inner(b)),
        ExprKind::Call(call) => {
            let arg = |arg: &Arg| Arg { name: arg.name.clone(), value: shifted(&arg.value, factor) };
            ExprKind::Call(Call { args: call.args.iter().map(arg).collect(), ..call.clone() })
        }
    };
    Expr { kind, span: expr.span }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::parse;
    use crate::spec::shipped_tests::shipped_spec;

    fn of(text: &str, factor: f64) -> String {
        shifted(&parse(text, 0).unwrap(), factor).to_string()
    }

    #[test]
    fn what_stands_to_the_right_of_a_comparison_is_multiplied_and_nothing_else() {
        assert_eq!(
            of("vol_ratio >= max(tq(vol_ratio, 0.98), 1.5)", 1.1),
            "vol_ratio >= max(tq(vol_ratio, 0.98), 1.5) * 1.1"
        );
        assert_eq!(of("any(abs(u) >= 3, window=12, min=6)", 0.9), "any(abs(u) >= 3 * 0.9, window=12, min=6)");
        assert_eq!(
            of("not (a < b + 1 and vol_regime == 2) or c <= -0.5", 1.1),
            "not (a < (b + 1) * 1.1 and vol_regime == 2) or c <= -0.5 * 1.1"
        );
        assert_eq!(of("shock and held(thin, 2)", 1.1), "shock and held(thin, 2)");
    }

    #[test]
    fn every_shipped_event_can_be_shifted_and_brings_along_what_it_reads_and_no_more() {
        let spec = shipped_spec();
        let state = spec.states[0].id.clone();
        let mut moved = 0;
        for event in &spec.events {
            let of = |factor| {
                let name = event.event_type.as_str();
                spec.shifted(&[name].into(), &[state.as_str()].into(), factor)
                    .unwrap_or_else(|| panic!("{name}"))
            };
            let (lower, higher) = (of(0.9), of(1.1));
            for shifted in [&lower, &higher] {
                assert!(shifted.events.iter().any(|e| e.event_type == event.event_type));
                let same = shifted.graph.events.iter().map(|e| &e.event_type);
                assert!(same.eq(shifted.events.iter().map(|e| &e.event_type)), "one record a detector");
                let same = shifted.graph.states.iter().map(|s| &s.name);
                assert!(same.eq(shifted.states.iter().map(|s| &s.id)));
                assert!(shifted.states.iter().any(|s| s.id == state));
                assert!(shifted.graph.nodes.len() < spec.graph.nodes.len() / 2, "{}", event.event_type);
                let is_known = |name: &str| shifted.graph.features.iter().any(|f| f.name == name);
                assert!(RECORDED.into_iter().all(is_known));
            }
            moved += usize::from(lower.graph.nodes != higher.graph.nodes);
        }
        assert!(moved * 10 > spec.events.len() * 8, "thresholds move in {moved} of {}", spec.events.len());
    }
}
