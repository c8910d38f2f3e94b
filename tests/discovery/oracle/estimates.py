"""The clustered t, the posterior and the shrinkage of one level."""
import math

import numpy as np
from scipy import stats
from scipy.optimize import brentq


def cluster(n, s):
    n, s = np.array(n, float), np.array(s, float)
    if len(n) < 2:
        return None
    N = n.sum()
    mean = s.sum() / N
    u = s - n * mean
    se = math.sqrt((u * u / (1 - n / N)).sum()) / N
    a = n * n / ((1 - n / N) * N)
    df = N * N / ((n * n).sum() + a.sum() ** 2 - (a * a).sum())
    t = dict(N=N, G=len(n), mean=mean, se=se, df=df)
    t["varies"] = math.sqrt((u * u).sum()) > 1e-9 * math.sqrt((s * s).sum())
    t["ok"] = len(n) >= 10 and N >= 30 and df >= 5 and t["varies"]
    return t


def effective_se(t):
    ratio = abs(t["mean"] / t["se"])
    counted = min(ratio, 37.0)
    se = t["se"] * counted / stats.norm.isf(stats.t.sf(counted, t["df"])) if ratio > 0 else 0.0
    return se if math.isfinite(se) and se > 0 else t["se"]


def ash(effects):
    b, s = np.array(effects).T
    smax = 2 * math.sqrt(max(0.0, (b * b - s * s).max()))
    if smax <= 0:
        smax = s.min() / 8
    steps, finest = 10, sorted(s)[len(s) // 2] / 4
    while smax * 2.0 ** (1 - steps) > finest and steps < 64:
        steps += 1
    grid = np.array([0.0] + [smax * 2.0 ** -k for k in reversed(range(steps))])
    var = s[:, None] ** 2 + grid[None, :] ** 2
    like = -0.5 * (b[:, None] ** 2 / var + np.log(var))
    like = np.exp(like - like.max(axis=1, keepdims=True))
    pi = np.full(len(grid), 1 / len(grid))
    for _ in range(60):
        w = like * pi
        w /= w.sum(axis=1, keepdims=True)
        n = w.sum(axis=0)
        n[0] += 10 - 1
        pi = n / n.sum()
    return grid, pi


def posterior(prior, b, s):
    grid, pi = prior
    var = s * s + grid ** 2
    like = -0.5 * (b * b / var + np.log(var))
    w = pi * np.exp(like - like.max())
    w /= w.sum()
    g = grid[1:]
    v = s * s * g * g / (s * s + g * g)
    m = v * b / (s * s)
    mean = (w[1:] * m).sum()
    sd = math.sqrt(max(0.0, (w[1:] * (v + m * m)).sum() - mean ** 2))
    above = lambda c: (w[1:] * stats.norm.sf((c - m) / np.sqrt(v))).sum() + (w[0] if c < 0 else 0.0)
    return mean, sd, above, w[0]


def shrink_level(children, parent):
    """children: {key: (mean, se) or None} -> {key: (estimate, weight)}"""
    known = [c for c in children.values() if c]
    tau2 = 0.0
    if known:
        m, se = np.array(known).T
        excess = lambda x: ((m - parent) ** 2 / (x + se ** 2)).sum() - len(m)
        if excess(0.0) > 0:
            tau2 = brentq(excess, 0.0, ((m - parent) ** 2).sum(), xtol=1e-300, rtol=1e-14)
        for _ in range(400):
            w = 1 / (tau2 + se ** 2) ** 2
            before, tau2 = tau2, max(0.0, (w * ((m - parent) ** 2 - se ** 2)).sum() / w.sum())
            if abs(tau2 - before) <= 1e-14 * before:
                break
    out = {}
    for k, c in children.items():
        w = tau2 / (tau2 + c[1] ** 2) if c and tau2 > 0 else 0.0
        out[k] = (w * c[0] + (1 - w) * parent if c else parent, w)
    return out
