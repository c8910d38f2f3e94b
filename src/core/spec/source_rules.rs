//! Which rules `sources.yaml` may give which columns: the joiner attaches bars to their slot, looks instants
//! up, and counts to scheduled ones, and no rule makes it do otherwise.

use std::collections::BTreeMap;

use super::sources::{Hold, Join, SourcesSpec};
use crate::graph::nearest;
use crate::market::{Kind, Source};

/// A rule that cannot be followed: where it stands, what is wrong, and what to do.
pub(super) struct Misfit {
    pub place: String,
    pub message: String,
    pub help: String,
}

/// How the records of a column meet the grid.
#[derive(Clone, Copy)]
struct Way {
    join: Join,
    /// How long values are held, as the file writes it.
    hold: &'static str,
    /// The column whose rule holds for all that arrive with it.
    lead: Source,
    /// Whether bars with too little coverage are unknown.
    has_coverage: bool,
}

fn way(source: Source) -> Way {
    use Source as S;
    let way = |join, hold, lead| Way { join, hold, lead, has_coverage: false };
    let bar = |lead, has_coverage| Way { join: Join::Bar, hold: "bar", lead, has_coverage };
    match source {
        S::FundingRate | S::IsFundingPrint | S::FundingIntervalH => {
            way(Join::Instant, "{interval_plus_seconds: N}", S::FundingRate)
        }
        S::InterestRate8h | S::TickSize | S::TakerFeeBps | S::MakerFeeBps => {
            way(Join::Setting, "{seconds: N}", source)
        }
        S::MinutesSinceSessionOpens
        | S::MinutesToSessionOpens
        | S::MinutesSinceSessionCloses
        | S::MinutesToSessionCloses
        | S::MinutesSinceFunding
        | S::MinutesToFunding
        | S::MinutesSinceMacro
        | S::MinutesToMacro => way(Join::Schedule, "forever", source),
        S::LiqLongUsd | S::LiqShortUsd | S::LiqLongN | S::LiqShortN | S::LiqCoverage => {
            bar(S::LiqLongUsd, true)
        }
        S::SpreadBpsMean
        | S::SpreadBpsMax
        | S::SpreadBpsLast
        | S::BidDepthUsd
        | S::AskDepthUsd
        | S::ImbMean
        | S::ImbLast
        | S::TobCoverage => bar(S::SpreadBpsMean, true),
        _ => match Kind::ALL.iter().find(|kind| !kind.is_bar_like() && kind.sources().contains(&source)) {
            Some(kind) => way(Join::Instant, "{seconds: N}", kind.sources()[0]),
            None => bar(source, false),
        },
    }
}

const fn hold_word(hold: Hold) -> &'static str {
    match hold {
        Hold::Bar => "bar",
        Hold::Seconds(_) => "{seconds: N}",
        Hold::IntervalPlusSeconds(_) => "{interval_plus_seconds: N}",
        Hold::Forever => "forever",
    }
}

const fn join_word(join: Join) -> &'static str {
    match join {
        Join::Bar => "bar",
        Join::Instant => "instant",
        Join::Setting => "setting",
        Join::Schedule => "schedule",
    }
}

/// Every rule that cannot be followed, and every column without one.
pub(super) fn misfits(spec: &SourcesSpec) -> Vec<Misfit> {
    let mut out = Vec::new();
    let mut refuse = |place: String, message: String, help: String| out.push(Misfit { place, message, help });
    let mut group_of: BTreeMap<Source, usize> = BTreeMap::new();
    for (group, rule) in spec.groups.iter().enumerate() {
        for (at, column) in rule.columns.iter().enumerate() {
            let place = format!("groups[{group}].columns[{at}]");
            let Some(source) = Source::ALL.iter().find(|s| s.name() == column) else {
                let near = nearest(column, Source::ALL.iter().map(|s| s.name()));
                let help = near.map_or_else(
                    || "`backtestd spec explain sources` lists the columns".to_owned(),
                    |near| format!("did you mean '{near}'?"),
                );
                refuse(place, format!("'{column}' is not a source column"), help);
                continue;
            };
            if group_of.insert(*source, group).is_some() {
                let help = "leave it in the group whose rule it follows".to_owned();
                refuse(place, format!("'{column}' is in two groups"), help);
            }
        }
    }
    for source in Source::ALL {
        let Some(group) = group_of.get(source) else {
            let help = format!("add '{}' to the columns of the group that it arrives with", source.name());
            refuse("groups".to_owned(), format!("the column '{}' has no rule", source.name()), help);
            continue;
        };
        let (rule, way) = (&spec.groups[*group], way(*source));
        let (name, place) = (source.name(), |key: &str| format!("groups[{group}].{key}"));
        if rule.join != way.join {
            let message = format!("'{name}' is not joined as `{}`", join_word(rule.join));
            refuse(
                place("join"),
                message,
                format!("write `join: {}`: its records are such", join_word(way.join)),
            );
        }
        if hold_word(rule.hold) != way.hold {
            let message = format!("'{name}' is not held as `{}`", hold_word(rule.hold));
            refuse(place("hold"), message, format!("write `hold: {}`", way.hold));
        }
        match rule.min_coverage {
            None if way.has_coverage => {
                let help =
                    "add `min_coverage:`, the least share of a bar that must have been observed".to_owned();
                refuse(place("name"), format!("'{name}' needs a least coverage"), help);
            }
            Some(_) if !way.has_coverage => {
                let help = "leave it out: only forced orders and quotes are observed in part".to_owned();
                refuse(place("min_coverage"), format!("'{name}' has no coverage"), help);
            }
            Some(share) if !(0.0..=1.0).contains(&share) => {
                let help = "a share of the bar, from 0 to 1".to_owned();
                refuse(place("min_coverage"), format!("a coverage of {share}"), help);
            }
            _ => {}
        }
        if group_of.get(&way.lead).is_some_and(|lead| lead != group) {
            let message = format!("'{name}' arrives with '{}', which is in another group", way.lead.name());
            refuse(place("columns"), message, "columns of one record have one rule: one group".to_owned());
        }
    }
    out
}
