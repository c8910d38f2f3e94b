//! Conditions on the deciding bar: how they are written, and whether one holds on an event.
//!
//! ```text
//! condition = part { " and " part }
//! part      = STATE                 HIGH_VOL_REGIME                the state is known and true
//!           | "not " STATE          not LOW_LIQUIDITY_STATE        the state is known and false
//!           | label " == '" value "'"     vol_regime == 'high'     the label is known and has this value
//! ```
//!
//! Three-valued: what is unknown is neither in a condition nor in its negation. The text is an expression of
//! the spec language; it is what blueprints carry and what everybody who gates by it reads.

use std::sync::Arc;

use crate::outcomes::Event;

/// What joins the parts of an expression.
const AND: &str = " and ";
/// What stands before a state that must be false.
const NOT: &str = "not ";

/// What must hold on the deciding bar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// A name for columns and keys: `HIGH_VOL_REGIME`, `vol_regime_high`, `not_CROWDING_STATE`.
    pub id: Arc<str>,
    /// The same as an expression of the spec language: `HIGH_VOL_REGIME`, `vol_regime == 'high'`, `not
    /// CROWDING_STATE`.
    pub expression: Arc<str>,
}

impl Condition {
    /// The parts that must hold together, as expressions.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.expression.split(AND)
    }

    /// The states and labels that it reads.
    pub fn series(&self) -> impl Iterator<Item = &str> {
        self.parts().map(|part| match Part::read(part) {
            Part::State { name, .. } => name,
            Part::Label { column, .. } => column,
        })
    }

    /// All of these together; `None` of none. The order in which they are given and repetitions leave no
    /// trace: the same conjunction has one name.
    #[must_use]
    pub fn all(mut parts: Vec<Self>) -> Option<Self> {
        parts.sort_by(|a, b| a.expression.cmp(&b.expression));
        parts.dedup();
        let join = |text: fn(&Self) -> &str, with: &str| -> Arc<str> {
            parts.iter().map(text).collect::<Vec<_>>().join(with).into()
        };
        (!parts.is_empty())
            .then(|| Self { id: join(|c| &c.id, "_and_"), expression: join(|c| &c.expression, AND) })
    }
}

/// `vol_regime_high` / `vol_regime == 'high'`.
#[must_use]
pub fn label_condition(column: &str, value: &str) -> Condition {
    Condition { id: format!("{column}_{value}").into(), expression: format!("{column} == '{value}'").into() }
}

/// A boolean state is its own expression.
#[must_use]
pub fn state_condition(name: &Arc<str>) -> Condition {
    Condition { id: Arc::clone(name), expression: Arc::clone(name) }
}

/// `not_CROWDING_STATE` / `not CROWDING_STATE`.
#[must_use]
pub fn negated_condition(name: &str) -> Condition {
    Condition { id: format!("not_{name}").into(), expression: format!("{NOT}{name}").into() }
}

/// `STATE` or `not STATE`, as the lexicon writes it.
#[must_use]
pub(super) fn written_condition(text: &str) -> Condition {
    match text.strip_prefix(NOT) {
        Some(name) => negated_condition(name),
        None => state_condition(&text.into()),
    }
}

/// A part of an expression.
pub(super) enum Part<'a> {
    /// A state that must be true, or false.
    State { name: &'a str, holds: bool },
    /// A label that must have a value.
    Label { column: &'a str, value: &'a str },
}

impl<'a> Part<'a> {
    pub(super) fn read(part: &'a str) -> Self {
        if let Some((column, value)) = part.strip_suffix('\'').and_then(|p| p.split_once(" == '")) {
            return Self::Label { column, value };
        }
        match part.strip_prefix(NOT) {
            Some(name) => Self::State { name, holds: false },
            None => Self::State { name: part, holds: true },
        }
    }
}

/// The labels that an event carries, with the codes of their values.
const LABELS: [(&str, &str, Label, i8); 6] = [
    ("vol_regime", "low", Label::VolRegime, 0),
    ("vol_regime", "mid", Label::VolRegime, 1),
    ("vol_regime", "high", Label::VolRegime, 2),
    ("carry_state", "funding_neg", Label::CarryState, -1),
    ("carry_state", "neutral", Label::CarryState, 0),
    ("carry_state", "funding_pos", Label::CarryState, 1),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    VolRegime,
    CarryState,
}

