"""The versioned directory."""

from pathlib import Path

import pytest
from conftest import line, publish

from backtestd_nautilus import BlueprintStore, DamagedVersion


def test_the_version_of_an_instant_is_the_last_one_published_by_then(versions: Path) -> None:
    publish(versions, "v000002", [line(revision=3)], published_at_ns=2_000)
    store = BlueprintStore(versions)
    assert [store.as_of(t) for t in (999, 1_000, 1_999, 2_000)] == [None, "v000001", "v000001", "v000002"]
    assert store.current() == "v000002"
    assert store.version("v000001").blueprints["bp_0000000000000001"].revision == 2


def test_a_damaged_version_is_refused_whole(versions: Path) -> None:
    lines = versions / "v000001" / "blueprints.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"revision": 2', b'"revision": 9'))
    with pytest.raises(DamagedVersion, match="sha256 is .* but the manifest says"):
        BlueprintStore(versions).version("v000001")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fill_convention": "close_lag_close/2"}, "fill_convention is 'close_lag_close/2'"),
        ({"schema": "backtestd.blueprint/2"}, "schema is 'backtestd.blueprint/2'"),
        ({"entry": line()["entry"] | {"price": "open"}}, "entry is"),
        ({"exit": line()["exit"] | {"stop": {"bps": 50.0}, "stop_gap_fill": "trigger"}}, "stop_gap_fill is 'trigger'"),
        ({"exit": line()["exit"] | {"intrabar_path": "OLHC"}}, "intrabar_path is 'OLHC'"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name_and_the_rest_is_kept(tmp_path: Path, change: dict, said: str) -> None:
    publish(tmp_path, "v000001", [line(), line(id="bp_2") | change])
    version = BlueprintStore(tmp_path).version("v000001")
    assert list(version.blueprints) == ["bp_0000000000000001"]
    assert said in version.refused["bp_2"]


def test_no_directory_is_an_error_that_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="<data root>/blueprints"):
        BlueprintStore(tmp_path / "none").names()
