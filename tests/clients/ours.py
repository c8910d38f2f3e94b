"""Our own client: backfill over REST into a store, exported as a lake, read by somebody else's parquet reader."""

import glob
import json
import os
import subprocess

import pyarrow.parquet as parquet

from common import FIRST_DAY, LAST_DAY, REST, SYMBOL, WORK

COLUMNS = ["open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"]


def run(*args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("BACKTEST")}
    subprocess.run([os.environ["CLIENTS_BINARY"], *args], check=True, env=env, stdout=subprocess.DEVNULL)


def table(folder):
    parts = sorted(glob.glob(f"{WORK}/data/lake/raw/{folder}/**/part.parquet", recursive=True))
    assert parts, f"the lake has no {folder}"
    rows = []
    for part in parts:
        rows += parquet.read_table(part, partitioning=None).to_pylist()
    return {round(row["timestamp"].timestamp() * 1000): row for row in rows}


def bars(market):
    return {t: [float(row[c]) for c in COLUMNS] for t, row in table(f"{market}/{SYMBOL}/5m/ohlcv").items()}


run(
    "backfill", "--symbols", SYMBOL, "--start", FIRST_DAY, "--end", LAST_DAY, "--state", f"{WORK}/state",
    "--kinds", "bars,spot,funding,open_interest", "--clock-source", "exchange", "--clock-speed", "30",
    "--binance-futures-rest", REST, "--binance-spot-rest", REST, "--json",
)
run("export", "lake", "--state", f"{WORK}/state", "--data-root", f"{WORK}/data")
funding, interest = table(f"perp/{SYMBOL}/funding"), table(f"perp/{SYMBOL}/open_interest")


def value(row, *names):
    return next(float(row[name]) for name in names if name in row)


json.dump(
    {
        "perp": bars("perp"),
        "spot": bars("spot"),
        "funding": {t: value(row, "rate", "funding_rate") for t, row in funding.items()},
        "open_interest": {t: value(row, "open_interest") for t, row in interest.items()},
    },
    open(f"{WORK}/ours.json", "w"),
)
print("ours: bars of two markets, funding and open interest stored and exported")
