"""binance-connector, the official connector of the spot market."""

import json
import threading

from binance.spot import Spot
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

from common import FROM_MS, REST, SPOT_WS, SYMBOL, TO_MS, done, finish, refused, same_bars

client = Spot(base_url=REST, show_limit_usage=True)
rows, start = [], FROM_MS
while start < TO_MS:
    page = client.klines(SYMBOL, "5m", startTime=start, endTime=TO_MS - 1, limit=1000)
    assert int(page["limit_usage"]["x-mbx-used-weight-1m"]) > 0
    rows += page["data"]
    start = rows[-1][0] + 1
    if len(page["data"]) < 1000:
        break
same_bars("klines, paged", "spot", rows)
assert client.ui_klines(SYMBOL, "1h", limit=2)["data"]
assert client.depth(SYMBOL, limit=5)["data"]["bids"] and client.agg_trades(SYMBOL, limit=5)["data"]
assert client.ticker_24hr(SYMBOL)["data"]["symbol"] == SYMBOL
done("uiKlines, depth, aggregated trades, 24hr")
refused("illegal characters", lambda: client.klines("BTC USDT", "5m"), "-1100")
refused("an unknown symbol", lambda: client.klines("NOPEUSDT", "5m"), "-1121")

heard, told = set(), threading.Event()


def on_message(_, text):
    frame = json.loads(text)
    heard.add(frame.get("e") or ("bookTicker" if "b" in frame else "ack"))
    if {"kline", "bookTicker", "aggTrade"} <= heard:
        told.set()


streams = SpotWebsocketStreamClient(stream_url=SPOT_WS, on_message=on_message)
streams.kline(symbol=SYMBOL, interval="5m")
streams.book_ticker(symbol=SYMBOL)
streams.agg_trade(symbol=SYMBOL)
assert told.wait(40), heard
streams.stop()
done("klines, quotes and trades flow")
finish("binance-connector")
