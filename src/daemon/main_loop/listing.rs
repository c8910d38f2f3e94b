//! Which of the followed symbols the exchange lists and trades: asked at the start and once a day.

use super::MainLoop;
use super::input::{Done, Handled};
use crate::daemon::feed::Listing;
use crate::daemon::shared::Shared;
use backtestd_binance::RestError;
use backtestd_core::market::{BARS_PER_DAY, BarIndex};

/// Cause of degradation: a symbol is not listed any more, or does not trade.
pub(super) const TROUBLE: &str = "listing";

impl MainLoop {
    /// Asks again on the first tick of a day, and on every tick as long as there is no answer.
    pub(super) fn ask_listing_if_due(&mut self, next: BarIndex) {
        if self.is_listing_known && next.0.rem_euclid(BARS_PER_DAY) != 0 {
            return;
        }
        self.ask_universe();
        let (rest, follow) = (self.rest.clone(), self.follow.clone());
        self.tasks.spawn(async move { Done::Listed(Listing::ask(&rest, &follow.bars).await) });
    }

    pub(super) fn on_listed(&mut self, answer: Result<Listing, RestError>) -> Handled {
        match answer {
            Ok(listing) => {
                self.is_listing_known = true;
                show(&self.shared, &listing);
                if self.universe.is_some() {
                    // Who does not trade any more leaves.
                    self.trouble(TROUBLE, None);
                    return Handled::Noted;
                }
                let gone: Vec<String> = listing.unlisted().iter().map(ToString::to_string).collect();
                let idle = listing.not_trading();
                let all: Vec<String> = gone.into_iter().chain(idle).collect();
                self.trouble(TROUBLE, (!all.is_empty()).then(|| all.join(", ")));
            }
            Err(error) => {
                tracing::warn!(%error, "the exchange does not say which symbols it lists; asking again later");
            }
        }
        Handled::Noted
    }
}

/// Writes what the exchange says into the status.
pub(super) fn show(shared: &Shared, listing: &Listing) {
    shared.set_price_bands(listing.price_bands());
    shared.update(|s| {
        for row in &mut s.symbols {
            let Some(info) = listing.of(&(row.market, row.symbol.clone())) else { continue };
            let known = |step: f64| (!step.is_nan()).then_some(step);
            row.listed_as = Some(info.status.clone());
            (row.tick_size, row.step_size) = (known(info.tick_size), known(info.step_size));
            row.min_notional = known(info.min_notional);
        }
    });
}
