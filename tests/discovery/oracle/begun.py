"""When trials begin, and what each has of the budget."""
import numpy as np

from shipped import LEAST_DAYS, LEAST_EVENTS, ORDER


def begins(units, symbols, k):
    """The first day on which a unit has its counts and is a series of its own."""
    def counted(key):
        u = units[key]
        return list(zip(u.get("days", []), np.cumsum(u.get("n", [])))) if u["day"] else []

    def differ(whole, part):
        return next((x[0] for i, x in enumerate(whole) if i >= len(part) or part[i] != x), None)

    own, (e, h, scope, condition) = counted(k), k
    enough = next((d for i, (d, n) in enumerate(own) if n >= LEAST_EVENTS and i + 1 >= LEAST_DAYS), None)
    waits = [enough]
    if condition:
        waits.append(differ(counted((e, h, scope, "")), own))
    if scope == "ALL":
        firsts = sorted((counted((e, h, s, condition))[0][0], s) for s in symbols if counted((e, h, s, condition)))
        apart = [firsts[1][0]] if len(firsts) > 1 else []
        apart += [d for d in [differ(counted((e, h, firsts[0][1], condition)), own)] if d is not None] if firsts else []
        waits.append(min(apart, default=None))
    return None if None in waits else max(waits)


def begun_shares(catalogue, units, symbols, live, is_wide, budgets):
    """What each trial has of the budget, by its place in the queue of its tier."""
    days = {k: begins(units, symbols, k) for k in catalogue}
    out = {}
    for tier, budget in ((True, budgets[0]), (False, budgets[1])):
        queue = [k for k in catalogue if is_wide(k) == tier]
        begun = sorted(days[k] for k in queue if days[k] is not None)

        def first(n):
            return budget * min(1.0, n / len(queue)) ** (1 - ORDER)
        for k in queue:
            before = sum(1 for d in begun if days[k] is None or d < days[k])
            same = sum(1 for d in begun if d == days[k]) if days[k] is not None else 1
            out[k] = (first(before + same) - first(before)) / same
    return [out[k] for k in live]
