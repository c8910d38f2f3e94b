"""All columns of one table."""
import math
from collections import defaultdict

import numpy as np
from scipy import stats

from begun import begun_shares
from estimates import ash, cluster, effective_se, posterior, shrink_level
from evidence import lower_bound, summary
from multiplicity import seed_q, step_up
from shipped import (BAR, BARS, CAP, COST_TO_MOVE, DAY, DEFAULT_COST, DEFAULT_SIGMA, FLOOR, HISTORY, LEAST_DAYS,
                     LEAST_EVENTS, LEAST_HISTORY, POOL_WEIGHT, Q, SHARE, WIDE)


def expected(t):
    rows = len(t["event_type"])
    sigma = t.get("sigma_bar", [DEFAULT_SIGMA] * rows)
    cost = t.get("cost_bps_round_trip", [DEFAULT_COST] * rows)
    states = sorted(c for c in t if c.startswith("state."))
    symbols = sorted(set(t["symbol"]))
    scopes = symbols + (["ALL"] if len(symbols) > 1 else [])
    directed = {e for e, d in zip(t["event_type"], t["direction"]) if d != 0}
    cells = sorted({(e, h) for e, h in zip(t["event_type"], t["horizon"]) if e in directed},
                   key=lambda c: (c[0], BARS[c[1]]))
    family = dict(zip(t["event_type"], t["canonical_family"]))
    conditions = [""] + [c[len("state."):] for c in states]
    catalogue = [(e, h, s, c) for e, h in cells for s in scopes for c in conditions]
    m = len(catalogue)
    order = sorted(range(rows), key=lambda i: (t["timestamp"][i], t["symbol"][i]))
    units = {k: dict(day=[], s=[], c=[], w=[], purged=0, dropped=0, floored=0, apart=0) for k in catalogue}
    # By event, horizon and symbol: the weight of the first used row of each day.
    firsts = defaultdict(dict)
    apart_now = {}

    def typical(e, h, sym, day):
        past = sorted([w for d, w in sorted(firsts[e, h, sym].items()) if d < day][-HISTORY:])
        return past[len(past) // 2] if len(past) >= LEAST_HISTORY else None

    for i in order:
        e, h, sym, d = t["event_type"][i], t["horizon"][i], t["symbol"][i], t["direction"][i]
        if d == 0 or e not in directed:
            continue
        ts = t["timestamp"][i]
        exit_ts = t["exit_ts"][i] if "exit_ts" in t else ts + (1 + BARS[h] + 1) * BAR
        held = [""] + [c[len("state."):] for c in states if t[c][i] is True]
        keys = [(e, h, s, c) for s in {sym, scopes[-1]} & ({sym} | ({"ALL"} if len(symbols) > 1 else set())) for c in held]
        r = t["forward_return"][i]
        if (exit_ts - 1) // DAY > ts // DAY:
            for k in keys:
                units[k]["purged"] += 1
            continue
        if r is None or not math.isfinite(r) or not math.isfinite(cost[i]) or not (sigma[i] > 0 and math.isfinite(sigma[i])):
            for k in keys:
                units[k]["dropped"] += 1
            continue
        day, c = ts // DAY, cost[i] / 1e4
        own = typical(e, h, sym, day)
        w = 1 / (max(sigma[i], FLOOR) * math.sqrt(BARS[h]))
        bounded = min(w, own / SHARE) if own else w
        floored, w = sigma[i] < FLOOR or bounded < w, bounded
        pool = sorted(x for x in (typical(e, h, other, day) for other in symbols) if x)
        share = min(1.0, POOL_WEIGHT * pool[len(pool) // 2] / w) if pool else 1.0
        share = math.floor(255 * share) / 255
        if c * (own or w) > COST_TO_MOVE:
            share = 0.0
        firsts[e, h, sym].setdefault(day, w)
        apart_now[e, h, sym] = share == 0
        for k in keys:
            u = units[k]
            u["floored"] += floored
            if k[2] == "ALL" and share == 0:
                u["apart"] += 1
                continue
            u["day"].append(day)
            u["s"].append(d * r)
            u["c"].append(c)
            u["w"].append(w * share if k[2] == "ALL" else w)
    live = [k for k in catalogue if units[k]["day"]]
    for k in live:
        u = units[k]
        u["s"], u["c"] = np.array(u["s"]), np.array(u["c"])
        days = sorted(set(u["day"]))
        of = np.array(u["day"])
        u["days"], z, zc, W, n, sums = days, [], [], [], [], []
        for d in days:
            ix = np.flatnonzero(of == d)
            w = np.array([u["w"][i] / math.sqrt(j + 1) for j, i in enumerate(ix)])
            z.append((w * u["s"][ix]).sum())
            zc.append((w * u["c"][ix]).sum())
            W.append(w.sum())
            n.append(len(ix))
            sums.append(u["s"][ix].sum())
        u["n"], u["sums"], u["z"], u["zc"], u["W"] = n, sums, z, zc, W
        z, zc = np.array(z), np.array(zc)
        u["follow"], u["fade"] = summary(z - zc, "follow"), summary(-z - zc, "fade")
        u["gfollow"], u["gfade"] = summary(z, "follow"), summary(-z, "fade")
        with np.errstate(all="ignore"):
            u["t"] = cluster(n, sums)
    priors = defaultdict(list)
    for k in live:
        if units[k]["t"] and units[k]["t"]["ok"]:
            priors[k[1]].append((units[k]["t"]["mean"], effective_se(units[k]["t"])))
    priors = {h: ash(e) for h, e in priors.items()}

    # hierarchy: horizon -> family -> event -> state -> symbol
    tree = {}
    whole = scopes[-1]

    def merged(keys):
        days = defaultdict(lambda: [0.0, 0.0])
        for k in keys:
            u = units[k]
            for d, n, s in zip(u.get("days", []), u.get("n", []), u.get("sums", [])):
                days[d][0] += n
                days[d][1] += s
        if len(days) < 2:
            return None
        t = cluster(*zip(*days.values()))
        return (t["mean"], t["se"]) if t["ok"] else None

    def child(k):
        t = units[k].get("t")
        return (t["mean"], t["se"]) if t and t["ok"] else None

    for h in {h for _, h in cells}:
        events = [e for e, h_ in cells if h_ == h]
        unconditional = {e: [(e, h, whole, "")] for e in events}
        families = defaultdict(list)
        for e in events:
            families[family[e]].append(e)
        root = merged([k for e in events for k in unconditional[e]])
        root = root[0] if root else 0.0
        level_f = shrink_level({f: merged([k for e in es for k in unconditional[e]]) for f, es in families.items()}, root)
        for f, es in families.items():
            level_e = shrink_level({e: merged(unconditional[e]) for e in es}, level_f[f][0])
            for e in es:
                base = level_f[f] + level_e[e]
                states_ = shrink_level({c: child((e, h, whole, c)) for c in conditions[1:]}, level_e[e][0])
                states_[""] = (level_e[e][0], 1.0)
                for c in conditions:
                    tree[(e, h, whole, c)] = base + states_[c]
                    if len(symbols) > 1:
                        leaves = shrink_level({s: child((e, h, s, c)) for s in symbols}, states_[c][0])
                        for s in symbols:
                            tree[(e, h, s, c)] = base + leaves[s]

    p = []
    for k in live:
        u = units[k]
        u["p+"], u["p-"] = (math.exp(-min(700, u[side]["sup"])) for side in ("follow", "fade"))
        u["p"] = min(1.0, 2 * min(u["p+"], u["p-"]))
        u["constant"] = bool(u["t"]) and not u["t"]["varies"]
        u["admitted"] = sum(u["n"]) >= LEAST_EVENTS and len(u["n"]) >= LEAST_DAYS
        u["in"] = u["admitted"] and not u["constant"]
        p.append(u["p"] if u["in"] else 1.0)
        u["tied"] = u["p+"] == u["p-"]
        u["sign"] = 1 if u["p+"] < u["p-"] else -1 if u["p-"] < u["p+"] else (-1 if u["s"].sum() < 0 else 1)
    is_wide = lambda k: k[2] == "ALL" and not k[3]
    wide = sum(1 for k in catalogue if is_wide(k))
    apart = 0 < wide < m
    share = begun_shares(catalogue, units, symbols, live, is_wide, (WIDE, 1 - WIDE) if apart else (wide / m, 1 - wide / m))
    weighed = [x / s for x, s in zip(p, share)]
    q_global = step_up(weighed, 1)
    q_by = step_up(weighed, sum(1 / i for i in range(1, m + 1)))
    log_pair = [np.logaddexp(units[k]["follow"]["mix"], units[k]["fade"]["mix"]) - math.log(2) for k in live]
    q_ebh = step_up([math.exp(-x) / s if units[k]["in"] else math.inf for k, x, s in zip(live, log_pair, share)], 1)
    members, sizes = defaultdict(list), defaultdict(int)
    for k in catalogue:
        sizes[k[:2]] += 1
    for i, k in enumerate(live):
        members[k[:2]].append(i)
    seed = seed_q(units, live)
    k_rejected = sum(1 for x in q_global if x <= Q)

    out = {}
    for i, k in enumerate(live):
        u = units[k]
        sg, t, side = u["sign"], u["t"], u["follow"] if u["sign"] > 0 else u["fade"]
        gross = u["gfollow"] if sg > 0 else u["gfade"]
        N = sum(u["n"])
        row = dict(n_events=N, n_clusters=len(u["n"]), n_purged=u["purged"], n_dropped=u["dropped"],
                   effective_n=N * N / sum(x * x for x in u["n"]), cost_bps=1e4 * u["c"].mean(),
                   effect_raw_bps=sg * 1e4 * u["s"].mean(), weight_sum=sum(u["W"]),
                   e_value=math.exp(min(700, side["mix"])), e_sym=math.exp(min(700, side["sym"])),
                   e_bet=math.exp(min(700, side["bet"])), e_sup=math.exp(min(700, side["sup"])),
                   p_any=1.0 if u["constant"] else u["p"],
                   e_pair=math.exp(min(700, log_pair[i])), e_value_gross=math.exp(min(700, gross["mix"])),
                   p_any_gross=1.0 if u["constant"] else
                   min(1.0, 2 * math.exp(-min(700, max(u["gfollow"]["sup"], u["gfade"]["sup"])))),
                   q_value_global=q_global[i], q_value_by=q_by[i], q_value_ebh=q_ebh[i], q_value=q_global[i],
                   q_value_seed=seed[k], p_threshold=Q * k_rejected * share[i])
        fam, wf, ev, we, est, wu = tree[k]
        row.update(effect_shrunk_family_bps=sg * 1e4 * fam, effect_shrunk_event_bps=sg * 1e4 * ev,
                   effect_shrunk_state_bps=sg * 1e4 * est, shrinkage_weight_family=wf, shrinkage_weight_event=we,
                   shrinkage_weight_state=wu)
        if t and t["varies"]:
            row.update(se_bps=1e4 * t["se"], t_stat=sg * t["mean"] / t["se"], df=t["df"])
        row["p_value"] = min(1.0, 2 * stats.t.sf(abs(t["mean"] / t["se"]), t["df"])) if t and t["ok"] else 1.0
        post = None
        if t and t["ok"]:
            post = posterior(priors[k[1]], t["mean"], effective_se(t))
            mean, sd, above, zero = post
            reach = stats.norm.ppf(0.95)
            pos = above(0.0)
            neg = 1 - pos - zero
            net = posterior(priors[k[1]], sg * t["mean"], effective_se(t))[2](u["c"].mean())
            row.update(posterior_mean_bps=sg * 1e4 * mean, posterior_sd_bps=1e4 * sd,
                       lfsr=1 - (pos if sg > 0 else neg), lfsr_net=1 - net,
                       after_cost_expectancy_bps=sg * 1e4 * mean - row["cost_bps"],
                       stressed_after_cost_expectancy_bps=sg * 1e4 * mean - 1.5 * row["cost_bps"])
            if q_global[i] <= Q:
                row.update(ci_low_bps=1e4 * (sg * mean - reach * sd), ci_high_bps=1e4 * (sg * mean + reach * sd))
                # The claim: by the error whose normal interval is that of t.
                wide = stats.t.isf(0.05, t["df"]) / stats.norm.isf(0.05)
                mean, sd = posterior(priors[k[1]], t["mean"], t["se"] * wide)[:2]
                row.update(claim_gross_bps=sg * 1e4 * mean, claim_sd_bps=1e4 * sd,
                           claim_low_bps=1e4 * (sg * mean - reach * sd), claim_high_bps=1e4 * (sg * mean + reach * sd))
        if side["scaled"]:
            x = np.array(side["scaled"])
            row["worst_score"] = x.min()
            x = np.clip(x, -CAP, CAP)
            if len(x) >= 3 and x.var() > 1e-9:
                row["skewness"] = stats.skew(x)
        bound = lower_bound([sg * z for z in u["z"]], u["W"])
        if bound is not None and q_global[i] <= Q:
            row["anytime_lower_bps"] = 1e4 * bound
        net_scores = [sg * z - c for z, c in zip(u["z"], u["zc"])]
        row["top_day_share"] = max(0.0, *net_scores) / sum(net_scores) if sum(net_scores) > 0 else None
        row.update(is_admitted=u["admitted"], capped_days=side["beyond"], n_floored=u["floored"],
                   n_left_out_of_pool=u["apart"], log_e_value=side["mix"], log_e_sup=side["sup"],
                   left_out_symbols=[s for s in symbols if k[2] == "ALL" and apart_now.get((k[0], k[1], s))])
        seen, first, second = 0, [], []
        for n, s in zip(u["n"], u["sums"]):
            (first if 2 * seen < N else second).append((n, s))
            seen += n
        half = lambda part: sg * 1e4 * sum(s for _, s in part) / sum(n for n, _ in part) if part else None
        row.update(first_half_bps=half(first), second_half_bps=half(second))
        at = side["at"]
        row["e_sup_date"] = None if at is None else str(np.datetime64(int(u["days"][at]), "D"))
        row["direction_rule"] = "follow" if sg > 0 else "fade"
        row["quarantined"], row["direction_tied"] = False, u["tied"]
        ok = lambda x, f: x is not None and f(x)
        net = row.get("after_cost_expectancy_bps")
        gates = dict(
            is_discovery=q_global[i] <= Q and not u["tied"], gate_economic=ok(net, lambda x: x >= 0.1),
            gate_economic_conservative=ok(row.get("stressed_after_cost_expectancy_bps"), lambda x: x >= 0.1),
            gate_stability=all(ok(row[h], lambda x: x > 0) for h in ("first_half_bps", "second_half_bps")),
            gate_state_information=k[3] == "" or wu >= 0.2, gate_sample_size=N >= 50 and len(u["n"]) >= 30,
            gate_lfsr=ok(row.get("lfsr"), lambda x: x <= 0.05))
        gates["gate_phase2_final"] = all(gates.values())
        row.update(gates)
        row["_i"] = i
        out[k] = row
    return out, dict(p=p, members=members, sizes=sizes, live=live)
