"""binance-futures-connector."""

import json
import threading

from binance.um_futures import UMFutures
from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient

from common import FROM_MS, FUTURES_WS, REST, SYMBOL, TO_MS, done, finish, refused, same_bars, same_series

client = UMFutures(base_url=REST, show_limit_usage=True)
rows, start = [], FROM_MS
while start < TO_MS:
    page = client.klines(SYMBOL, "5m", startTime=start, endTime=TO_MS - 1, limit=499)
    rows += page["data"]
    start = rows[-1][0] + 300_000
same_bars("klines, paged", "perp", rows)
continuous = client.continuous_klines(SYMBOL, "PERPETUAL", "5m", startTime=FROM_MS, endTime=TO_MS - 1, limit=1500)
same_bars("continuous klines", "perp", continuous["data"])
rates = client.funding_rate(symbol=SYMBOL, startTime=FROM_MS, limit=1000)["data"]
same_series("funding", "funding", [(r["fundingTime"], r["fundingRate"]) for r in rates])
assert client.depth(SYMBOL, limit=5)["data"]["bids"] and client.agg_trades(SYMBOL, limit=5)["data"]
assert client.ticker_24hr_price_change(SYMBOL)["data"]["symbol"] == SYMBOL
assert client.book_ticker(SYMBOL)["data"]["bidPrice"] and client.mark_price(SYMBOL)["data"]["indexPrice"]
done("depth, aggregated trades, 24hr, quotes, mark price")
refused("an unknown interval", lambda: client.klines(SYMBOL, "7m"), "-1120")

heard, told = set(), threading.Event()


def on_message(_, text):
    heard.add(json.loads(text).get("e"))
    if {"kline", "markPriceUpdate", "continuous_kline"} <= heard:
        told.set()


streams = UMFuturesWebsocketClient(stream_url=f"{FUTURES_WS}/market", on_message=on_message)
streams.kline(symbol=SYMBOL, interval="5m")
streams.mark_price(symbol=SYMBOL, speed=1)
streams.continuous_kline(pair=SYMBOL, contractType="perpetual", interval="5m")
assert told.wait(40), heard
streams.stop()
done("klines, continuous klines and mark prices flow")
finish("binance-futures-connector")
