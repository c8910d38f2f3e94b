//! Who is followed, where a rule says it: looked at once a day, and whenever the exchange may have stopped
//! trading somebody.
//!
//! Leaving is a matter of a moment. Whoever joins is first taken into a second pipeline beside the ticks
//! (`storage/join.rs`); the others notice neither.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::MainLoop;
use super::input::{Done, Handled};
use super::start::{DaemonError, show_detail};
use crate::daemon::config::{Collect, UniverseRule};
use crate::daemon::feed::{self, Follow};
use crate::daemon::live::Series;
use crate::daemon::shared::Shared;
use crate::daemon::status::{ChangeOfUniverse, SeriesStatus, UniverseStatus};
use crate::daemon::storage::{Job, JoinStep};
use crate::daemon::universe::{Decision, Member, Members, Offer, Offers, decide};
use backtestd_binance::{Rest, RestError};
use backtestd_core::market::{Market, Symbol};

/// Cause of degradation: what was decided cannot be remembered.
const TROUBLE: &str = "universe";
/// Real time between two questions who fits, while there is nobody to follow.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Leaves and refusals that the status lists.
const LISTED: usize = 50;

/// The rule, and who is a member by it.
#[derive(Debug)]
pub(super) struct Universe {
    rule: UniverseRule,
    members: Members,
    is_asking: bool,
    /// Who is on the way in.
    joining: Vec<Member>,
}

impl Universe {
    pub(super) const fn new(rule: UniverseRule, members: Members) -> Self {
        Self { rule, members, is_asking: false, joining: Vec::new() }
    }

    /// What is followed.
    pub(super) fn follow(&self, collect: Collect) -> Follow {
        Follow::members(collect, &self.members)
    }

    fn new_symbols(&self) -> Vec<Symbol> {
        self.joining.iter().map(|member| member.symbol.clone()).collect()
    }
}

