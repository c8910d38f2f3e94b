//! The catalogue of hypotheses: every unit that is looked at, whether or not it has data. It is fixed (and
//! hashed) before it sees any, and its size is the m of every multiplicity procedure.
//!
//! A unit is one signed outcome series: event x scope x horizon x condition. fade and follow are the two
//! signs of one series, so they are one two-sided unit; template verbs are labels of the winning sign.
//!
//! Units are numbered densely: blocks of (event, horizon), inside a block scope by scope (symbols, then
//! pooled), inside a scope the unconditional unit and then the conditions.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::candidate::{DirectionRule, Scope};
use super::catalogue_spec::{CatalogueSpec, ConditionRule, EventEntry, SideLabel, TestedFilter, Untested};
use super::definition::Definitions;
use crate::market::Symbol;
use crate::market::hex;
use crate::outcomes::Horizon;
use crate::spec::TestStatistic;
use crate::spec::gates::{FamiliesFile, GroupKey};

/// Most conditions on one event: they share a word of bits.
const MAX_CONDITIONS: usize = 63;

/// The units of one event and horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Event type of the block's units.
    pub event_type: Arc<str>,
    /// Canonical family of the event type.
    pub family: Arc<str>,
    /// Holding period of the block's units.
    pub horizon: Horizon,
    /// Number of the first unit.
    pub first_unit: usize,
    /// Conditions (indices into [`Catalogue::conditions`]) that this event admits.
    pub conditions: Vec<usize>,
    /// Label of the follow side.
    pub follow: SideLabel,
    /// Label of the fade side.
    pub fade: SideLabel,
}

/// A numbered catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// Blocks in order of (event, horizon).
    pub blocks: Vec<Block>,
    /// What its units measure.
    pub statistic: TestStatistic,
    /// Symbols of the catalogue, sorted by name.
    pub symbols: Arc<[Symbol]>,
    /// Whether a pooled scope follows the symbols.
    pub has_pooled: bool,
    /// Conditions that blocks refer to by index.
    pub conditions: Vec<ConditionRule>,
    /// Bars from the deciding bar to the entry.
    pub entry_lag_bars: u32,
    /// Number of units: the m of every procedure.
    pub units: usize,
    /// Keys of a multiplicity group.
    pub group_by: Vec<GroupKey>,
    /// Filter verbs that are tested, with their conditions.
    pub filters: Vec<TestedFilter>,
    /// What is asked for and not tested.
    pub untested: Vec<Untested>,
    /// What the units are, beyond their names.
    pub definitions: Definitions,
    /// `sha256:<hex>` over all of the above that identifies units.
    pub hash: String,
}

/// Where a unit stands in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitPlace {
    /// Position of the unit's block in [`Catalogue::blocks`].
    pub block: usize,
    /// Symbol code, or the number of symbols for the pooled scope.
    pub scope: usize,
    /// 0 unconditional, else 1 + position in [`Block::conditions`].
    pub condition: usize,
}

impl Catalogue {
    /// Numbers the units.
    #[must_use]
    pub fn new(spec: &CatalogueSpec, families: &FamiliesFile) -> Self {
        let mut symbols = spec.symbols.clone();
        symbols.sort();
        symbols.dedup();
        // With one symbol the pooled series is the symbol's own: one series, one unit.
        let has_pooled = families.pool_symbols && symbols.len() > 1;
        let mut events: Vec<&EventEntry> = spec.events.iter().collect();
        events.sort_by(|a, b| a.event_type.cmp(&b.event_type));
        let mut untested = spec.untested.clone();
        let mut blocks = Vec::new();
        let mut units = 0;
        for event in events {
            let admitted = admitted(event, &spec.conditions, &mut untested);
            let mut horizons = event.horizons.clone();
            horizons.sort_by_key(|h| h.bars);
            horizons.dedup_by_key(|h| h.bars);
            for horizon in horizons {
                if !horizon.fits_in_a_day(spec.entry_lag_bars) {
                    untested.push(Untested {
                        event_type: Arc::clone(&event.event_type),
                        what: horizon.label.as_ref().to_owned(),
                        reason: "no holding window of this length closes on the event's own UTC day"
                            .to_owned(),
                    });
                    continue;
                }
                blocks.push(Block {
                    event_type: Arc::clone(&event.event_type),
                    family: Arc::clone(&event.family),
                    horizon,
                    first_unit: units,
                    conditions: admitted.clone(),
                    follow: event.follow.clone(),
                    fade: event.fade.clone(),
                });
                units += (symbols.len() + usize::from(has_pooled)) * (1 + admitted.len());
            }
        }
        let mut catalogue = Self {
            blocks,
            statistic: spec.statistic,
            symbols: symbols.into(),
            has_pooled,
            conditions: spec.conditions.clone(),
            entry_lag_bars: spec.entry_lag_bars,
            units,
            group_by: families.group_by.clone(),
            filters: spec.filters.clone(),
            untested,
            definitions: spec.definitions.clone(),
            hash: String::new(),
        };
        catalogue.hash = catalogue.digest();
        catalogue
    }

    /// Scopes: symbols and, last, the pooled one.
    #[must_use]
    pub fn scopes(&self) -> usize {
        self.symbols.len() + usize::from(self.has_pooled)
    }

    /// Units of a block.
    #[must_use]
    pub fn block_units(&self, block: usize) -> usize {
        self.scopes() * (1 + self.blocks[block].conditions.len())
    }

    /// Position inside the block of (scope, condition).
    #[must_use]
    pub fn local(&self, block: usize, scope: usize, condition: usize) -> usize {
        scope * (1 + self.blocks[block].conditions.len()) + condition
    }