/// What a condition reads from an event.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConditionTest {
    /// All must hold; none of them: always true.
    reads: Vec<Reads>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// A label has this code.
    Label(Label, i8),
    /// The state at this index of [`Event::states`] has this code.
    State(usize, i8),
}

impl ConditionTest {
    /// Resolves expressions that must hold together; of none, the test is always true. `states` are the
    /// graph's state ids in order. `None` where one of them names what these specs do not have.
    #[must_use]
    pub fn resolve<S: AsRef<str>, T: AsRef<str>>(expressions: &[T], states: &[S]) -> Option<Self> {
        let parts = expressions.iter().flat_map(|e| e.as_ref().split(AND));
        let reads = parts.map(|part| match Part::read(part) {
            Part::Label { column, value } => LABELS
                .iter()
                .find(|(c, v, ..)| (*c, *v) == (column, value))
                .map(|(.., label, code)| Reads::Label(*label, *code)),
            Part::State { name, holds } => {
                let at = states.iter().position(|s| s.as_ref() == name)?;
                Some(Reads::State(at, i8::from(holds)))
            }
        });
        Some(Self { reads: reads.collect::<Option<_>>()? })
    }

    /// Whether it is known and true on the deciding bar.
    #[must_use]
    pub fn holds(&self, event: &Event) -> bool {
        self.reads.iter().all(|reads| match *reads {
            Reads::Label(Label::VolRegime, code) => event.vol_regime == code,
            Reads::Label(Label::CarryState, code) => event.carry_state == code,
            Reads::State(at, code) => event.states.get(at) == Some(&code),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{BarIndex, Symbol};

    const STATES: [&str; 3] = ["A", "B", "C"];

    fn event(states: [i8; 3]) -> Event {
        Event {
            event_type: "E".into(),
            family: "F".into(),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            bar: BarIndex(0),
            direction: 1,
            severity: 1.0,
            states: Arc::from(states),
            vol_regime: 2,
            carry_state: i8::MIN,
            sigma_bar: 0.001,
            sigma_event: 0.001,
            features: Vec::new(),
        }
    }

    fn holds(expression: &str, states: [i8; 3]) -> Option<bool> {
        ConditionTest::resolve(&[expression], &STATES).map(|test| test.holds(&event(states)))
    }

    #[test]
    fn an_unknown_state_is_neither_in_a_condition_nor_in_its_negation() {
        for (value, is, is_not) in [(1, true, false), (0, false, true), (-1, false, false)] {
            assert_eq!(holds("A", [value, 0, 0]), Some(is));
            assert_eq!(holds("not A", [value, 0, 0]), Some(is_not));
        }
        assert_eq!(holds("carry_state == 'neutral'", [0; 3]), Some(false), "unknown");
    }

    #[test]
    fn a_conjunction_holds_where_every_part_does() {
        let text = "A and not B and vol_regime == 'high'";
        assert_eq!(holds(text, [1, 0, -1]), Some(true));
        assert_eq!(holds(text, [1, 1, -1]), Some(false));
        assert_eq!(holds(text, [1, -1, -1]), Some(false), "unknown");
        assert_eq!(holds(text, [0, 0, -1]), Some(false));
        assert_eq!(holds("A and vol_regime == 'low'", [1; 3]), Some(false));
    }

    #[test]
    fn a_name_that_the_specs_do_not_have_has_no_test() {
        for text in ["D", "not D", "A and D", "vol_regime == 'huge'", "mood == 'high'"] {
            assert_eq!(holds(text, [1; 3]), None, "{text}");
        }
        assert!(ConditionTest::resolve::<_, &str>(&[], &STATES).unwrap().holds(&event([0; 3])));
    }

    #[test]
    fn the_same_conjunction_has_one_name() {
        let all = |texts: &[&str]| Condition::all(texts.iter().map(|t| written_condition(t)).collect());
        let one = all(&["not B", "A"]).unwrap();
        assert_eq!(one, all(&["A", "not B", "A"]).unwrap());
        assert_eq!((&*one.id, &*one.expression), ("A_and_not_B", "A and not B"));
        assert_eq!(one.series().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(all(&["A"]).unwrap(), state_condition(&"A".into()), "alone it is the state itself");
        assert_eq!(all(&[]), None);
    }
}
