//! A node as the expression that it stands for, down to the names that the specs give.

use super::subject::{Subject, literal};
use crate::graph::{Node, NodeId, Op, op_text};

/// Calls inside calls are written out so far; what lies deeper is an ellipsis.
const DEPTH: u32 = 5;

/// The expression of `id`. A named node inside it is its name; `id` itself is written out.
pub(super) fn formula(subject: &Subject, id: NodeId) -> String {
    write(subject, id, 0)
}

/// The name of `id`, or else its expression.
pub(super) fn named(subject: &Subject, id: NodeId) -> String {
    match subject.names.get(&id) {
        Some(name) => name.clone(),
        None => formula(subject, id),
    }
}

fn write(subject: &Subject, id: NodeId, depth: u32) -> String {
    let node = subject.graph.node(id);
    if depth > 0
        && let Some(name) = subject.names.get(&id)
    {
        return name.clone();
    }
    if depth > DEPTH && !node.inputs.is_empty() {
        return "…".to_owned();
    }
    let arg = |i: usize| write(subject, node.inputs[i], depth + 1);
    let operand = |i: usize| {
        let text = arg(i);
        if is_infix(subject, node.inputs[i]) { format!("({text})") } else { text }
    };
    match &node.op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Pow | Op::Compare(_) | Op::And | Op::Or => {
            format!("{} {} {}", operand(0), op_text(&node.op), operand(1))
        }
        Op::Neg => format!("-{}", operand(0)),
        Op::Not => format!("not {}", operand(0)),
        Op::Detect(event) => event_name(subject, event.0, "fired"),
        Op::Active(event) => event_name(subject, event.0, "active"),
        Op::EventDir(event) => event_name(subject, event.0, "event_dir"),
        op => call(subject, node, &op_text(op), depth),
    }
}

/// `lag(k=1)` over `x` is `lag(x, k=1)`.
fn call(subject: &Subject, node: &Node, operator: &str, depth: u32) -> String {
    let (name, parameters) = operator.split_once('(').unwrap_or((operator, ""));
    let parameters = parameters.trim_end_matches(')');
    let mut arguments: Vec<String> = node.inputs.iter().map(|i| write(subject, *i, depth + 1)).collect();
    match &node.op {
        Op::Source(_) | Op::Const(_) | Op::Truth(_) => return operator.to_owned(),
        // The symbol stands first, as in the language.
        Op::Of(_) => arguments.insert(0, parameters.to_owned()),
        _ if !parameters.is_empty() => arguments.push(parameters.to_owned()),
        _ => {}
    }
    if let Some(clock) = node.clock {
        arguments.push(format!("on={}", write(subject, clock, depth + 1)));
    }
    format!("{name}({})", arguments.join(", "))
}

fn event_name(subject: &Subject, event: u16, what: &str) -> String {
    let name = subject.graph.events.get(usize::from(event)).map_or("?", |e| e.event_type.as_str());
    format!("{what}({name})")
}

fn is_infix(subject: &Subject, id: NodeId) -> bool {
    if subject.names.contains_key(&id) {
        return false;
    }
    match subject.graph.node(id).op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Pow => true,
        Op::Compare(_) | Op::And | Op::Or | Op::Not | Op::Neg => true,
        Op::Const(_) => literal(&subject.graph, id).is_some_and(|v| v < 0.0),
        _ => false,
    }
}
