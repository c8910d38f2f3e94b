"""Series of the twin: float64 arrays, NaN is unknown; truth values are 1, 0 and NaN.

Nothing here was taken from the engine. Windows follow the catalogue's operator table. Sums run in extended precision
(numpy's longdouble, 64 bits of mantissa on x86): the engine adds in aligned blocks, so the last bits differ, but both
are so close to the true sum that a comparison with a threshold falls the same way unless the sides agree to about
fifteen digits. Order statistics are exact on both sides.
"""

import numpy as np
import pandas as pd

NAN = np.nan
LONG = np.longdouble


def finite(x):
    """What would be infinite is unknown."""
    x = np.asarray(x, dtype=np.float64)
    return np.where(np.isfinite(x), x, NAN)


def div(a, b):
    with np.errstate(all="ignore"):
        return finite(np.asarray(a, dtype=np.float64) / b)


def ln(x):
    with np.errstate(all="ignore"):
        return finite(np.log(x))


def sqrt(x):
    with np.errstate(all="ignore"):
        return finite(np.sqrt(x))


def lag(x, k):
    out = np.full(len(x), NAN)
    if k < len(x):
        out[k:] = x[: len(x) - k]
    return out


def least(a, b):
    return np.minimum(a, b)


def most(a, b):
    return np.maximum(a, b)


# --- truth values ---------------------------------------------------------------------------------------------------


def compare(op, a, b):
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    return np.where(np.isnan(a) | np.isnan(b), NAN, op(a, b).astype(np.float64))


def ge(a, b):
    return compare(np.greater_equal, a, b)


def gt(a, b):
    return compare(np.greater, a, b)


def le(a, b):
    return compare(np.less_equal, a, b)


def lt(a, b):
    return compare(np.less, a, b)


def eq(a, b):
    return compare(np.equal, a, b)


def ne(a, b):
    return compare(np.not_equal, a, b)


def both(*sides):
    """Kleene and: false as soon as one side is, else unknown as soon as one is."""
    table = np.stack(np.broadcast_arrays(*sides))
    false = (table == 0).any(axis=0)
    unknown = np.isnan(table).any(axis=0)
    return np.where(false, 0.0, np.where(unknown, NAN, 1.0))


def either(*sides):
    return negate(both(*[negate(s) for s in sides]))


def negate(c):
    return 1.0 - c


def choose(c, a, b):
    """if(c, a, b): only the chosen branch has to be known."""
    return np.where(np.isnan(c), NAN, np.where(c == 1, a, b))


def rising(c):
    before = lag(c, 1)
    return np.where(np.isnan(c) | np.isnan(before), NAN, ((c == 1) & (before == 0)).astype(float))


def falling(c):
    return rising(negate(c))


def held(c, n):
    false = rolling(pd.Series((c == 0).astype(float)), n, 1).max().to_numpy() == 1
    true = rolling(pd.Series((c == 1).astype(float)), n, 1).sum().to_numpy() == n
    return np.where(false, 0.0, np.where(true, 1.0, NAN))


# --- windows --------------------------------------------------------------------------------------------------------


def rolling(series, window, minimum):
    return series.rolling(window, min_periods=minimum)


def running(x, window):
    """Sum over the window, and how many values were known, both over the rows that exist."""
    known = ~np.isnan(x)
    terms = np.where(known, x, 0.0).astype(LONG)
    count = np.cumsum(known)
    count = count - np.concatenate([np.zeros(window, dtype=int), count])[: len(x)]
    if window <= 12:
        # Term by term, so that a sum of zeros is a zero.
        total = np.zeros(len(x), dtype=LONG)
        for k in range(min(window, len(x))):
            total[k:] += terms[: len(x) - k]
    else:
        total = np.cumsum(terms)
        total = total - np.concatenate([np.zeros(window, dtype=LONG), total])[: len(x)]
    return total, count


def wsum(x, window, minimum):
    total, count = running(x, window)
    return np.where(count >= minimum, total.astype(np.float64), NAN)


def mean(x, window, minimum):
    total, count = running(x, window)
    with np.errstate(all="ignore"):
        return np.where(count >= minimum, (total / count).astype(np.float64), NAN)


def moments(x, y, window):
    """n, and the sums of squared and crossed deviations, over rows where both are known."""
    both_known = ~(np.isnan(x) | np.isnan(y))
    # Centred on a constant first: the deviations of a window are then small against what is summed.
    cx, cy = np.nanmean(x), np.nanmean(y)
    x = np.where(both_known, x - cx, NAN).astype(LONG)
    y = np.where(both_known, y - cy, NAN).astype(LONG)

    def total(v):
        terms = np.cumsum(np.where(np.isnan(v), LONG(0), v))
        return terms - np.concatenate([np.zeros(window, dtype=LONG), terms])[: len(v)]

    n = np.cumsum(both_known)
    n = n - np.concatenate([np.zeros(window, dtype=int), n])[: len(x)]
    with np.errstate(all="ignore"):
        sx, sy = total(x), total(y)
        return n, total(x * x) - sx * sx / n, total(y * y) - sy * sy / n, total(x * y) - sx * sy / n


