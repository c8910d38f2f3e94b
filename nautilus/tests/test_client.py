"""What the client stamps signals with."""

from backtestd_nautilus.client import init_ns

DAY_NS = 86_400_000_000_000


def test_a_signal_has_our_instant_and_in_another_time_that_of_its_announcement() -> None:
    now = 20_000 * DAY_NS
    assert init_ns({"arrival_ns": now - 5_000_000}, now) == now
    assert init_ns({"arrival_ns": now - 600 * DAY_NS}, now) == now - 600 * DAY_NS
    assert init_ns({"published_at_ns": now - 600 * DAY_NS}, now) == now - 600 * DAY_NS
    assert init_ns({}, now) == now
