"""What live nodes wrote down (`examples/sandbox.py --journal`) against what the daemon sent and the exchange showed.

    python parity/check_live.py --journal journal --stream stream --exchange http://127.0.0.1:PORT --blueprints hand/blueprints \\
        --swapped-ms MS --until-ms MS

Exit code 3 where a signal is missing or doubled, an order went in on another bar than its signal says or at another price than
that bar's close, a retired blueprint opened a position, or a position left otherwise than the version it was opened under says.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

from backtestd_nautilus import BlueprintStore
from backtestd_nautilus.model import BAR_NS


def sent_of(path: str) -> dict[int, tuple[str, dict]]:
    """Entries of the stream by number, as server-sent events wrote them."""
    out: dict[int, tuple[str, dict]] = {}
    found: dict[str, str] = {}
    for line in [*Path(path).read_text().splitlines(), ""]:
        name, _, value = line.partition(":")
        if line:
            found[name] = value.removeprefix(" ")
            continue
        if "id" in found and "data" in found:
            out[int(found["id"])] = (found["event"], json.loads(found["data"]))
        found = {}
    return out


def closes_of(url: str, instrument: str, start_ns: int) -> dict[int, float]:
    """Closes by the instant of the bar's close."""
    symbol = instrument.removesuffix("-PERP.BINANCE")
    ask = f"{url}/fapi/v1/klines?symbol={symbol}&interval=5m&limit=1000&startTime={start_ns // 1_000_000}"
    with urlopen(ask, timeout=10) as answer:  # noqa: S310 - the exchange of the test
        return {row[0] * 1_000_000 + BAR_NS: float(row[4]) for row in json.load(answer)}


