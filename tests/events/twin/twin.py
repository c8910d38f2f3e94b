"""The kline-only events once more, written from the catalogue's formulas with numpy and pandas.

    python twin.py FOLDER      reads FOLDER/<SYMBOL>.csv (bar, open, high, low, close, volume, quote_volume, trades,
                               taker_buy_quote; empty is unknown), writes FOLDER/twin.csv (event, symbol, bar,
                               direction, severity)

The leader is BTCUSDT, and ETHUSDT for BTCUSDT; symbols without taker columns are leaders only.
"""

import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from values import (
    NAN, age_max, age_min, any_true, at, beta, both, choose, corr, detect, div, either, eq, falling, fired, ge,
    gt, held, highest, lag, latch, le, least, ln, lowest, lt, mean, median, most, ne, negate, pct_rank, quantile,
    rising, since, sqrt, std, tod_mean, wsum,
)

NORMAL = NormalDist()
# The standard library has the normal distribution, one number at a time.
ndtr = np.vectorize(lambda x: NAN if np.isnan(x) else NORMAL.cdf(x), otypes=[float])
ndtri = np.vectorize(lambda p: NORMAL.inv_cdf(p) if 0 < p < 1 else NAN, otypes=[float])


# --- macros ---------------------------------------------------------------------------------------------------------


def tod_adj(x):
    return x - tod_mean(x, 20, 3, 35)


def local(x):
    return x - lag(mean(x, 288, 144), 1)


def tq(x, p):
    return lag(quantile(x, p, 8640, 2016), 1)


def tmed(x):
    return lag(median(x, 2016, 576), 1)


class Bars:
    """A symbol's klines and what the events read of them."""

    def __init__(self, path):
        # As text first: Python's own conversion gives back the bits that were written.
        d = pd.read_csv(path, dtype=str)
        self.bar = d["bar"].astype(int).to_numpy()
        self.n = len(d)
        columns = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_quote")
        self.open, self.high, self.low, self.close, self.volume, self.qv, self.buy = (
            d[name].astype(float).to_numpy() for name in columns
        )
        self.ret = ln(div(self.close, lag(self.close, 1)))
        lrng = ln(most(ln(div(self.high, self.low)), 0.00001))
        self.rng_tod = tod_mean(lrng, 20, 3, 35) - lag(mean(lrng, 5760, 1440), 1)
        self.ret_ds = self.ret / np.exp(self.rng_tod)
        squared = self.ret_ds * self.ret_ds
        self.sig_288 = sqrt(mean(squared, 288, 144))
        self.sigma_bar = lag(self.sig_288, 1) * np.exp(self.rng_tod)
        self.u = div(self.ret, self.sigma_bar)
        self.rv_12 = sqrt(mean(squared, 12, 10))
        self.rv_96 = sqrt(mean(squared, 96, 72))
        steps = np.abs(self.ret_ds) * np.abs(lag(self.ret_ds, 1))
        self.bv_96 = sqrt(1.5707963267948966 * mean(steps, 96, 72))
        self.vol_ratio = div(self.rv_12, lag(self.sig_288, 12))
        self.vol_ratio_4h = div(sqrt(mean(squared, 48, 36)), lag(self.sig_288, 48))
        self.rsurp = local(tod_adj(lrng))
        self.high_96 = lag(highest(self.high, 96, 72), 1)
        self.low_96 = lag(lowest(self.low, 96, 72), 1)
        self.lead = None

    def move(self, k):
        return ln(div(self.close, lag(self.close, k)))

    def mvz(self, k):
        return div(self.move(k), lag(self.sig_288, k) * np.sqrt(k))

    def more(self):
        """What only symbols with volume and flow have."""
        self.rv_pct = pct_rank(self.rv_96, 8640, 2016)
        lrange_96 = ln(div(highest(self.high, 96, 72), lowest(self.low, 96, 72)))
        self.compression = div(lrange_96, lag(median(lrange_96, 2880, 720), 1))
        self.vsurp = local(tod_adj(ln(self.qv)))
        self.sflow = 2 * self.buy - self.qv
        self.ofi_12 = div(wsum(self.sflow, 12, 10), wsum(self.qv, 12, 10))
        nflow_3 = div(wsum(self.sflow, 3, 3), 3 * lag(mean(self.qv, 288, 144), 1))
        self.nflow_3c = nflow_3 - tmed(nflow_3)
        self.ofi_12c = self.ofi_12 - tmed(self.ofi_12)
        self.trend_z = self.mvz(96)
        self.chop = np.abs(self.trend_z)
        vwap_288 = div(wsum(self.qv, 288, 144), wsum(self.volume, 288, 144))
        self.stretch = div(ln(div(self.close, vwap_288)), lag(self.sig_288, 144) * 12)

    def beside(self, lead):
        self.lead = lead
        self.corr_288 = corr(self.ret, lead.ret, 288, 216)
        self.beta_96 = beta(self.ret, lead.ret, 96, 72)
        self.beta_2016 = beta(self.ret, lead.ret, 2016, 864)
        resid = self.ret - lag(self.beta_2016, 1) * lead.ret
        self.rel_strength_288 = div(wsum(resid, 288, 216), np.sqrt(288) * lag(std(resid, 2016, 864), 1))


