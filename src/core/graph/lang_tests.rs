//! The language: what parses, what it means, what is refused.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::market::{Source, Symbol};

fn series(name: &str, text: &str, id: u32) -> SeriesDef {
    let expr = parse(text, id).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let span = Span { text: id, start: 0, end: text.len() as u32 };
    SeriesDef { name: name.to_owned(), expr: Some(Arc::new(expr)), span }
}

fn program(features: &[(&str, &str)], macros: &[(&str, &str)]) -> Program {
    let defs = features.iter().enumerate().map(|(i, (name, text))| series(name, text, i as u32)).collect();
    let macros = macros.iter().map(|(head, body)| {
        let (name, params) = parse_macro_head(head, 0).unwrap();
        let body = series(&name, body, 99);
        MacroDef { name, params, body: body.expr, span: body.span }
    });
    let symbol = |s: &str| Symbol::new(s).unwrap();
    Program {
        macros: macros.collect(),
        features: defs,
        states: Vec::new(),
        events: Vec::new(),
        leader: SymbolRef::Leader { lead: symbol("BTCUSDT"), other: symbol("ETHUSDT") },
        universe_min: 3,
    }
}

fn event(name: &str, when: &str) -> EventDef {
    EventDef {
        event_type: name.to_owned(),
        family: "F".to_owned(),
        enabled: true,
        base: None,
        lets: Vec::new(),
        when: series("when", when, 0),
        exit: None,
        direction: series("direction", "sign(close - open)", 1),
        severity: series("severity", "volume", 2),
        onset: Onset::Rising,
        spacing_bars: 3,
        max_bars: None,
        undirected: false,
    }
}

/// Compiles `a` and `b` and says whether they are one node.
fn same(a: &str, b: &str) -> bool {
    let graph = compile(&program(&[("a", a), ("b", b)], &[])).unwrap();
    graph.features[0].node == graph.features[1].node
}

fn refused(text: &str) -> String {
    let errors = compile(&program(&[("a", text)], &[])).unwrap_err();
    errors
        .iter()
        .map(|e| format!("{}..{} {}", e.span.start, e.span.end, e.message))
        .collect::<Vec<_>>()
        .join("\n")
}

fn printed(text: &str) -> String {
    parse(text, 0).unwrap_or_else(|e| panic!("{text}: {e:?}")).to_string()
}

#[test]
fn operators_bind_as_documented() {
    let cases = [
        ("a or b and c", "a or (b and c)"),
        ("not a and b", "(not a) and b"),
        ("not a < b", "not (a < b)"),
        ("a < b + c * d", "a < (b + (c * d))"),
        ("-a^2", "-(a^2)"),
        ("-a * b", "(-a) * b"),
        ("a^b^c", "a^(b^c)"),
        ("2^-3", "2^(-3)"),
        ("a - b - c", "(a - b) - c"),
        ("a / b * c", "(a / b) * c"),
    ];
    for (bare, bracketed) in cases {
        assert_eq!(parse(bare, 0), parse(bracketed, 0), "{bare}");
    }
}

#[test]
fn a_text_that_makes_no_sense_is_refused_where_it_stops() {
    let at = |text: &str| parse(text, 0).map(|_| ()).map_err(|e| (e.span.start, e.message)).unwrap_err();
    assert_eq!(at("a < b < c").1, "comparisons do not chain");
    assert_eq!(at("a = b"), (2, "expected an operator or the end of the expression, found '='".to_owned()));
    assert_eq!(at("mean(x, window: 3)"), (14, "':' has no meaning in an expression".to_owned()));
    assert_eq!(
        at("mean(x,"),
        (7, "expected a number, a name or '(', found the end of the expression".to_owned())
    );
    assert_eq!(at("f(window=3, x)").1, "positional arguments stand before named ones");
    assert_eq!(at(&"(".repeat(100)).1, "this expression is nested too deeply");
    assert_eq!(at("1e999").1, "this is not a finite number");
}

#[test]
fn equal_expressions_are_one_node_however_they_are_written() {
    assert!(same("median(close, window=30)", "quantile(close, q=0.5, window=30, min=30)"));
    assert!(same("mean(close, window=5)", "mean(x=close, min=5, window=5)"));
    assert!(same("(close + open) * 1.0", "(close+open)*1"));
    assert!(same("-2", "-2.0"));
    assert!(same("lag(close, 0)", "close"));
    assert!(!same("mean(close, window=5)", "mean(close, window=5, min=4)"));
    assert!(!same("close + open", "open + close"));
}

