"""E-processes of one side, and the bound that follows from them."""
import math

import numpy as np
from scipy import special
from scipy.optimize import brentq

from shipped import ALPHA, BETS, CAP, DECAY, PRIOR, RESERVE, RHO, SYM_W


def log_e_sym(s, v):
    return (math.log(2) + 0.5 * math.log(RHO / (v + RHO)) + s * s / (2 * (v + RHO))
            + special.log_ndtr(s / math.sqrt(v + RHO)))


def process(z, side):
    """Log of E_SYM, E_BET, E_MIX after every score, and the scaled scores."""
    num = den = PRIOR
    s = v = 0.0
    bets, weight = BETS[side], SYM_W[side]
    wealth = np.zeros(len(bets))
    out, scaled, beyond = [], [], 0
    for x in z:
        scale = math.sqrt(num / den)
        scaled.append(x / scale)
        beyond += abs(x) > CAP * scale
        gain = min(x / scale, CAP)
        x = min(max(x, -CAP * scale), CAP * scale)
        u = x / scale
        num, den = DECAY * num + x * x, DECAY * den + 1
        s, v = s + u, v + u * u
        wealth = wealth + np.log1p(bets * np.clip(gain, -RESERVE / bets, RESERVE / bets))
        bet = np.logaddexp.reduce(wealth) - math.log(len(bets))
        sym = log_e_sym(s, v)
        mix = np.logaddexp(math.log(weight) + sym, math.log(1 - weight) + bet) if weight > 0 else bet
        out.append((sym, bet, mix))
    return out, scaled, beyond


def summary(z, side):
    path, scaled, beyond = process(z, side)
    if not path:
        return dict(sym=0.0, bet=0.0, mix=0.0, sup=0.0, at=None, scaled=[], beyond=0)
    mixes = [0.0] + [p[2] for p in path]
    sup = max(mixes)
    at = next(i for i, m in enumerate(mixes) if m >= sup - 1e-12) if sup > 1e-12 else 0
    return dict(sym=path[-1][0], bet=path[-1][1], mix=path[-1][2], sup=sup, at=at - 1 if at else None, scaled=scaled,
                beyond=beyond)


def lower_bound(z, w):
    """Largest m that some day rejects."""
    best = None
    num = den = PRIOR
    Z = W = zz = zw = ww = 0.0
    for x, weight in zip(z, w):
        scale = math.sqrt(num / den)
        num, den = DECAY * num + min(x * x, (CAP * scale) ** 2), DECAY * den + 1
        x, weight = x / scale, weight / scale
        Z, W, zz, zw, ww = Z + x, W + weight, zz + x * x, zw + x * weight, ww + weight * weight

        def f(m):
            return log_e_sym(Z - m * W, max(0.0, zz - 2 * m * zw + m * m * ww)) - math.log(1 / ALPHA)

        mean, unit = Z / W, 1 / math.sqrt(ww)
        if best is not None and f(best) <= 0:
            continue
        low, step = best, 0.1 * unit
        if low is None:
            m = mean
            while step < 1e5 * unit:
                m -= step
                if f(m) > 0:
                    low = m
                    break
                step *= 1.1
        if low is not None:
            high = max(mean, low)
            while f(high) > 0:
                high += unit
            best = brentq(f, low, high, xtol=1e-18, rtol=1e-14)
    return best
