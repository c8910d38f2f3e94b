//! "Did you mean": the nearest known name to a misspelt one.

/// The candidate nearest to `name` by edit distance with swaps of neighbours (optimal string alignment), if
/// near enough to be what was meant. Ties go to the first in order.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_distant_one_is_not_offered() {
        let names = ["vol_ratio", "vol_ratio_4h", "rv_pct"];
        assert_eq!(nearest("vol_ration", names), Some("vol_ratio"));
        assert_eq!(nearest("vol_raito", names), Some("vol_ratio"));
        assert_eq!(nearest("RV_PCT", names), Some("rv_pct"));
        assert_eq!(nearest("open_interest", names), None);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_change_and_a_longer_name_may_have_more() {
        assert_eq!(nearest("hte", ["the"]), Some("the"), "two changes if a swap were two");
        assert_eq!(nearest("ab", ["cd"]), None);
        assert_eq!(nearest("liquidashun", ["liquidation"]), Some("liquidation"));
        assert_eq!(nearest("men", ["mean", "min"]), Some("mean"), "ties go to the first");
    }
}