#[test]
fn min_and_max_are_pointwise_with_two_series_and_rolling_with_a_window() {
    let graph = compile(&program(&[("a", "max(high, low)"), ("b", "max(high, window=3)")], &[])).unwrap();
    assert_eq!(graph.node(graph.features[0].node).op, Op::Max2);
    let rolling = Op::Roll { f: Rolling::Max, window: 3, min: 3 };
    assert_eq!(graph.node(graph.features[1].node).op, rolling);
}

#[test]
fn a_macro_cannot_capture_a_name_of_its_caller() {
    let mut with_let = program(&[], &[("chg(x)", "x - open"), ("twice(k)", "lag(close, k)")]);
    let mut e = event("E", "chg(high) > 0 and twice(7) > 0");
    e.lets = vec![series("open", "volume", 3)];
    with_let.events = vec![e];
    let graph = compile(&with_let).unwrap();
    let reads = facts(&graph)[graph.node(graph.events[0].detect).inputs[0].ix()].reads;
    assert!(reads.contains(Source::Open) && !reads.contains(Source::Volume));
    assert!(graph.nodes.iter().any(|n| n.op == Op::Lag { k: 7 }));
    assert!(
        graph.nodes.iter().all(|n| n.op != Op::Const(Literal::new(7.0))),
        "an argument that only sets a lag is no node"
    );
}

#[test]
fn the_same_name_may_stand_for_a_clock_a_window_and_a_symbol() {
    let graph = compile(&program(
        &[
            ("tick", "is_funding_print == 1"),
            ("a", "quantile(funding_rate, q=0.9, window=270, min=63, on=tick)"),
            ("b", "of(LEADER, close) - of(1000PEPEUSDT, close)"),
            ("c", "minutes_since(macro)"),
        ],
        &[],
    ))
    .unwrap();
    assert_eq!(graph.node(graph.features[1].node).clock, Some(graph.features[0].node));
    let leader = graph.node(graph.node(graph.features[2].node).inputs[0]);
    assert!(matches!(leader.op, Op::Of(SymbolRef::Leader { .. })));
    assert_eq!(graph.node(graph.features[3].node).op, Op::Source(Source::MinutesSinceMacro));
}

#[test]
fn reserved_operators_compile_too() {
    for text in [
        "pct_change(close, 3)",
        "ffill(close, 5)",
        "var(close, window=9)",
        "z(close, window=9, min=4)",
        "cov(close, open, window=9)",
        "if(all(close > open, window=3), 1, 0)",
        "if(crosses_above(close, open), 1, 0) + if(crosses_below(close, open), 1, 0)",
        "if(in_window(macro, before=30, after=60), 1, 0)",
        "if(session(any), 1, 0)",
        "hour() * 60 + minute() + weekday() * 1440",
        "universe_mean(close) + universe_std(close, min=5) + universe_rank(close)",
    ] {
        compile(&program(&[("a", text)], &[])).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }
}

#[test]
fn types_are_checked_at_every_operand() {
    assert_eq!(
        refused("if(close and open > 1, 1, 0)"),
        "3..8 `and` needs truth values, but this is a number"
    );
    assert_eq!(refused("1 + (close > 1)"), "4..15 `+` needs numbers, but this is a truth value");
    assert_eq!(refused("mean(close > 1, window=3)"), "5..14 `mean` needs numbers, but this is a truth value");
    assert!(refused("if(close > 1, 1, open > 1)").contains("both results of `if` must be alike"));
}

