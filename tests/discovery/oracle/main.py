"""Discovery once more, from the formulas, in numpy and scipy: no code is shared with the program.

usage: main.py BACKTESTD SPEC_DIR SCRATCH_DIR

Makes outcome tables, runs `backtestd discover` on each, and compares every column that follows from a formula.
"""
import json
import math
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expected import expected
from multiplicity import bb_rejects
from tables import tables

BIN, SPEC, SCRATCH = sys.argv[1:4]


def write(t, path):
    arrays = {}
    for c, v in t.items():
        if c in ("timestamp", "exit_ts"):
            arrays[c] = pa.array(v, pa.timestamp("ms", tz="UTC"))
        elif c == "direction":
            arrays[c] = pa.array(v, pa.int8())
        elif c.startswith("state."):
            arrays[c] = pa.array(v, pa.bool_())
        else:
            arrays[c] = pa.array(v)
    table = pa.table(arrays)
    # The order of the rows must not matter.
    pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), path)


# Roots, quantiles and EM amplify the last bits of other people's special functions a little.
LOOSE = {"anytime_lower_bps": 1e-7, "skewness": 1e-7, "posterior_mean_bps": 1e-7, "posterior_sd_bps": 1e-7,
         "ci_low_bps": 1e-7, "ci_high_bps": 1e-7, "lfsr": 1e-7, "lfsr_net": 1e-7, "after_cost_expectancy_bps": 1e-7,
         "stressed_after_cost_expectancy_bps": 1e-7,
         # The quantile of t is an expansion here, to a thousandth.
         "claim_gross_bps": 2e-3, "claim_sd_bps": 2e-3, "claim_low_bps": 2e-3, "claim_high_bps": 2e-3}


def close(a, b, tolerance, scale):
    if a is None or b is None:
        return a is None and b is None
    return abs(a - b) <= tolerance * max(abs(a), abs(b), scale)


def main():
    compared = problems = 0
    for number, (name, t) in enumerate(tables()):
        out = os.path.join(SCRATCH, str(number))
        os.makedirs(out, exist_ok=True)
        path = os.path.join(out, "outcomes.parquet")
        # Two rows of one symbol, event, horizon and moment would keep the order of the file: leave nothing to it.
        seen, keep = set(), []
        for i in range(len(t["symbol"])):
            key = (t["timestamp"][i], t["symbol"][i], t["event_type"][i], t["horizon"][i])
            if key not in seen:
                seen.add(key)
                keep.append(i)
        t = {c: [v[i] for i in keep] for c, v in t.items()}
        write(t, path)
        subprocess.run([BIN, "discover", "--outcomes", path, "--out", out, "--spec", SPEC], check=True,
                       stdout=subprocess.DEVNULL)
        got = {(r["event_type"], r["horizon"], r["symbol"], r["state_id"]): r
               for r in pq.read_table(os.path.join(out, "phase2_candidates.parquet")).to_pylist()}
        want, multi = expected(t)
        if set(got) != set(want):
            print(name, "units differ:", sorted(set(got) ^ set(want))[:5])
            problems += 1
            continue
        bad = []
        for k, w in want.items():
            for c, x in w.items():
                if c == "_i":
                    continue
                y = got[k].get(c)
                if c not in got[k]:
                    bad.append((k, c, "no such column", x))
                    continue
                if isinstance(x, float) and math.isinf(x):
                    continue
                if isinstance(x, (bool, np.bool_, str, list)) or x is None and not isinstance(y, float):
                    same = x == y
                else:
                    x = None if x is None or (isinstance(x, float) and math.isnan(x)) else float(x)
                    y = None if y is None or (isinstance(y, float) and not math.isfinite(y)) else y
                    same = close(x, y, LOOSE.get(c, 1e-9), 1e-9 if c.startswith(("p_", "q_")) else 1e-6)
                compared += 1
                if not same:
                    bad.append((k, c, y, x))
            # columns that must be undefined where the formulas define nothing
            for c in ("posterior_mean_bps", "lfsr", "anytime_lower_bps", "skewness", "claim_gross_bps"):
                if c not in w and got[k][c] is not None:
                    bad.append((k, c, got[k][c], "undefined"))
        # grouped: q is the smallest level at which the procedure rejects.
        for q in (0.001, 0.01, 0.05, 0.2, 0.5):
            rejected = bb_rejects(multi["p"], multi["members"], multi["sizes"], q)
            for i, k in enumerate(multi["live"]):
                compared += 1
                x = got[k]["q_value_group"]
                if abs(x - q) > 1e-9 and (x <= q) != (i in rejected):
                    bad.append((k, "q_value_group", x, f"rejected at {q}: {i in rejected}"))
        for b in bad[:12]:
            print(name, *b)
        problems += len(bad)
        found = sum(1 for w in want.values() if w["is_discovery"])
        print(f"{name}: {len(want)} units, {found} discoveries, {len(bad)} differences")
    print(json.dumps({"compared": compared, "problems": problems}))
    sys.exit(1 if problems else 0)


main()