class Check:
    """Counts what holds, and tells what does not."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.wrong: list[str] = []

    def that(self, ok: bool, what: str, of: object) -> None:
        """One case of a statement."""
        if ok:
            self.held[what] += 1
        else:
            self.wrong.append(f"not so: {what}: {of}")

    def least(self, what: str, n: int = 1) -> None:
        """A statement about nothing says nothing."""
        if self.held[what] < n:
            self.wrong.append(f"seen {self.held[what]} times, and should be at least {n}: {what}")


def stream(check: Check, notes: list[dict], sent: dict[int, tuple[str, dict]], until_ns: int) -> None:
    """Every entry from the first one on came, and is acted on once."""
    came = Counter(n["event_id"] for n in notes if n["kind"] == "signal")
    numbers = {record["event_id"]: number for number, (kind, record) in sent.items() if kind == "signal"}
    order = [numbers[e] for e in came if e in numbers]
    first, last = min(order), max(order)
    expected = [
        record
        for number, (kind, record) in sent.items()
        if kind == "signal" and first <= number and (number <= last or record["arrival_ns"] <= until_ns)
    ]
    fates = Counter((n["event_id"], n["blueprint"], n["what"]) for n in notes if n["kind"] == "fate")
    repeated = Counter(n["event_id"] for n in notes if n["kind"] == "fate" and n["what"] == "repeated")
    for record in expected:
        event = record["event_id"]
        check.that(came[event] - repeated[event] == 1, "a signal was sent and received once", f"{event} came {came[event]} times")
        for trigger in record["blueprints"]:
            n = sum(times for (e, b, what), times in fates.items() if (e, b) == (event, trigger["id"]) and what in FIRST)
            check.that(n == 1, "a triggered blueprint met one fate", f"{event} {trigger['id']}: {n}")
    check.that(order == sorted(order), "the order of the stream was kept", order)
    check.that(set(came) <= set(numbers), "nothing came that was not sent", sorted(set(came) - set(numbers)))


# What a signal can meet first; "accepted" ones meet something else later.
FIRST = {"accepted", "late", "cooling down", "risk unknown", "other instrument", "refused"}


def orders(check: Check, args: argparse.Namespace, notes: list[dict], sent: dict[int, tuple[str, dict]]) -> None:
    """Positions open on the bar that the signal says, at its close, and leave as their version says."""
    triggers = {(r["event_id"], t["id"]): t for k, r in sent.values() if k == "signal" for t in r["blueprints"]}
    store = BlueprintStore(args.blueprints)
    swapped_ns = args.swapped_ms * 1_000_000
    opened = {(n["event_id"], n["blueprint"]): n for n in notes if n["kind"] == "opened"}
    start_ns = min(n["entry_bar_ns"] for n in opened.values()) - BAR_NS
    closes = {i: closes_of(args.exchange, i, start_ns) for i in {n["instrument"] for n in opened.values()}}
    again = Counter((n["event_id"], n["blueprint"]) for n in notes if n["kind"] == "opened")
    for key, note in opened.items():
        wanted = triggers[key]["entry_at_ns"]
        check.that(again[key] == 1, "a position was opened once", key)
        check.that(note["entry_bar_ns"] == wanted, "an order went in on its bar", f"{key}: {note['entry_bar_ns']} for {wanted}")
        close = closes[note["instrument"]][wanted]
        check.that(abs(note["price"] / close - 1.0) < 1e-9, "it was filled at that bar's close", f"{key}: {note['price']} for {close}")
        if wanted > swapped_ns + BAR_NS:
            status = store.version(store.current()).blueprints[note["blueprint"]].status
            check.that(status == "active", "a position that was opened after the swap is of an active blueprint", f"{key}: {status}")
    for note in (n for n in notes if n["kind"] == "closed"):
        key = (note["event_id"], note["blueprint_id"])
        blueprint = store.version(opened[key]["version"]).blueprints[note["blueprint_id"]]
        check.that(note["revision"] == blueprint.revision, "it kept the revision that it was opened under", key)
        may = {"time"} | ({"stop"} if blueprint.stop_bps is not None else set())
        check.that(note["reason"] in may, "it left as its version says", f"{key}: {note['reason']}")
        if note["reason"] == "time":
            due = triggers[key]["exit_at_ns"]
            check.that(note["exit_bar_ns"] == due, "it left on its bar", f"{key}: {note['exit_bar_ns']} for {due}")
        if opened[key]["entry_bar_ns"] <= swapped_ns < note["exit_bar_ns"] and note["version"] != store.current():
            check.that(True, "it was open over the swap of the version and kept its own", key)
    retired = {b.id for b in store.version(store.current()).blueprints.values() if b.status == "retired"}
    for event, blueprint in {(n["event_id"], n["blueprint"]) for n in notes if n["kind"] == "fate" and n["what"] == "accepted"}:
        if blueprint in retired and triggers[event, blueprint]["entry_at_ns"] > swapped_ns + BAR_NS:
            check.that((event, blueprint) not in opened, "a signal of a blueprint that was retired meanwhile opened nothing", event)
    types = {b.event_type for b in store.version(store.current()).blueprints.values() if b.status == "retired"}
    for kind, record in sent.values():
        if kind == "signal" and record["version"] == store.current() and record["event_type"] in types:
            check.that(not record["blueprints"], "after its restart the daemon names no retired blueprint", record["event_id"])


OF_A_SWAP = (
    "it was open over the swap of the version and kept its own",
    "after its restart the daemon names no retired blueprint",
    "a signal of a blueprint that was retired meanwhile opened nothing",
)
OF_OWN_VERSIONS = (
    "a position was opened under the version in force at its event",
    "a version opened a position",
    "a version of the daemon was announced to the node",
    "a blueprint was retired by the daemon's own run",
)


def own_versions(check: Check, notes: list[dict], args: argparse.Namespace) -> None:
    """Positions were opened under the version in force, of which there were three, and the last one has retired a rule."""
    store = BlueprintStore(args.blueprints)
    published = {}
    for folder in sorted(Path(args.blueprints).glob("v[0-9]*")):
        published[folder.name] = json.loads((folder / "manifest.json").read_bytes())["published_at_ns"]
    args.swapped_ms = published[store.current()] // 1_000_000
    detected = {n["event_id"]: n["detected_ns"] for n in notes if n["kind"] == "signal"}
    opened = [n for n in notes if n["kind"] == "opened"]
    for note in opened:
        # A version is in force when it is published; a signal that is being made meanwhile has the one before.
        at = detected[note["event_id"]]
        may = [v for v, since in published.items() if since <= at][-1:] + [v for v, since in published.items() if at < since <= at + BAR_NS]
        check.that(note["version"] in may, "a position was opened under the version in force at its event", f"{note['event_id']}: {note['version']} of {may}")
    for version in sorted({n["version"] for n in opened}):
        check.that(True, "a version opened a position", version)
    check.least("a version opened a position", 3)
    announced = {n["version"] for n in notes if n["kind"] == "blueprint_version"}
    first = min(n["version"] for n in opened)
    for version in (v for v in published if v > first):
        check.that(version in announced, "a version of the daemon was announced to the node", version)
    for blueprint in store.version(store.current()).blueprints.values():
        if blueprint.status == "retired":
            check.that(True, "a blueprint was retired by the daemon's own run", blueprint.id)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--journal", "--stream", "--exchange", "--blueprints"):
        parser.add_argument(name, required=True)
    parser.add_argument("--until-ms", type=int, required=True, help="what it showed while the last node was surely running")
    parser.add_argument("--swapped-ms", type=int, help="what the exchange's clock showed after the swap; with --own when the last version was published")
    parser.add_argument("--own", action="store_true", help="the versions are those of the daemon's own runs")
    args = parser.parse_args()
    notes = [json.loads(line) for line in Path(args.journal).read_text().splitlines()]
    sent = sent_of(args.stream)
    check = Check()
    if args.own:
        own_versions(check, notes, args)
    elif args.swapped_ms is None:
        parser.error("--swapped-ms or --own")
    stream(check, notes, sent, args.until_ms * 1_000_000)
    orders(check, args, notes, sent)
    least = OF_OWN_VERSIONS if args.own else OF_A_SWAP
    for what in (
        "a signal was sent and received once",
        "an order went in on its bar",
        "it left on its bar",
        "a position that was opened after the swap is of an active blueprint",
        *least,
    ):
        check.least(what)
    print("\n".join([*(f"  {n:5} x {what}" for what, n in check.held.items()), *check.wrong]))
    print("fates", dict(Counter(n["what"] for n in notes if n["kind"] == "fate")))
    return 3 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