#[test]
fn every_error_of_an_expression_is_reported() {
    let found = refused("clsoe + hihg * mena(low, window=3)");
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn an_argument_that_does_not_fit_says_what_would() {
    assert_eq!(
        refused("mean(close, windw=3)").lines().next(),
        Some("12..17 `mean` has no free parameter 'windw'")
    );
    assert_eq!(refused("mean(close, window=0)"), "19..20 'window' of `mean` is a whole number, at least 1");
    assert_eq!(refused("mean(close, window=open)"), "19..23 'window' must be a literal number");
    assert_eq!(
        refused("mean(close, window=3, min=4)"),
        "0..28 'min' is 4, more than the window can ever hold (3)"
    );
    assert_eq!(refused("quantile(close, q=1.5, window=3)"), "0..32 'q' of `quantile` lies between 0 and 1");
    assert_eq!(refused("abs(close, on=close > 1)"), "11..13 `abs` looks at one row only and takes no clock");
    assert_eq!(refused("lag(close, -1)"), "11..13 'k' of `lag` is a whole number, at least 0");
}

#[test]
fn a_cycle_names_its_members() {
    let errors = compile(&program(&[("a", "b + 1"), ("b", "c + 1"), ("c", "lag(a, 1)")], &[])).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, "'a' is defined by itself: a -> b -> c -> a");
    let mut looped = program(&[], &[]);
    looped.events = vec![event("E", "since(fired(F)) > 3"), event("F", "active(E)")];
    assert_eq!(compile(&looped).unwrap_err()[0].message, "'E' is defined by itself: E -> F -> E");
    let own = program(&[("a", "m(close)")], &[("m(x)", "m(x) + 1")]);
    assert_eq!(compile(&own).unwrap_err()[0].message, "the macro 'm' uses itself");
}

#[test]
fn a_disabled_event_is_checked_and_left_out() {
    let mut p = program(&[], &[]);
    let off = EventDef { enabled: false, base: Some(0), ..event("E.proxy", "base and volume > 5") };
    p.events = vec![event("E", "close > 1"), off.clone(), event("G", "event_dir(E) > 0")];
    let graph = compile(&p).unwrap();
    assert_eq!(graph.events.iter().map(|e| e.event_type.as_str()).collect::<Vec<_>>(), ["E", "G"]);
    for (ix, e) in graph.events.iter().enumerate() {
        assert_eq!(graph.node(e.detect).op, Op::Detect(EventId(ix as u16)));
    }
    p.events[1] = EventDef { when: series("when", "clsoe > 1", 5), ..off };
    assert_eq!(compile(&p).unwrap_err()[0].message, "unknown name 'clsoe'");
}

#[test]
fn an_event_remembers_what_it_read_and_what_it_needs() {
    let mut p =
        program(&[("f", "coalesce(funding_pred_bps, funding_rate)"), ("g", "of(LEADER, spot_close)")], &[]);
    let mut e = event("E", "hot and g > 0");
    e.lets = vec![series("hot", "f > 0", 7)];
    p.events = vec![e];
    let graph = compile(&p).unwrap();
    let names: Vec<&str> = graph.events[0].snapshot.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["f", "hot", "g", "close", "open", "volume"]);
    // The fallback is enough, and another symbol's columns are that symbol's affair.
    let needs: Vec<&str> = graph.events[0].needs.iter().map(|s| s.name()).collect();
    assert_eq!(needs, ["open", "close", "volume", "funding_rate"]);
}

#[test]
fn look_back_and_warm_up_follow_windows_lags_and_clocks() {
    let graph = compile(&program(
        &[
            ("a", "lag(mean(close, window=10, min=4), 3)"),
            ("b", "tod_mean(a, days=20, half=3, min=35)"),
            ("t", "is_funding_print == 1"),
            ("c", "lag(quantile(a, q=0.9, window=270, min=63, on=t), 1, on=t)"),
            ("d", "latch(a > 1, a < 0)"),
        ],
        &[],
    ))
    .unwrap();
    let all = facts(&graph);
    let of = |i: usize| &all[graph.features[i].node.ix()];
    assert_eq!((of(0).look_back.rows, of(0).warm_up.rows), (12, 6));
    assert_eq!((of(1).look_back.rows, of(1).warm_up.rows), (5763 + 12, 1443 + 6));
    assert_eq!((of(3).look_back.rows, of(3).look_back.ticks, of(3).warm_up.ticks), (12, 270, 63));
    assert!(of(3).stateful && of(4).stateful && !of(1).stateful);
}

#[test]
fn a_hash_changes_with_a_parameter_and_with_anything_below() {
    let hash = |text: &str| {
        let graph = compile(&program(&[("unrelated", "volume + 1"), ("a", text)], &[])).unwrap();
        facts(&graph)[graph.features[1].node.ix()].hash
    };
    let alone = compile(&program(&[("a", "mean(close, window=5) + 1")], &[])).unwrap();
    assert_eq!(hash("mean(close, window=5) + 1"), facts(&alone)[alone.features[0].node.ix()].hash);
    assert_ne!(hash("mean(close, window=5) + 1"), hash("mean(close, window=6) + 1"));
    assert_ne!(hash("mean(close, window=5) + 1"), hash("mean(open, window=5) + 1"));
    assert_ne!(hash("close - open"), hash("open - close"));
    let detector = |spacing: u32| {
        let mut p = program(&[], &[]);
        p.events = vec![EventDef { spacing_bars: spacing, ..event("E", "close > 1") }];
        let graph = compile(&p).unwrap();
        facts(&graph)[graph.events[0].detect.ix()].hash
    };
    assert_ne!(detector(3), detector(4));
}