def std(x, window, minimum):
    n, xx, _, _ = moments(x, x, window)
    with np.errstate(all="ignore"):
        return np.where((n >= minimum) & (n >= 2), np.sqrt(xx / (n - 1)).astype(np.float64), NAN)


def corr(x, y, window, minimum):
    n, xx, yy, xy = moments(x, y, window)
    with np.errstate(all="ignore"):
        return np.where(n >= minimum, np.clip(finite(xy / np.sqrt(xx * yy)), -1, 1), NAN)


def beta(x, y, window, minimum):
    n, _, yy, xy = moments(x, y, window)
    with np.errstate(all="ignore"):
        return np.where(n >= minimum, finite(xy / yy), NAN)


def highest(x, window, minimum):
    return rolling(pd.Series(x), window, minimum).max().to_numpy()


def lowest(x, window, minimum):
    return rolling(pd.Series(x), window, minimum).min().to_numpy()


def quantile(x, q, window, minimum):
    return rolling(pd.Series(x), window, minimum).quantile(q, interpolation="linear").to_numpy()


def median(x, window, minimum):
    return quantile(x, 0.5, window, minimum)


def pct_rank(x, window, minimum):
    """Mid-rank: (less + equal / 2) / n. pandas ranks a tie in the middle of 1..n, half a place higher."""
    frame = rolling(pd.Series(x), window, minimum)
    rank, n = frame.rank(method="average").to_numpy(), frame.count().to_numpy()
    with np.errstate(all="ignore"):
        return np.where(np.isnan(x), NAN, (rank - 0.5) / n)


def any_true(c, window, minimum):
    true = rolling(pd.Series((c == 1).astype(float)), window, 1).max().to_numpy() == 1
    known = rolling(pd.Series((~np.isnan(c)).astype(float)), window, 1).sum().to_numpy()
    return np.where(true, 1.0, np.where(known >= minimum, 0.0, NAN))


def age_max(x, window):
    """Rows since the window's maximum, the most recent of ties; unknown until the window is full."""
    out = np.full(len(x), NAN)
    filled = np.where(np.isnan(x), -np.inf, x)
    view = np.lib.stride_tricks.sliding_window_view(filled, window)
    for start in range(0, len(view), 4096):
        # Newest first, so that the first of equal values is the most recent.
        out[start + window - 1 :][: len(view[start : start + 4096])] = np.argmax(
            view[start : start + 4096, ::-1], axis=1
        )
    return out


def age_min(x, window):
    return age_max(-x, window)


def tod_mean(x, days, half, minimum):
    total = np.zeros(len(x), dtype=LONG)
    count = np.zeros(len(x), dtype=int)
    for d in range(1, days + 1):
        for j in range(-half, half + 1):
            row = lag(x, 288 * d - j)
            known = ~np.isnan(row)
            total += np.where(known, row, 0.0)
            count += known
    with np.errstate(all="ignore"):
        return np.where(count >= minimum, (total / count).astype(np.float64), NAN)


# --- through time ---------------------------------------------------------------------------------------------------


def since(c):
    last = pd.Series(np.where(c == 1, np.arange(len(c)), NAN)).ffill().to_numpy()
    return np.arange(len(c)) - last


def at(x, c):
    """x of the most recent row where c was true, its unknown included."""
    last = pd.Series(np.where(c == 1, np.arange(len(c)), NAN)).ffill().to_numpy()
    return np.where(np.isnan(last), NAN, np.asarray(x)[np.nan_to_num(last).astype(int)])


def latch(put, reset):
    out = np.full(len(put), NAN)
    state = NAN
    for t, (a, b) in enumerate(zip(put, reset)):
        if b == 1:
            state = 0.0
        elif a == 1:
            state = 1.0
        out[t] = state
    return out


# --- events ---------------------------------------------------------------------------------------------------------


def detect(when, direction, severity, onset="rising", spacing=0, exit=None, max_bars=None):
    """Onsets as a list of rows. A trigger inside the open episode or the spacing is dropped; one without a side or a
    magnitude is suppressed and consumes no spacing."""
    trigger = rising(when) == 1 if onset == "rising" else when == 1
    leaves = np.flatnonzero(exit == 1) if exit is not None else np.array([], dtype=int)
    onsets, free = [], 0
    for t in np.flatnonzero(trigger):
        if t < free or (onsets and t - onsets[-1] < spacing):
            continue
        if np.isnan(direction[t]) or direction[t] == 0 or np.isnan(severity[t]):
            continue
        onsets.append(int(t))
        later = leaves[np.searchsorted(leaves, t, side="right") :]
        ends = [int(later[0])] if len(later) else []
        if max_bars is not None:
            ends.append(int(t) + max_bars)
        if exit is None and max_bars is None:
            ends = [int(t) + 1]
        free = min(ends) if ends else len(when)
    return onsets


def fired(onsets, rows):
    out = np.zeros(rows)
    out[onsets] = 1.0
    return out
