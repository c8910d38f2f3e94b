"""What commonly is not as it should be, said before it costs anything."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version

from backtestd_nautilus.catalog import Catalog
from backtestd_nautilus.model import BAR_NS
from backtestd_nautilus.store import BlueprintStore


class Findings:
    """Lines of the report, and how many of them are bad."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bad = 0

    def say(self, ok: bool, text: str) -> None:
        """Adds a line."""
        self.bad += not ok
        self.lines.append(f"{'ok ' if ok else 'BAD'}  {text}")


def doctor(catalog: str | None, blueprints: str | None) -> Findings:
    """Looks at the installation, and at a catalog and a directory of blueprints where they are named."""
    found = Findings()
    found.say(sys.version_info >= (3, 12), f"Python {sys.version.split()[0]}")
    for name, fits in (("nautilus_trader", lambda v: v == "1.231.0"), ("pandas", lambda v: int(v.split(".")[0]) < 3)):
        try:
            found.say(fits(version(name)), f"{name} {version(name)}")
        except PackageNotFoundError:
            found.say(False, f"{name} is not installed")
    if blueprints is not None:
        _blueprints(found, blueprints)
    if catalog is not None:
        _catalog(found, catalog)
    return found


def _blueprints(found: Findings, directory: str) -> None:
    store = BlueprintStore(directory)
    names = store.names()
    found.say(bool(names), f"{len(names)} versions in {directory}, {store.current()} in force")
    for name in names[-3:]:
        read = store.version(name)
        active = [b for b in read.blueprints.values() if b.status == "active"]
        traded = [b for b in active if b.primary == b.id]
        found.say(not read.refused, f"{name}: {len(active)} active, {len(traded)} traded, {len(read.refused)} refused {list(read.refused.values())}")


def _catalog(found: Findings, path: str) -> None:
    catalog = Catalog(path)
    for instrument in catalog.instruments():
        try:
            bars = catalog.bars(instrument)
        except (ValueError, RuntimeError) as error:
            found.say(False, f"{instrument.id}: {error}")
            continue
        slots = (bars[-1].ts_event - bars[0].ts_event) // BAR_NS + 1
        fits = all(b.open.precision == instrument.price_precision for b in (bars[0], bars[-1]))
        found.say(
            fits,
            f"{instrument.id}: {len(bars)} bars, {slots - len(bars)} gaps, precision {instrument.price_precision}/"
            f"{instrument.size_precision}, {len(catalog.funding(instrument))} settlements",
        )
    try:
        signals = catalog.signals()
        triggered = sum(bool(json.loads(s.record)["blueprints"] or json.loads(s.record)["not_traded"]) for s in signals)
        found.say(triggered > 0, f"{len(signals)} signals, {triggered} of them trigger a blueprint")
    except FileNotFoundError as error:
        found.say(False, str(error))