    /// Scope of a unit.
    #[must_use]
    pub fn scope(&self, place: UnitPlace) -> Scope {
        match self.symbols.get(place.scope) {
            Some(symbol) => Scope::Single(symbol.clone()),
            None => Scope::Pooled(Arc::clone(&self.symbols)),
        }
    }

    /// Condition of a unit.
    #[must_use]
    pub fn condition(&self, place: UnitPlace) -> Option<&ConditionRule> {
        let at = place.condition.checked_sub(1)?;
        Some(&self.conditions[self.blocks[place.block].conditions[at]])
    }

    /// Multiplicity group of a unit.
    #[must_use]
    pub fn group_id(&self, place: UnitPlace) -> String {
        let block = &self.blocks[place.block];
        let scope = self.scope(place);
        let part = |key: &GroupKey| match key {
            GroupKey::CanonicalFamily => block.family.as_ref(),
            GroupKey::EventType => block.event_type.as_ref(),
            GroupKey::TemplateVerb => "fade_follow",
            GroupKey::Horizon => block.horizon.label.as_ref(),
            GroupKey::StateId => self.condition(place).map_or("", |c| c.condition.id.as_ref()),
            GroupKey::Symbol => scope.label(),
        };
        self.group_by.iter().map(part).collect::<Vec<_>>().join("|")
    }

    /// Every unit, in order.
    pub fn places(&self) -> impl Iterator<Item = UnitPlace> + '_ {
        (0..self.blocks.len())
            .flat_map(move |b| (0..self.block_units(b)).map(move |local| self.place(b, local)))
    }

    /// Place of a unit by its position in a block.
    #[must_use]
    pub fn place(&self, block: usize, local: usize) -> UnitPlace {
        let stride = 1 + self.blocks[block].conditions.len();
        UnitPlace { block, scope: local / stride, condition: local % stride }
    }

    /// What a unit is, in words: see [`super::definition`]. Equal texts are one trial.
    #[must_use]
    pub fn definition(&self, place: UnitPlace) -> String {
        let (block, made) = (&self.blocks[place.block], &self.definitions);
        let known = |hash: Option<&String>| hash.map_or("-", String::as_str).to_owned();
        let scope = self.scope(place);
        let names: Vec<&str> = scope.symbols().iter().map(Symbol::as_str).collect();
        let mode = match &scope {
            Scope::Single(_) => "single",
            Scope::Pooled(_) => "pooled",
        };
        let mut text =
            format!("unit/1\nevent {} {}\n", block.event_type, known(made.events.get(&block.event_type)));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "scope {mode} {}", names.join(","));
        let _ = match self.condition(place).map(|c| &c.condition) {
            Some(c) => {
                writeln!(text, "condition {} {} {}", c.id, c.expression, known(made.conditions.get(&c.id)))
            }
            None => writeln!(text, "condition -"),
        };
        let _ = writeln!(
            text,
            "horizon {}\nlag {}\nprice {}",
            block.horizon.bars, self.entry_lag_bars, made.price
        );
        for symbol in scope.symbols() {
            let _ = writeln!(text, "cost {symbol} {}", known(made.costs.get(symbol)));
        }
        let _ = writeln!(text, "test {}", made.test);
        if let Some(measure) = made.measures.get(&block.event_type) {
            let _ = writeln!(text, "measure {measure}");
        }
        text
    }

    fn digest(&self) -> String {
        let made = &self.definitions;
        let known = |hash: Option<&String>| hash.map_or("-", String::as_str).to_owned();
        let mut hash = Sha256::new();
        hash.update(format!(
            "catalogue/2 lag {} pooled {} price {} test {}\n",
            self.entry_lag_bars, self.has_pooled, made.price, made.test
        ));
        self.symbols.iter().for_each(|s| hash.update(format!("symbol {s} {}\n", known(made.costs.get(s)))));
        for block in &self.blocks {
            let event = known(made.events.get(&block.event_type));
            hash.update(format!(
                "block {} {} {event} {}\n",
                block.family, block.event_type, block.horizon.bars
            ));
            if let Some(measure) = made.measures.get(&block.event_type) {
                hash.update(format!("measure {measure}\n"));
            }
            for &c in &block.conditions {
                let c = &self.conditions[c].condition;
                hash.update(format!(" {} {} {}\n", c.id, c.expression, known(made.conditions.get(&c.id))));
            }
        }
        format!("sha256:{}", hex(&hash.finalize()))
    }
}

impl Block {
    /// Label of a side.
    #[must_use]
    pub const fn label(&self, side: DirectionRule) -> &SideLabel {
        match side {
            DirectionRule::Follow => &self.follow,
            DirectionRule::Fade => &self.fade,
        }
    }
}

/// The conditions that an event admits: those with a scope that holds it.
fn admitted(event: &EventEntry, rules: &[ConditionRule], untested: &mut Vec<Untested>) -> Vec<usize> {
    let fits = |rule: &ConditionRule| rule.scopes.iter().any(|s| s.holds(&event.event_type, &event.family));
    let mut admitted: Vec<usize> = (0..rules.len()).filter(|i| fits(&rules[*i])).collect();
    for &left_out in admitted.iter().skip(MAX_CONDITIONS) {
        untested.push(Untested {
            event_type: Arc::clone(&event.event_type),
            what: rules[left_out].condition.id.as_ref().to_owned(),
            reason: format!("more than {MAX_CONDITIONS} conditions on one event"),
        });
    }
    admitted.truncate(MAX_CONDITIONS);
    admitted
}
