"""What commonly is not as it should be, said before it costs anything."""

import asyncio
import json
import sys
from importlib.metadata import PackageNotFoundError, version

from backtestd_nautilus.catalog import Catalog
from backtestd_nautilus.model import BAR_NS
from backtestd_nautilus.sse import Message, Position, StreamRefused, messages
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


# The daemon says at once where its stream stands.
ANSWER_S = 10.0


def doctor(catalog: str | None, blueprints: str | None, socket: str | None = None, position: str | None = None) -> Findings:
    """Looks at the installation, and at a catalog, a directory of blueprints and a daemon where they are named."""
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
    if socket is not None:
        _daemon(found, socket, position)
    return found


def _daemon(found: Findings, socket: str, position: str | None) -> None:
    async def first() -> Message | None:
        async for message in messages(socket, None):
            return message
        return None

    try:
        message = asyncio.run(asyncio.wait_for(first(), ANSWER_S))
        newest = json.loads(message.data)["last_seq"] if message is not None else 0
    except (OSError, StreamRefused, asyncio.IncompleteReadError, TimeoutError, KeyError) as error:
        found.say(False, f"no stream of signals on {socket}: {error!r}")
        return
    found.say(True, f"the daemon answers on {socket}; its newest entry is {newest}")
    read = Position(position).last
    if read is not None:
        behind = newest - read
        found.say(behind >= 0, f"{position}: read up to {read}, {behind} behind" if behind >= 0 else
                  f"{position}: read up to {read}, which this daemon has not sent yet: the file is of another store")  # fmt: skip


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
