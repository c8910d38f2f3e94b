//! Who joins and who leaves.

use super::{Member, Members, Offer, Offers};
use crate::daemon::config::UniverseRule;
use backtestd_core::market::{DAY_MS, Symbol, Ts};

/// What a look at the offers came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Who is followed from now on; of the largest value first.
    pub joins: Vec<Member>,
    /// Who is followed no longer, and why.
    pub leaves: Vec<(Symbol, String)>,
    /// Who fits and is not followed, and why.
    pub refused: Vec<(Symbol, String)>,
}

/// Holds the offers against the rule. Without members everybody who fits joins.
#[must_use]
pub fn decide(rule: &UniverseRule, members: &Members, offers: &Offers, now: Ts) -> Decision {
    let mut decision = Decision::default();
    let mut staying = 0;
    for member in members.present() {
        match why_not(rule, member, offers.get(&member.symbol), now) {
            Some(why) => decision.leaves.push((member.symbol.clone(), why)),
            None => staying += 1,
        }
    }
    let mut fitting: Vec<(&Symbol, &Offer)> = offers
        .iter()
        .filter(|(_, offer)| unfit(rule, offer, rule.min_quote_volume, now).is_none())
        .filter(|(symbol, _)| members.of(symbol).is_none_or(|member| member.left.is_some()))
        .collect();
    fitting.sort_by(|(a, x), (b, y)| y.quote_volume.total_cmp(&x.quote_volume).then(a.cmp(b)));
    for (symbol, offer) in fitting {
        let before = members.of(symbol);
        if let Some(before) = before.filter(|before| before.onboard != offer.onboard) {
            let when = |onboard: Option<Ts>| onboard.map_or("an unknown day".to_owned(), |ts| ts.to_string());
            let why = format!(
                "listed anew on {}: another instrument than the one of {}, whose history has its name",
                when(offer.onboard),
                when(before.onboard)
            );
            decision.refused.push((symbol.clone(), why));
            continue;
        }
        if staying + decision.joins.len() >= rule.max_symbols {
            let why = format!("universe.max_symbols are {} already", rule.max_symbols);
            decision.refused.push((symbol.clone(), why));
            continue;
        }
        decision.joins.push(Member {
            symbol: symbol.clone(),
            has_spot: before.map_or(offer.has_spot, |before| before.has_spot),
            onboard: offer.onboard,
            since: None,
            left: None,
        });
    }
    decision
}

/// Why a member leaves; none if it stays.
fn why_not(rule: &UniverseRule, member: &Member, offer: Option<&Offer>, now: Ts) -> Option<String> {
    let Some(offer) = offer else { return Some("it is not listed any more".to_owned()) };
    if offer.onboard != member.onboard {
        return Some("its name belongs to another instrument now".to_owned());
    }
    unfit(rule, offer, rule.min_quote_volume * rule.keep_share, now)
}