/// Who is followed by the rule, if there is one: whoever was before the restart, or else whoever fits now.
/// The status says why it takes long.
///
/// # Errors
/// When the file of the members cannot be used, or when the exchange refuses to say what it lists.
pub(super) async fn known_universe(shared: &Shared, rest: &Rest) -> Result<Option<Universe>, DaemonError> {
    let Some(rule) = shared.config.universe.clone() else { return Ok(None) };
    let mut members = Members::load(&shared.config.state)?;
    while members.present().next().is_none() {
        show_detail(shared, "asking the exchange who fits the rule of the universe");
        match Offer::ask(rest, &rule.spot).await {
            Ok(offers) => {
                // Our clock has not been told yet; for an age in days the date of the answer will do.
                let now = rest.dated(Market::Perp).unwrap_or_else(|| shared.clock.now());
                let decision = decide(&rule, &members, &offers, now);
                if decision.joins.is_empty() {
                    let text =
                        format!("nobody of {} contracts fits the rule: {}", offers.len(), rule.in_words());
                    tracing::warn!("{text}; asking again");
                    show_detail(shared, &text);
                }
                decision.joins.into_iter().for_each(|member| members.join(member));
                members.save(&shared.config.state)?;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the exchange does not say yet what it lists");
                show_detail(shared, &format!("the exchange does not say what it lists: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        if members.present().next().is_none() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
    Ok(Some(Universe::new(rule, members)))
}

impl MainLoop {
    /// Asks the exchange what it offers, if a rule wants to know.
    pub(super) fn ask_universe(&mut self) {
        let Some(universe) = self.universe.as_mut().filter(|u| !u.is_asking && u.joining.is_empty()) else {
            return;
        };
        universe.is_asking = true;
        let (rest, spot) = (self.rest.clone(), universe.rule.spot.clone());
        self.tasks.spawn(async move { Done::Offered(Offer::ask(&rest, &spot).await) });
    }

    pub(super) fn on_offered(&mut self, offers: Result<Offers, RestError>) -> Handled {
        let now = self.shared.clock.now();
        let Some(universe) = &mut self.universe else { return Handled::Idle };
        universe.is_asking = false;
        let offers = match offers {
            Ok(offers) => offers,
            Err(error) => {
                tracing::warn!(%error, "the exchange does not say what it lists; the universe stays");
                self.is_listing_known = false;
                return Handled::Noted;
            }
        };
        let Decision { joins, leaves, refused } = decide(&universe.rule, &universe.members, &offers, now);
        for (symbol, why) in &leaves {
            tracing::info!(%symbol, why, "leaves the universe");
            universe.members.leave(symbol, now, why);
        }
        for member in &joins {
            tracing::info!(symbol = %member.symbol, "joins the universe");
        }
        self.shared.update(|s| {
            let status = s.universe.get_or_insert_default();
            status.looked_at = Some(now);
            status.refused =
                refused.iter().take(LISTED).map(|(s, why)| ChangeOfUniverse::of(s, None, why)).collect();
        });
        if !leaves.is_empty() {
            self.keep_members();
            self.follow_members(&[]);
        }
        if let Some(universe) = self.universe.as_mut().filter(|_| !joins.is_empty()) {
            universe.joining = joins;
            self.let_join();
        }
        Handled::Started("look at the universe")
    }

    /// Has the storage thread take in those who join.
    fn let_join(&mut self) {
        let Some(universe) = &self.universe else { return };
        let mut with_them = universe.members.clone();
        universe.joining.iter().for_each(|member| with_them.join(member.clone()));
        let new = universe.new_symbols();
        let follow = Box::new(Follow::members(self.config.collect, &with_them));
        self.show_universe();
        self.submit(|reply| Job::Follow { follow, new, reply }, Done::Followed);
    }

    /// Has the storage thread follow those who are left.
    fn follow_members(&mut self, new: &[Symbol]) {
        let Some(universe) = &self.universe else { return };
        let follow = Box::new(Follow::members(self.config.collect, &universe.members));
        let new = new.to_vec();
        self.submit(|reply| Job::Follow { follow, new, reply }, Done::Followed);
    }

    pub(super) fn on_followed(&mut self, step: JoinStep) -> Handled {
        match step {
            JoinStep::More(done, total) => {
                self.shared.update(|s| {
                    let status = s.universe.get_or_insert_default();
                    (status.rows_done, status.rows_total) = (done, total);
                });
                let new = self.universe.as_ref().map(Universe::new_symbols).unwrap_or_default();
                self.submit(|reply| Job::JoinStep { new, reply }, Done::Followed);
            }
            JoinStep::Follows(follow) => self.adopt(follow),
            // A spec change came between: they join after it.
            JoinStep::Idle if self.specs.is_changing() || !self.is_live() => {}
            JoinStep::Idle => self.join_again(),
        }
        self.try_close()
    }

    /// After a spec change or a catch-up: who was on the way in begins anew.
    pub(super) fn join_again(&mut self) {
        if !self.is_live() {
            return;
        }
        if self.universe.as_ref().is_some_and(|universe| !universe.joining.is_empty()) {
            self.let_join();
        }
    }

    /// From here on the loop follows what the storage thread follows.
    fn adopt(&mut self, follow: Arc<Follow>) {
        let collect = self.config.collect;
        if let Some(universe) = &mut self.universe {
            let has_joined = |member: &Member| follow.present().any(|symbol| *symbol == member.symbol);
            let (joined, joining) = std::mem::take(&mut universe.joining).into_iter().partition(has_joined);
            universe.joining = joining;
            let joined: Vec<Member> = joined;
            for member in joined {
                let since = follow.since.get(&member.symbol).copied();
                universe.members.join(Member { since, ..member });
            }
        }
        self.keep_members();
        let wanted = feed::subscriptions(collect, &follow);
        // What is left first: a name that comes back is subscribed again.
        if let Err(error) = self.control.keep_only(&wanted).and_then(|()| self.control.add(&wanted)) {
            tracing::error!(%error, "the streams cannot follow the universe");
        }
        let now = self.shared.clock.now();
        self.streams.watch(&wanted, now);
        self.book.follow(follow.bars.clone(), |(_, symbol)| follow.since.get(symbol).copied());
        let present: Vec<Symbol> = follow.present().cloned().collect();
        self.aggregates.follow(&present, &follow.since);
        self.rounds.keep_only(&follow.history.iter().collect::<BTreeSet<_>>());
        show_series(&self.shared, &follow);
        self.follow = follow;
        self.is_listing_known = false;
        self.show_universe();
    }

    fn keep_members(&mut self) {
        let Some(universe) = &self.universe else { return };
        let kept = universe.members.save(&self.config.state);
        if let Err(error) = &kept {
            tracing::error!(%error, "the universe cannot be remembered");
        }
        self.trouble(TROUBLE, kept.err().map(|error| error.to_string()));
    }

    pub(super) fn show_universe(&self) {
        let Some(universe) = &self.universe else { return };
        let mut left: Vec<_> = universe
            .members
            .all()
            .filter_map(|member| {
                let left = member.left.as_ref()?;
                Some(ChangeOfUniverse::of(&member.symbol, Some(left.at), &left.why))
            })
            .collect();
        left.sort_by_key(|change| std::cmp::Reverse(change.at));
        left.truncate(LISTED);
        let members = universe.members.present().count() as u64;
        let joining = universe.new_symbols();
        let rule = universe.rule.in_words();
        self.shared.update(|s| {
            let status = s.universe.get_or_insert_default();
            *status = UniverseStatus { rule, members, joining, left, ..std::mem::take(status) };
        });
    }
}

/// The rows of the status about the series of bars: those that stay keep what is known of them.
pub(super) fn show_series(shared: &Shared, follow: &Follow) {
    shared.update(|s| {
        let known = std::mem::take(&mut s.symbols).into_iter();
        let mut known: BTreeMap<(Market, Symbol), SeriesStatus> =
            known.map(|row| ((row.market, row.symbol.clone()), row)).collect();
        let row =
            |series: &Series| known.remove(series).unwrap_or_else(|| SeriesStatus::new(series.0, &series.1));
        s.symbols = follow.bars.iter().map(row).collect();
    });
}
