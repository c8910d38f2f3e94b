"""Outcome tables of every kind."""
import math
from collections import defaultdict

import numpy as np

from shipped import BAR, BARS, DAY


def make(seed, events, symbols, horizons, days, skew=False, edge=0.0, burst=4, tie=False):
    g = np.random.default_rng(seed)
    t = defaultdict(list)
    for day in range(19_000, 19_000 + days):
        for e, (name, fam) in enumerate(events):
            if g.random() < 0.35:
                continue
            start = int(g.integers(0, 280))
            sigma = float(g.choice([0.001, 0.002, 0.003]))
            common = g.standard_t(4)
            side = int(g.choice([-1, 1]))
            for j in range(1 + int(g.integers(0, burst))):
                sym = symbols[int(g.integers(0, len(symbols)))]
                bar = start if tie else min(287, start + j * int(g.integers(1, 4)))
                high = bool(g.random() < 0.5)
                for h in horizons:
                    shock = 0.8 * common + 0.6 * g.standard_t(4)
                    if skew:
                        shock = shock - 8 * float(g.random() < 0.02) + 0.16
                    r = sigma * math.sqrt(BARS[h]) * shock + side * (edge if e == 0 else 0.0)
                    t["event_type"].append(name)
                    t["canonical_family"].append(fam)
                    t["symbol"].append(sym)
                    t["timestamp"].append(day * DAY + bar * BAR)
                    t["direction"].append(side)
                    t["horizon"].append(h)
                    t["forward_return"].append(r)
                    t["cost_bps_round_trip"].append(float(g.choice([8.0, 12.0])))
                    t["sigma_bar"].append(sigma * float(g.uniform(0.7, 1.3)))
                    t["state.HIGH"].append(high)
    return dict(t)


FOUR = [("ALPHA", "F1"), ("BETA", "F1"), ("GAMMA", "F2"), ("DELTA", "F2")]
TWO = ["AAAUSDT", "BBBUSDT"]


def tables():
    yield "skewed returns", make(1, FOUR, TWO, ["15m"], 200, skew=True, edge=0.002)
    yield "ties in time over several symbols", make(2, FOUR, ["CCCUSDT", "AAAUSDT", "BBBUSDT"], ["5m"], 120, tie=True, burst=6)
    t = make(3, FOUR, TWO, ["15m", "60m"], 120, edge=-0.006)
    del t["sigma_bar"]
    yield "no sigma_bar column", t
    t = make(4, FOUR, TWO, ["15m"], 120)
    g = np.random.default_rng(40)
    for i in g.choice(len(t["forward_return"]), 60, replace=False):
        t["forward_return"][i] = float("nan")
    t["forward_return"][len(t["forward_return"]) // 2] = float("inf")
    for i in g.choice(len(t["sigma_bar"]), 20, replace=False):
        t["sigma_bar"][i] = 0.0
    yield "unknown and infinite returns, zero scales", t
    t = make(5, FOUR, TWO, ["15m"], 150, edge=0.004)
    t["state.RARE"] = [bool(i % 17 == 0) for i in range(len(t["symbol"]))]
    t["state.UNKNOWN"] = [None if i % 3 else True for i in range(len(t["symbol"]))]
    yield "states, one of them rare, one mostly unknown", t
    t = make(6, FOUR, TWO, ["60m", "4h"], 150)
    yield "windows over midnight", t
    t = make(7, FOUR, ["AAAUSDT"], ["5m"], 40)
    keep = [i for i, e in enumerate(t["event_type"]) if e != "DELTA"] + [t["event_type"].index("DELTA")]
    yield "one event only, one symbol", {c: [v[i] for i in sorted(keep)] for c, v in t.items()}
    t = make(8, FOUR, TWO, ["15m"], 100)
    t["forward_return"] = [abs(r) * d for r, d in zip(t["forward_return"], t["direction"])]
    yield "every outcome a gain", t
    t = make(9, FOUR, TWO, ["15m"], 120, edge=0.003)
    del t["cost_bps_round_trip"]
    t["direction"] = [0 if e == "GAMMA" or i % 29 == 0 else d
                      for i, (e, d) in enumerate(zip(t["event_type"], t["direction"]))]
    yield "default costs and undirected events", t
    t = make(10, FOUR, TWO, ["5m", "15m"], 120, edge=0.004)
    g = np.random.default_rng(41)
    t["exit_ts"] = [ts + int(g.integers(3, 60)) * BAR for ts in t["timestamp"]]
    yield "exits of its own", t
    t = make(11, FOUR, TWO + ["PEGUSDT"], ["15m", "60m"], 200, edge=0.004)
    for i, sym in enumerate(t["symbol"]):
        if sym == "PEGUSDT":
            for c in ("forward_return", "sigma_bar"):
                t[c][i] *= 0.02
        t["sigma_bar"][i] *= float(g.choice([1.0, 1.0, 1.0, 0.15, 1e-7, 6.0]))
    yield "a quiet symbol, and sigmas of every size", t
    t = make(12, FOUR, ["AAAUSDT", "BBBUSDT", "CCCUSDT"], ["15m"], 160, edge=0.004)
    for i, sym in enumerate(t["symbol"]):
        if sym == "CCCUSDT":
            t["sigma_bar"][i] *= 0.1
            t["cost_bps_round_trip"][i] = 0.1
    for i, x in ((70, 8.2e6), (200, 40.0), (300, -0.9)):
        t["forward_return"][i] = x
    yield "bad prints, and a cheap symbol that weighs too much", t
    t = make(13, FOUR, TWO, ["15m"], 150)
    for i, e in enumerate(t["event_type"]):
        if e == "BETA":
            t["forward_return"][i] = 0.003 * t["direction"][i]
    yield "an event that always pays the same", t