/// What of the rule a contract does not meet.
fn unfit(rule: &UniverseRule, offer: &Offer, least_volume: f64, now: Ts) -> Option<String> {
    if !offer.is_trading() {
        return Some(format!("it does not trade: {}", offer.status));
    }
    if !rule.contracts.contains(&offer.contract) {
        return Some(format!("it is a {} contract", offer.contract));
    }
    if !rule.quotes.contains(&offer.quote) {
        return Some(format!("its prices are in {}", offer.quote));
    }
    let is_large = offer.quote_volume >= least_volume;
    if least_volume > 0.0 && !is_large {
        return Some(format!(
            "{:.0} were traded in 24 hours, less than {least_volume:.0}",
            offer.quote_volume
        ));
    }
    let age_days = offer.onboard.map(|onboard| (now.0 - onboard.0).div_euclid(DAY_MS));
    let is_old = rule.min_age_days == 0 || age_days.is_some_and(|days| days >= i64::from(rule.min_age_days));
    (!is_old).then(|| match age_days {
        Some(days) => format!("it is {days} days old, and {} are asked for", rule.min_age_days),
        None => "the exchange does not say how old it is".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::SpotRule;

    const NOW: Ts = Ts(1_000 * DAY_MS);

    fn rule() -> UniverseRule {
        UniverseRule {
            quotes: vec!["USDT".to_owned()],
            contracts: vec!["PERPETUAL".to_owned()],
            min_quote_volume: 100.0,
            keep_share: 0.5,
            min_age_days: 10,
            max_symbols: 3,
            spot: SpotRule::Same,
        }
    }

    fn offer(volume: f64) -> Offer {
        Offer {
            status: "TRADING".to_owned(),
            contract: "PERPETUAL".to_owned(),
            quote: "USDT".to_owned(),
            onboard: Some(Ts(900 * DAY_MS)),
            quote_volume: volume,
            has_spot: true,
        }
    }

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    fn offers(list: &[(&str, Offer)]) -> Offers {
        list.iter().map(|(name, offer)| (symbol(name), offer.clone())).collect()
    }

    fn names(joins: &[Member]) -> Vec<&str> {
        joins.iter().map(|member| member.symbol.as_str()).collect()
    }

    fn chosen(list: &[(&str, Offer)]) -> Members {
        let mut members = Members::default();
        for member in decide(&rule(), &Members::default(), &offers(list), NOW).joins {
            members.join(member);
        }
        members
    }

    #[test]
    fn the_largest_that_fit_join_and_every_other_has_a_reason() {
        let listed = offers(&[
            ("AUSDT", offer(300.0)),
            ("BUSDT", offer(500.0)),
            ("CUSDT", offer(400.0)),
            ("DUSDT", offer(200.0)),
            ("SMALLUSDT", offer(99.0)),
            ("UNKNOWNUSDT", offer(f64::NAN)),
            ("YOUNGUSDT", Offer { onboard: Some(Ts(991 * DAY_MS)), ..offer(900.0) }),
            ("BUSDC", Offer { quote: "USDC".to_owned(), ..offer(900.0) }),
            ("TSLAUSDT", Offer { contract: "TRADIFI_PERPETUAL".to_owned(), ..offer(900.0) }),
            ("GONEUSDT", Offer { status: "SETTLING".to_owned(), ..offer(900.0) }),
        ]);
        let decision = decide(&rule(), &Members::default(), &listed, NOW);
        assert_eq!(names(&decision.joins), ["BUSDT", "CUSDT", "AUSDT"]);
        assert_eq!(decision.refused, [(symbol("DUSDT"), "universe.max_symbols are 3 already".to_owned())]);
    }

    #[test]
    fn a_member_stays_until_it_is_clearly_too_small_or_does_not_trade() {
        let members = chosen(&[("AUSDT", offer(300.0)), ("BUSDT", offer(300.0)), ("CUSDT", offer(300.0))]);
        let later = offers(&[
            ("AUSDT", offer(51.0)),
            ("BUSDT", offer(49.0)),
            ("CUSDT", Offer { status: "SETTLING".to_owned(), ..offer(300.0) }),
            ("NEWUSDT", offer(100.0)),
        ]);
        let decision = decide(&rule(), &members, &later, NOW);
        let leaves: Vec<_> = decision.leaves.iter().map(|(s, why)| (s.as_str(), why.as_str())).collect();
        assert_eq!(
            leaves,
            [("BUSDT", "49 were traded in 24 hours, less than 50"), ("CUSDT", "it does not trade: SETTLING")]
        );
        assert_eq!(names(&decision.joins), ["NEWUSDT"]);
        assert_eq!(decide(&rule(), &members, &Offers::default(), NOW).leaves.len(), 3, "nobody is listed");
    }

    #[test]
    fn who_left_comes_back_and_another_instrument_of_its_name_does_not() {
        let mut members = chosen(&[("AUSDT", offer(300.0)), ("BUSDT", offer(300.0))]);
        members.leave(&symbol("AUSDT"), NOW, "too small");
        members.leave(&symbol("BUSDT"), NOW, "it does not trade: SETTLING");
        let anew = Offer { onboard: Some(Ts(980 * DAY_MS)), ..offer(900.0) };
        let decision = decide(&rule(), &members, &offers(&[("AUSDT", offer(120.0)), ("BUSDT", anew)]), NOW);
        assert_eq!(names(&decision.joins), ["AUSDT"]);
        let (refused, why) = &decision.refused[0];
        assert!(refused.as_str() == "BUSDT" && why.contains("another instrument"), "{why}");
        // The one that is still followed leaves when its name is given away.
        let members = chosen(&[("BUSDT", offer(300.0))]);
        let anew = Offer { onboard: Some(Ts(980 * DAY_MS)), ..offer(900.0) };
        let decision = decide(&rule(), &members, &offers(&[("BUSDT", anew)]), NOW);
        assert_eq!((decision.leaves.len(), decision.joins.len(), decision.refused.len()), (1, 0, 0));
    }
}
