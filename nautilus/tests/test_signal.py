"""The one form of a signal."""

from conftest import record

from backtestd_nautilus.model import BAR_NS, on_grid
from backtestd_nautilus.signal import BacktestdSignal, from_record, triggers


def held(*why: str) -> dict:
    plain = record(0)
    return plain | {"blueprints": [], "not_traded": [plain["blueprints"][0] | {"why_not": list(why)}]}


def test_what_the_daemon_holds_back_is_traded_only_if_every_reason_is_asked_for() -> None:
    signal = from_record(held("in_sample", "member"))
    assert triggers(signal) == []
    assert triggers(signal, frozenset({"in_sample"})) == []
    assert triggers(signal, frozenset({"in_sample", "member"}))[0].why_not == ("in_sample", "member")
    assert len(triggers(from_record(record(0)))) == 1


def test_a_signal_survives_the_catalog() -> None:
    signal = from_record(record(3, side="short"))
    again = BacktestdSignal.from_dict(signal.to_dict())
    assert triggers(again) == triggers(signal)
    assert (again.ts_event, again.instrument_id) == (signal.ts_event, signal.instrument_id)


def test_live_stamps_one_millisecond_before_the_boundary_stand_for_it() -> None:
    assert on_grid(BAR_NS - 1_000_000) == BAR_NS == on_grid(BAR_NS)
    assert on_grid(BAR_NS + 1) == 2 * BAR_NS
