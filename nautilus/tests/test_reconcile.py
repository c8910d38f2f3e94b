"""The comparison itself can fail."""

from backtestd_nautilus import reconcile

TRADE = {"blueprint_id": "b", "event_id": "e", "instrument": "I", "side": "long", "entry_ns": 1, "exit_bar_ns": 5,
         "reason": "time", "gross_bps": 12.5}  # fmt: skip


def test_equal_trades_are_equal_and_every_kind_of_difference_is_told() -> None:
    last = {"I": 10}
    assert reconcile([TRADE], [TRADE], last_bar_ns=last).equal == 1
    for change in ({"side": "short"}, {"entry_ns": 2}, {"exit_bar_ns": 6}, {"reason": "stop"}, {"gross_bps": 12.6}):
        report = reconcile([TRADE | change], [TRADE], last_bar_ns=last)
        assert not report.ok, change
        assert "DIFFERS  b e" in report.text()
    assert "not traded" in reconcile([], [TRADE], last_bar_ns=last).text()
    assert "not expected" in reconcile([TRADE], [], last_bar_ns=last).text()


def test_what_is_still_open_at_the_last_bar_is_explained() -> None:
    report = reconcile([], [TRADE], last_bar_ns={"I": 4})
    assert report.ok
    assert report.explained == {"still open at the last bar": 1}


def test_a_stop_may_be_a_tick_apart_and_a_time_exit_may_not() -> None:
    ours, theirs = TRADE | {"gross_bps": 12.9, "reason": "stop"}, TRADE | {"reason": "stop"}
    assert reconcile([ours], [theirs], last_bar_ns={"I": 9}, tick_bps={"I": 0.5}).ok
    assert not reconcile([ours | {"reason": "time"}], [TRADE], last_bar_ns={"I": 9}, tick_bps={"I": 0.5}).ok


def test_a_target_that_the_engine_passes_over_is_explained_only_where_another_was_filled_in_that_bar() -> None:
    want = TRADE | {"reason": "target"}
    other = want | {"blueprint_id": "c"}
    passed = want | {"reason": "stop", "gross_bps": -12.0}
    both = reconcile([passed, other], [want, other], last_bar_ns={"I": 9})
    assert both.ok
    assert (both.compared, sum(both.explained.values())) == (1, 1)
    assert not reconcile([passed], [want], last_bar_ns={"I": 9}).ok


def test_funding_is_compared_where_both_sides_know_it() -> None:
    last = {"I": 9}
    ours, theirs = TRADE | {"funding_bps": 1.0}, TRADE | {"funding_bps": 1.0}
    report = reconcile([ours], [theirs], last_bar_ns=last)
    assert (report.ok, report.funding, report.settled) == (True, 1, 1)
    assert "funding 1.5 for 1.0 bps" in reconcile([ours | {"funding_bps": 1.5}], [theirs], last_bar_ns=last).text()
    assert reconcile([ours], [theirs | {"funding_bps": None}], last_bar_ns=last).funding == 0


def test_a_wrong_order_of_extremes_is_explained_only_in_bars_that_are_known_for_it() -> None:
    want = TRADE | {"reason": "stop", "gross_bps": -12.0}
    got = want | {"reason": "target", "gross_bps": 15.0}
    assert reconcile([got], [want], last_bar_ns={"I": 9}, misordered={("I", 5)}).ok
    assert not reconcile([got], [want], last_bar_ns={"I": 9}, misordered={("I", 6)}).ok
    assert not reconcile([got | {"exit_bar_ns": 4}], [want], last_bar_ns={"I": 9}, misordered={("I", 5)}).ok


def test_an_account_is_compared_by_quantity_price_and_gain_and_by_what_it_did_not_place() -> None:
    account = TRADE | {"quantity": 0.3, "entry_price": 100.0, "exit_price": 100.125, "price": 0.0375, "notional": 30.0}
    last = {"I": 10}
    assert reconcile([account], [account], last_bar_ns=last).sized == 1
    for change in ({"quantity": 0.301}, {"exit_price": 100.2}, {"price": 0.0376}):
        assert not reconcile([account | change], [account], last_bar_ns=last).ok, change
    small = {"blueprint_id": "b", "event_id": "f", "instrument": "I", "not_placed": "below_step"}
    placed = TRADE | {"event_id": "f"}
    assert reconcile([], [small], last_bar_ns=last, not_placed={("b", "f"): "less than a step"}).not_placed == 1
    assert not reconcile([], [small], last_bar_ns=last, not_placed={("b", "f"): "less than the least order"}).ok
    assert not reconcile([placed], [small], last_bar_ns=last).ok
    assert not reconcile([], [placed], last_bar_ns=last, not_placed={("b", "f"): "less than a step"}).ok
