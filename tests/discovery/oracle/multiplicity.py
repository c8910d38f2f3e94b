"""Step-up procedures, groups, and the rule of the prior system."""
import math
from collections import defaultdict

import numpy as np
from scipy import stats

from shipped import Q


def step_up(p, factor):
    p = np.minimum(np.array(p, float), np.inf)
    order = np.argsort(p, kind="stable")
    q = np.empty(len(p))
    best = 1.0
    for rank in range(len(p), 0, -1):
        best = min(best, p[order[rank - 1]] * factor / rank)
        q[order[rank - 1]] = best
    return q


def simes(p, size):
    return min([1.0] + [x * size / (i + 1) for i, x in enumerate(sorted(p))])


def bb_rejects(p, members, sizes, q):
    """Set of rejected hypotheses at level q."""
    groups = sorted(sizes)
    s = {g: simes([p[i] for i in members.get(g, [])], sizes[g]) for g in groups}
    ranked = sorted(s.values())
    R = max([k + 1 for k in range(len(ranked)) if ranked[k] <= q * (k + 1) / len(groups)], default=0)
    if R == 0:
        return set()
    cut = ranked[R - 1]
    out = set()
    for g in groups:
        if s[g] <= cut:
            ix = sorted(members.get(g, []), key=lambda i: p[i])
            level = q * R / len(groups)
            k = max([j + 1 for j in range(len(ix)) if p[ix[j]] <= level * (j + 1) / sizes[g]], default=0)
            out |= set(ix[:k])
    return out


def seed_q(units, rows):
    """The prior system's two-stage q, per event type."""
    cells = defaultdict(list)
    for key in rows:
        if key[2] != "ALL" and np.isfinite(units[key]["s"]).all():
            cells[key[:2]].append(key)
    p = {k: 1.0 for k in rows}
    for keys in cells.values():
        n = np.array([len(units[k]["s"]) for k in keys], float)
        m = np.array([units[k]["s"].mean() for k in keys])
        sd = np.array([units[k]["s"].std() for k in keys])
        M = (n * m).sum() / n.sum()
        within = (np.maximum(n - 1, 0) * sd ** 2).sum() / max(np.maximum(n - 1, 0).sum(), 1)
        between = (n * (m - M) ** 2).sum() / n.sum()
        lam = min(max(within / max(between, 1e-8), 5), 5000)
        w = n / (n + lam)
        theta = w * m + (1 - w) * M
        with np.errstate(all="ignore"):
            t = theta / (sd / np.sqrt(n))
        for k, t_, n_ in zip(keys, t, n):
            p[k] = 1.0 if math.isnan(t_) else 2 * stats.t.sf(abs(t_), max(n_ - 1, 1))
    out = {k: (1.0 if k[2] != "ALL" else None) for k in rows}
    for event in {k[0] for k in rows}:
        families = defaultdict(list)
        for k in rows:
            if k[0] == event and k[2] != "ALL" and len(units[k]["s"]) >= 50:
                families[(k[2], k[1])].append(k)
        names = list(families)
        qf = step_up([simes([p[k] for k in families[f]], len(families[f])) for f in names], len(names))
        for f, q in zip(names, qf):
            members = families[f]
            inner = step_up([p[k] for k in members], len(members)) if q <= Q else [1.0] * len(members)
            for k, x in zip(members, inner):
                out[k] = x
    return out
