//! Expressions with their macros substituted, and the names an expression reads: for explanations and checks.
//! The compiler does not work on these (it binds arguments first); the result means the same.

use std::collections::BTreeSet;

use super::ast::{Arg, Call, Expr, ExprKind};
use super::program::Program;

/// The expression with every macro call replaced by its body.
#[must_use]
pub fn expand_macros(expr: &Expr, program: &Program) -> Expr {
    let kind = match &expr.kind {
        ExprKind::Number(_) | ExprKind::Name(_) => expr.kind.clone(),
        ExprKind::Unary(op, x) => ExprKind::Unary(*op, expand_macros(x, program).into()),
        ExprKind::Binary(op, a, b) => {
            ExprKind::Binary(*op, expand_macros(a, program).into(), expand_macros(b, program).into())
        }
        ExprKind::Call(call) => {
            let args: Vec<Arg> = call
                .args
                .iter()
                .map(|a| Arg { name: a.name.clone(), value: expand_macros(&a.value, program) })
                .collect();
            let found = program.macros.iter().find(|m| m.name == call.name);
            match found.and_then(|m| Some((m, m.body.as_deref()?))) {
                Some((def, body)) => {
                    let bound: Vec<(&str, &Expr)> = args
                        .iter()
                        .enumerate()
                        .filter_map(|(i, arg)| {
                            let param = match &arg.name {
                                Some((name, _)) => def.params.iter().find(|p| *p == name),
                                None => def.params.get(i),
                            };
                            Some((param?.as_str(), &arg.value))
                        })
                        .collect();
                    return expand_macros(&substitute(body, &bound), program);
                }
                None => ExprKind::Call(Call { args, ..call.clone() }),
            }
        }
    };
    Expr { kind, span: expr.span }
}

fn substitute(expr: &Expr, bound: &[(&str, &Expr)]) -> Expr {
    let kind = match &expr.kind {
        ExprKind::Name(name) => match bound.iter().find(|(param, _)| param == name) {
            Some((_, value)) => return (*value).clone(),
            None => expr.kind.clone(),
        },
        ExprKind::Number(_) => expr.kind.clone(),
        ExprKind::Unary(op, x) => ExprKind::Unary(*op, substitute(x, bound).into()),
        ExprKind::Binary(op, a, b) => {
            ExprKind::Binary(*op, substitute(a, bound).into(), substitute(b, bound).into())
        }
        ExprKind::Call(call) => ExprKind::Call(Call {
            args: call
                .args
                .iter()
                .map(|a| Arg { name: a.name.clone(), value: substitute(&a.value, bound) })
                .collect(),
            ..call.clone()
        }),
    };
    Expr { kind, span: expr.span }
}

/// Names that the expression reads, and the operators and macros that it calls.
#[must_use]
pub fn names_in(expr: &Expr) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match &expr.kind {
            ExprKind::Number(_) => {}
            ExprKind::Name(name) => {
                names.insert(name.as_str());
            }
            ExprKind::Unary(_, x) => open.push(x),
            ExprKind::Binary(_, a, b) => open.extend([&**a, &**b]),
            ExprKind::Call(call) => {
                names.insert(call.name.as_str());
                open.extend(call.args.iter().map(|a| &a.value));
            }
        }
    }
    names
}