/// Every row's example, in a program that has the event `E`.
fn example(row: &Operator) -> Graph {
    let mut p = program(&[("a", row.example)], &[]);
    p.events = vec![event("E", "close > open")];
    compile(&p).unwrap_or_else(|errors| panic!("{}: {errors:?}", row.example))
}

#[test]
fn every_operator_makes_nodes_of_its_own_class() {
    for row in operators() {
        let graph = example(row);
        let root = graph.features[0].node;
        let all = facts(&graph);
        let (of, name) = (&all[root.ix()], row.name);
        assert_eq!(of.stateful, row.class == Class::State, "{name}");
        assert_eq!(of.cross_symbol, row.class == Class::Across, "{name}");
        match row.class {
            Class::Point | Class::Across => assert_eq!(of.look_back, LookBack::default(), "{name}"),
            Class::Window => assert!(of.look_back.rows > 0, "{name}"),
            Class::State => {}
        }
        assert!(of.warm_up.rows <= of.look_back.rows, "{name}");
    }
}

#[test]
fn every_operator_reads_as_words_in_which_every_argument_is_said() {
    let mut said = String::new();
    for row in operators() {
        let words = in_words(&parse(row.example, 0).unwrap());
        assert!(
            !words.contains("  ") && words.trim() == words && !words.is_empty(),
            "{}: '{words}'",
            row.example
        );
        said.push_str(&format!("{}: {words}\n", row.usage()));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_call_means_the_row_whose_parameters_it_gives() {
    assert!(same("min(close, 3, 2)", "min(close, window=3, min=2)"));
    assert!(same("hma(close, 9, 4)", "hma(x=close, min=4, window=9)"));
}

#[test]
fn a_hull_average_is_three_weighted_means() {
    assert!(same(
        "hma(close, window=20, min=10)",
        "wma(2 * wma(close, window=10, min=5) - wma(close, window=20, min=10), window=4, min=2)"
    ));
}

fn any_expr() -> impl Strategy<Value = Expr> {
    let make = |kind| Expr { kind, span: Span::default() };
    let leaf = prop_oneof![
        (0.0..1e6_f64).prop_map(move |x| make(ExprKind::Number(x))),
        (0..10_000_u32).prop_map(move |x| make(ExprKind::Number(f64::from(x)))),
        "[a-z_][a-z0-9_]{0,8}"
            .prop_filter("reserved", |n| !matches!(n.as_str(), "and" | "or" | "not"))
            .prop_map(move |n| make(ExprKind::Name(n))),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let op = prop::sample::select(vec![
            Binary::Or,
            Binary::And,
            Binary::Lt,
            Binary::Le,
            Binary::Gt,
            Binary::Ge,
            Binary::Eq,
            Binary::Ne,
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Pow,
        ]);
        let unary = prop::sample::select(vec![Unary::Neg, Unary::Not]);
        prop_oneof![
            (op, inner.clone(), inner.clone()).prop_map(move |(op, a, b)| make(ExprKind::Binary(
                op,
                a.into(),
                b.into()
            ))),
            (unary, inner.clone()).prop_map(move |(op, x)| make(ExprKind::Unary(op, x.into()))),
            (prop::collection::vec(inner.clone(), 0..3), prop::option::of(inner)).prop_map(
                move |(args, last)| {
                    let positional = args.into_iter().map(|value| Arg { name: None, value });
                    let named =
                        last.map(|value| Arg { name: Some(("on".to_owned(), Span::default())), value });
                    let call = Call {
                        name: "f".to_owned(),
                        name_span: Span::default(),
                        args: positional.chain(named).collect(),
                    };
                    make(ExprKind::Call(call))
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(expr in any_expr()) {
        let text = expr.to_string();
        let again = parse(&text, 0).map_err(|e| TestCaseError::fail(format!("{text}: {e:?}")))?;
        prop_assert_eq!(&expr, &again, "{}", text);
        prop_assert_eq!(printed(&text), text);
    }
}