def channel_break(s):
    """First-line breakout code: 1 above the eight-hour high, -1 below its low, else 0."""
    return choose(gt(s.close, s.high_96), 1.0, choose(lt(s.close, s.low_96), -1.0, 0.0))


def events_of(s):
    """Every event of a symbol: name, rows, direction, severity."""
    out = {}

    def event(name, when, direction, severity, **rule):
        direction = np.broadcast_to(np.asarray(direction, dtype=float), when.shape)
        out[name] = (detect(when, direction, severity, **rule), direction, severity)

    sign, absolute = np.sign, np.abs
    ret, u = s.ret, s.u

    # liquidity
    size = absolute(s.nflow_3c)
    share = div(absolute(wsum(s.sflow, 3, 3)), wsum(s.qv, 3, 3))
    event("ORDERFLOW_IMBALANCE_SHOCK", both(ge(size, tq(size, 0.99)), ge(share, tq(share, 0.8))),
          sign(s.nflow_3c), size, spacing=12)
    half = 0.5 * (s.high - s.low)
    up = both(gt(s.high, s.high_96), lt(s.close, s.high_96), ge(s.high - most(s.open, s.close), half))
    dn = both(lt(s.low, s.low_96), gt(s.close, s.low_96), ge(least(s.open, s.close) - s.low, half))
    side = choose(up, 1.0, 0.0) - choose(dn, 1.0, 0.0)
    event("SWEEP_STOPRUN",
          both(either(up, dn), ne(side, 0), ge(s.rsurp, tq(s.rsurp, 0.8)), gt(s.vsurp, 0.25)),
          side, s.rsurp, spacing=12)
    sigma_3 = sqrt(wsum(s.sigma_bar * s.sigma_bar, 3, 3))
    follow3 = div(sign(s.nflow_3c) * wsum(ret, 3, 3), sigma_3)
    event("ABSORPTION_EVENT", both(ge(size, tq(size, 0.95)), le(follow3, 0.25)), sign(s.nflow_3c), size, spacing=12)

    # volatility
    calm = held(le(s.vol_ratio, 1.25), 3)
    event("VOL_SHOCK", ge(s.vol_ratio, most(tq(s.vol_ratio, 0.98), 1.5)), sign(s.move(12)), s.vol_ratio,
          spacing=12, exit=calm, max_bars=96)
    event("VOL_SPIKE", ge(s.rsurp, tq(s.rsurp, 0.995)), sign(ret), s.rsurp, spacing=12)
    hot = ge(s.vol_ratio, most(tq(s.vol_ratio, 0.95), 1.5))
    peak = highest(s.rv_12, 96, 24)
    cooled = both(held(le(s.rv_12, 0.5 * peak), 3), le(s.vol_ratio, 1.2))
    event("VOL_RELAXATION_START", falling(latch(hot, cooled)), sign(at(s.move(12), hot)), div(peak, s.rv_12),
          onset="level", spacing=48)
    v4 = s.vol_ratio_4h
    up, dn = ge(v4, most(tq(v4, 0.95), 1.35)), le(v4, least(tq(v4, 0.05), 0.7))
    event("VOL_CLUSTER_SHIFT", either(held(up, 12), held(dn, 12)), sign(s.move(48)), absolute(ln(v4)), spacing=96)
    spell = latch(le(s.compression, tq(s.compression, 0.15)), ge(s.compression, tq(s.compression, 0.35)))
    event("RANGE_COMPRESSION_END", falling(spell), sign(s.move(12)), lag(since(negate(spell)), 1) / 12,
          onset="level", spacing=24)
    brk = channel_break(s)
    tight = any_true(le(s.compression, tq(s.compression, 0.3)), 12, 6)
    event("BREAKOUT_TRIGGER", both(ne(brk, 0), tight), brk, absolute(s.mvz(12)), spacing=24)

    # forced flow
    ofi = absolute(s.ofi_12c)
    hour, day = wsum(s.qv, 12, 12), lag(wsum(s.qv, 288, 144), 12)
    push = both(ge(ofi, tq(ofi, 0.97)), ge(hour, 1.5 * day / 24))
    side = sign(at(s.ofi_12c, push))
    nonew = choose(gt(side, 0), ge(age_max(s.high, 24), 6), ge(age_min(s.low, 24), 6))
    event("FORCED_FLOW_EXHAUSTION",
          both(le(since(push), 18), ge(since(push), 3), nonew, le(side * wsum(s.sflow, 6, 6), 0)),
          side, absolute(at(s.ofi_12c, push)), spacing=24)
    tz = lag(s.mvz(72), 12)
    side = sign(tz)
    ext = choose(gt(side, 0), le(age_max(s.high, 96), 12), le(age_min(s.low, 96), 12))
    give = div(choose(gt(side, 0), ln(div(highest(s.high, 12, 10), s.close)), ln(div(s.close, lowest(s.low, 12, 10)))),
               lag(s.sig_288, 12) * 3.4641016151377544)
    event("TREND_EXHAUSTION_TRIGGER",
          both(ge(absolute(tz), most(tq(absolute(tz), 0.8), 1.25)), ext, ge(give, 1.25)), side, give, spacing=48)
    up = gt(s.close, lag(highest(s.close, 96, 72), 1))
    dn = lt(s.close, lag(lowest(s.close, 96, 72), 1))
    side = choose(up, 1.0, choose(dn, -1.0, 0.0))
    m = side * s.move(12)
    best = choose(up, lag(highest(s.move(12), 96, 72), 12), -lag(lowest(s.move(12), 96, 72), 12))
    flow = div(wsum(s.sflow, 48, 40), wsum(s.qv, 48, 40))
    event("MOMENTUM_DIVERGENCE_TRIGGER", both(ne(side, 0), lt(m, 0.6 * best), lt(side * (flow - tmed(flow)), 0)),
          side, 1 - div(m, best), spacing=24)
    edge = either(ge(s.high, s.high_96), le(s.low, s.low_96))
    event("CLIMAX_VOLUME_BAR", both(ge(s.vsurp, tq(s.vsurp, 0.99)), ge(s.rsurp, tq(s.rsurp, 0.97)), edge),
          sign(ret), s.vsurp, spacing=12)
    shock = ge(absolute(u), most(tq(absolute(u), 0.985), 2))
    side, age = sign(at(u, shock)), since(shock)
    event("FAILED_CONTINUATION",
          both(ge(age, 1), le(age, 6), le(side * (s.close - at(lag(s.close, 1), shock)), 0)),
          side, absolute(at(u, shock)), spacing=12)

    # trend
    margin = div(choose(gt(brk, 0), ln(div(s.close, s.high_96)), ln(div(s.low_96, s.close))), s.sigma_bar)
    event("RANGE_BREAKOUT", both(ne(brk, 0), negate(tight), ge(margin, 0.25), gt(s.vsurp, 0)), brk, margin, spacing=24)
    first = both(ne(brk, 0), eq(lag(brk, 1), 0))
    side = at(brk, first)
    level = choose(gt(side, 0), at(s.high_96, first), at(s.low_96, first))
    depth = 0 - div(side * ln(div(s.close, level)), s.sigma_bar)
    age = since(first)
    event("FALSE_BREAKOUT", both(ge(age, 1), le(age, 12), ge(depth, 1)), side, depth, spacing=24)
    old, new = lag(s.mvz(72), 24), s.mvz(24)
    quick = ge(absolute(new), most(tq(absolute(new), 0.93), 1))
    event("TREND_ACCELERATION",
          both(ge(absolute(old), 0.75), gt(old * new, 0), quick, ge(absolute(new), 1.5 * absolute(old))),
          sign(new), absolute(new), spacing=48)
    strong = ge(absolute(old), most(tq(absolute(old), 0.8), 1.25))
    event("TREND_DECELERATION", both(strong, le(absolute(new), 0.2), ge(absolute(lag(new, 24)), 0.5)),
          sign(old), absolute(old), spacing=48)
    tz = lag(s.mvz(96), 12)
    side = sign(tz)
    hi, lo = highest(s.high, 96, 72), lowest(s.low, 96, 72)
    deep = choose(gt(side, 0), div(hi - lowest(s.low, 12, 10), hi - lo), div(highest(s.high, 12, 10) - lo, hi - lo))
    turn = choose(gt(side, 0), gt(s.close, lag(highest(s.high, 6, 5), 1)), lt(s.close, lag(lowest(s.low, 6, 5), 1)))
    event("PULLBACK_PIVOT",
          both(ge(absolute(tz), most(tq(absolute(tz), 0.7), 1)), ge(deep, 0.3), le(deep, 0.7), turn),
          side, deep, spacing=24)
    hi, lo = lag(highest(s.high, 2016, 1440), 1), lag(lowest(s.low, 2016, 1440), 1)
    ahi, alo = lag(age_max(s.high, 2016), 1), lag(age_min(s.low, 2016), 1)
    side = choose(both(gt(s.close, hi), ge(ahi, 288)), 1.0, choose(both(lt(s.close, lo), ge(alo, 288)), -1.0, 0.0))
    event("SUPPORT_RESISTANCE_BREAK", ne(side, 0), side, choose(gt(side, 0), ahi, alo) / 288, spacing=48)

    # statistical dislocations
    far = absolute(s.stretch)
    event("ZSCORE_STRETCH", ge(far, most(tq(far, 0.97), 1.5)), sign(s.stretch), far,
          spacing=48, exit=le(far, 0.5), max_bars=144)
    lc = ln(s.close)
    zb = div(lc - lag(mean(lc, 96, 72), 1), lag(std(lc, 96, 72), 1))
    outside = ge(absolute(zb), 2.5)
    event("BAND_BREAK", both(outside, lag(held(negate(outside), 12), 1)), sign(zb), absolute(zb), spacing=24)
    shocks = fired(out["VOL_SHOCK"][0], s.n)
    k, done = since(shocks), at(s.move(12), shocks)
    run = ln(div(s.close, at(lag(s.close, 12), shocks)))
    event("OVERSHOOT_AFTER_SHOCK",
          both(ge(k, 6), le(k, 36), gt(done * run, 0), ge(absolute(run), 1.5 * absolute(done)),
               ge(absolute(run), 2.5 * lag(s.sig_288, 48) * 6)),
          sign(run), div(absolute(run), absolute(done)), spacing=36)
    jump = ge(div(absolute(s.ret_ds), lag(s.bv_96, 1)), 4)
    j, k = at(ret, jump), since(jump)
    run = ln(div(s.close, at(lag(s.close, 1), jump)))
    event("GAP_OVERSHOOT", both(ge(k, 1), le(k, 6), gt(j * run, 0), ge(absolute(run), 1.5 * absolute(j))),
          sign(j), div(absolute(run), absolute(j)), spacing=12)

    # regimes
    hi = latch(ge(s.rv_pct, 0.75), le(s.rv_pct, 0.6))
    lo = latch(le(s.rv_pct, 0.25), ge(s.rv_pct, 0.4))
    code = choose(hi, 1.0, 0.0) - choose(lo, 1.0, 0.0)
    same = held(eq(code, lag(code, 1)), 11)
    event("VOL_REGIME_SHIFT_EVENT", both(same, ne(code, lag(code, 12))), sign(s.move(96)),
          absolute(code - lag(code, 12)), spacing=48)
    tr = latch(ge(s.chop, 1.5), le(s.chop, 0.4))
    event("TREND_TO_CHOP_SHIFT", falling(tr), sign(at(s.trend_z, ge(s.chop, 1.5))), lag(since(negate(tr)), 1) / 96,
          onset="level", spacing=48)
    event("CHOP_TO_TREND_SHIFT", both(rising(tr), ge(lag(since(tr), 1), 48)), sign(s.trend_z), s.chop,
          onset="level", spacing=48)

    # two symbols
    led = s.lead.move(12)
    z1 = ndtri(np.clip(pct_rank(s.move(12), 8640, 2016), 0.0001, 0.9999))
    z2 = ndtri(np.clip(pct_rank(led, 8640, 2016), 0.0001, 0.9999))
    rho = lag(corr(z1, z2, 2016, 864), 1)
    c = ndtr(div(z1 - rho * z2, sqrt(1 - rho * rho)))
    event("COPULA_PAIRS_TRADING", either(le(c, 0.005), ge(c, 0.995)), sign(c - 0.5),
          absolute(ndtri(np.clip(c, 0.000001, 0.999999))),
          spacing=24, exit=both(ge(c, 0.25), le(c, 0.75)), max_bars=48)
    drop = s.corr_288 - lag(median(s.corr_288, 8640, 2016), 1)
    event("CORRELATION_BREAKDOWN_EVENT", both(le(s.corr_288, tq(s.corr_288, 0.03)), le(drop, -0.1)),
          sign(s.rel_strength_288), 0 - drop, spacing=96, exit=ge(drop, -0.05), max_bars=288)
    ratio = div(s.beta_96, lag(s.beta_2016, 96))
    fit = corr(ret, s.lead.ret, 96, 72)
    event("BETA_SPIKE_EVENT", both(ge(ratio, most(tq(ratio, 0.97), 1.25)), ge(fit, 0.5)),
          sign(wsum(s.lead.ret, 96, 72)), ratio, spacing=96, exit=le(ratio, 1.1), max_bars=288)
    lead_sigma_3 = sqrt(wsum(s.lead.sigma_bar * s.lead.sigma_bar, 3, 3))
    lz = div(wsum(s.lead.ret, 3, 3), lead_sigma_3)
    want = lag(s.beta_2016, 3) * s.lead.move(3)
    event("LEAD_LAG_BREAK",
          both(ge(absolute(lz), 2), le(sign(want) * s.move(3), 0.25 * absolute(want)), ge(lag(s.corr_288, 3), 0.4)),
          sign(want), absolute(lz), spacing=12)
    return out


def main(folder):
    bars = {path.stem: Bars(path) for path in sorted(folder.glob("*USDT.csv"))}
    lines = ["event,symbol,bar,direction,severity"]
    for name, s in bars.items():
        if np.isnan(s.buy).all():
            continue
        s.more()
        s.beside(bars["ETHUSDT" if name == "BTCUSDT" else "BTCUSDT"])
        for event, (rows, direction, severity) in events_of(s).items():
            lines += [f"{event},{name},{s.bar[t]},{int(direction[t])},{float(severity[t])!r}" for t in rows]
    (folder / "twin.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(Path(sys.argv[1]))
