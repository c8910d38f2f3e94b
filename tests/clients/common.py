"""What the checks share: where the exchange is, what our own client stored, and how bars are held against it."""

import json
import os
import sys

WORK = os.environ["CLIENTS_WORK"]
FACTS = json.loads(open(f"{WORK}/exchange.json").readline())
REST, FUTURES_WS, SPOT_WS = FACTS["rest"], FACTS["futures_ws"], FACTS["spot_ws"]
SYMBOL = "BTCUSDT"
BAR_MS = 300_000
# Days whose bars are compared: whole ones, well before the exchange's present.
FIRST_DAY, LAST_DAY = "2026-02-24", "2026-02-27"
FROM_MS, TO_MS = 1_771_891_200_000, 1_772_236_800_000
BARS = (TO_MS - FROM_MS) // BAR_MS

_done = []


def ours():
    """Bars by market and open time, funding and open interest by time, as our client stored them."""
    return json.load(open(f"{WORK}/ours.json"))


def same_bars(what, market, rows, columns=9):
    """Rows are klines of the venue: open time, prices, volume, close time, quote volume, trades, taker buys."""
    stored = ours()[market]
    found = {}
    for row in rows:
        row = list(row)
        values = row[1:6] + row[7:11] if columns == 9 else row[1:6]
        assert int(row[0]) not in found, f"{what}: {row[0]} comes twice"
        found[int(row[0])] = [float(value) for value in values]
    inside = {t: v for t, v in found.items() if FROM_MS <= t < TO_MS}
    assert len(inside) == BARS == len(stored), f"{what}: {len(inside)} bars, ours {len(stored)}, should be {BARS}"
    for time, values in inside.items():
        assert values == stored[str(time)][: len(values)], f"{what} {time}: {values} ours {stored[str(time)]}"
    done(f"{what}: {len(inside)} bars are ours")


def same_closed(what, market_rows, frame):
    """A closing frame of a stream against the row that REST has of the same bar."""
    row = market_rows[0]
    k = frame["k"]
    told = [k["o"], k["h"], k["l"], k["c"], k["v"], k["q"], k["V"], k["Q"]]
    wanted = row[1:6] + [row[7], row[9], row[10]]
    assert [float(v) for v in told] == [float(v) for v in wanted], f"{what}: {k} is not {row}"
    done(f"{what}: the closing frame is the bar")


def same_series(what, name, pairs):
    """Times floored to the minute (settlements carry jitter) with values."""
    stored = ours()[name]
    found = {str(int(time) // 60_000 * 60_000): float(value) for time, value in pairs}
    inside = {t: v for t, v in found.items() if FROM_MS < int(t) <= TO_MS}
    wanted = {t: v for t, v in stored.items() if FROM_MS < int(t) <= TO_MS}
    assert inside == wanted and wanted, f"{what}: {len(inside)} values, ours {len(wanted)}"
    done(f"{what}: {len(inside)} values are ours")


def refused(what, call, *texts):
    try:
        call()
    except Exception as error:  # every library has errors of its own
        text = f"{type(error).__name__} {error}"
        assert any(part in text for part in texts), f"{what}: {text}"
        return done(f"{what}: refused with {texts[0]}")
    raise AssertionError(f"{what}: was not refused")


def done(line):
    _done.append(line)


def finish(name):
    for line in _done:
        print(f"  {line}")
    print(f"{name}: {len(_done)} checks")
    sys.stdout.flush()
