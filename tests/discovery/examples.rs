//! `fixtures/stat_examples.json`: worked examples made by another implementation. Every entry is checked to
//! 1e-9 relative; an entry that no check covers fails the test.

use std::collections::BTreeMap;

use backtestd_core::discovery::DaySum;
use backtestd_core::discovery::ash::{ash_fit, t_to_effective_se};
use backtestd_core::discovery::bounds::LowerBound;
use backtestd_core::discovery::cluster::{ClusterSum, ClusterT};
use backtestd_core::discovery::eprocess::{
    Bets, MixParams, RunningScale, adjuster, log_add, pair_p, sym_log_e,
};
use backtestd_core::discovery::monitor::RetireDetector;
use backtestd_core::discovery::multiplicity::{
    Groups, bh_adjust, bh_reject, by_adjust, ebh_adjust, ebh_reject, grouped_bb, grouped_bb_adjust, harmonic,
    weigh,
};
use backtestd_core::discovery::scores::{day_score_t, inverse_scale};
use backtestd_core::discovery::seed_compat::{bh_per_group, fixed_shrink, seed_shrinkage, seed_two_stage};
use backtestd_core::discovery::shrink::{Child, lambda, moment_variance, shrink};
use backtestd_core::discovery::signs::SignProcesses;
use backtestd_core::discovery::special::{normal_isf, t_sf};
use backtestd_core::spec::gates::MAX_BETS;
use serde_json::Value;

#[test]
fn every_worked_example_is_reproduced_to_nine_digits() {
    let all: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("../fixtures/stat_examples.json")).unwrap();
    for (name, example) in &all {
        match name.as_str() {
            "cluster_t" | "cluster_t_balanced_equals_iid" => check_cluster(example),
            "day_scores" => check_day_scores(example),
            "day_score_t" => check_day_score_t(example),
            "e_process_SYM" => check_sym(example),
            "e_process_BET" => check_bet(example),
            "e_process_MIX" => check_mix(&example["input"], &example["expected"]),
            "e_process_MIX_crash" => check_mix(&example["input"], &example["expected"]),
            "e_process_degenerate" => check_degenerate(example),
            "BH" => check_step_up(example, bh_adjust),
            "BY" => {
                near(harmonic(10), &example["c_m"]);
                check_step_up(example, by_adjust);
            }
            "BH_fixed_m" => check_fixed_m(example),
            "BH_per_group_seed_compat" => check_per_group(example),
            "BB_hierarchical" => check_bb(&example["input"], &example["expected"], number(&example["q"])),
            "eBH" => check_ebh(example),
            "adjuster" => {
                let got: Vec<f64> = numbers(&example["input"]).into_iter().map(adjuster).collect();
                all_near(&got, &example["expected"]);
            }
            "JS_adaptive" | "JS_adaptive_tau0" => check_shrinkage(example),
            "JS_fixed_seed_compat" => check_fixed_shrinkage(example),
            // Looks on a grid are not how anything is decided here.
            "geo_look_p" => {}
            "lower_CS" => check_lower(&all["lower_CS"]["input"], &example["expected_m"], 1),
            "lower_CS_36" => check_lower(&all["lower_CS"]["input"], &example["expected_m"], 3),
            "SR_retire" => check_retire(example),
            "t_sf" => {
                for (input, expected) in list(&example["input"]).iter().zip(list(&example["expected"])) {
                    let input = numbers(input);
                    near(t_sf(input[0], input[1]), expected);
                }
            }
            "weighted_BH_cohorts" => check_weighted(example),
            "ash" => check_ash(example),
            "t_to_effective_se" => check_effective_se(example),
            "seed_shrink_parity" => check_seed_shrinkage(example),
            "seed_two_stage_parity" => check_seed_two_stage(example),
            other => panic!("no check covers the example '{other}'"),
        }
    }
}

fn check_cluster(example: &Value) {
    let clusters: Vec<ClusterSum> = list(&example["input"]["clusters"])
        .iter()
        .map(|c| {
            let values = numbers(c);
            ClusterSum { n: values.len() as f64, sum: values.iter().sum() }
        })
        .collect();
    let t = ClusterT::from_sums(clusters.iter().copied()).unwrap();
    let e = &example["expected"];
    near(t.n, &e["N"]);
    near(t.clusters as f64, &e["G"]);
    near(t.clusters as f64 - 1.0, &e["df_cr1"]);
    near(t.mean, &e["mean"]);
    near(t.se_cr1, &e["se_cr1"]);
    near(t.mean / t.se_cr1, &e["t_cr1"]);
    near(t.p1_cr1(), &e["p1_cr1"]);
    near(t.se_cr2, &e["se_cr2"]);
    near(t.t_cr2(), &e["t_cr2"]);
    near(t.df_bm, &e["df_bm"]);
    near(t.p1_cr2(), &e["p1_cr2"]);
    near(t.p2_cr2(), &e["p2_cr2"]);
}

fn check_day_scores(example: &Value) {
    let input = &example["input"];
    let (bars, cost) = (input["H"].as_u64().unwrap() as u32, number(&input["cost"]));
    let mut days: BTreeMap<i64, DaySum> = BTreeMap::new();
    for event in list(&input["events_day_r_sigma"]) {
        let event = numbers(event);
        let scale = inverse_scale(event[2], bars).unwrap();
        let day = event[0] as i64;
        days.entry(day).or_insert(DaySum::new(day as i32)).add(event[1], cost, scale);
    }
    for ((day, score), (gross, net)) in
        days.iter().zip(list(&example["expected_gross"]).iter().zip(list(&example["expected_net"])))
    {
        assert_eq!(*day, gross["day"].as_i64().unwrap());
        near(score.z, &gross["z"]);
        near(score.z - score.z_cost, &net["z"]);
        near(score.weight, &gross["W"]);
        near(f64::from(score.n), &gross["k"]);
    }
}

fn check_day_score_t(example: &Value) {
    let t = day_score_t(&numbers(&example["input"])).unwrap();
    let e = &example["expected"];
    near(t.mean, &e["mean"]);
    near(t.sd, &e["sd"]);
    near(t.t, &e["t"]);
    near(t.df, &e["df"]);
    near(t.p1, &e["p1"]);
}

fn lab() -> MixParams {
    let bets = Bets {
        loss_clips: [6.0; MAX_BETS],
        gain_caps: [f64::INFINITY; MAX_BETS],
        ..Bets::new(&[0.02, 0.04, 0.07, 0.11, 0.155], 0.93, 1.0)
    };
    MixParams {
        sym_weights: [0.1; 2],
        rho: 10.0,
        bets: [bets; 2],
        score_cap: f64::INFINITY,
        scale_decay: 0.98,
        scale_prior: 5.0,
    }
}

fn check_sym(example: &Value) {
    let rho = number(&example["input"]["rho"]);
    let (mut scale, mut s, mut v, mut sup) = (RunningScale::new(5.0), 0.0, 0.0, 0.0f64);
    for (z, e) in numbers(&example["input"]["z"]).into_iter().zip(list(&example["expected"])) {
        let known = scale.step(z, 0.98);
        let u = z / known;
        s += u;
        v += u * u;
        sup = sup.max(sym_log_e(s, v, rho));
        near(known, &e["scale"]);
        near(u, &e["u"]);
        near(s, &e["S"]);
        near(v, &e["V"]);
        near(sym_log_e(s, v, rho), &e["log_e_pos"]);
        near(sym_log_e(-s, v, rho), &e["log_e_neg"]);
        near(sup, &e["log_sup_pos"]);
        near(libm::exp(-sup), &e["p_anytime_pos"]);
    }
}

fn check_bet(example: &Value) {
    let p = lab();
    let mut process = SignProcesses::<1>::new(&p);
    for (z, e) in numbers(&example["input"]["z"]).into_iter().zip(list(&example["expected_log_e"])) {
        process.step([z], &p);
        near(process.sign(0).log_e_bet(), e);
    }
}

fn check_mix(input: &Value, expected: &Value) {
    let p = lab();
    let (mut pos, mut neg) = (SignProcesses::<1>::new(&p), SignProcesses::<1>::new(&p));
    for (z, e) in numbers(&input["z"]).into_iter().zip(list(expected)) {
        pos.step([z], &p);
        neg.step([-z], &p);
        let (pos, neg) = (pos.sign(0), neg.sign(0));
        near(pos.log_e(&p), &e["log_e_pos"]);
        near(neg.log_e(&p), &e["log_e_neg"]);
        near(pos.log_sup(), &e["log_sup_pos"]);
        near(neg.log_sup(), &e["log_sup_neg"]);
        let pair = log_add(pos.log_e(&p), neg.log_e(&p)) - std::f64::consts::LN_2;
        // The pair's logarithm passes near zero, where both implementations cancel: absolute there.
        assert!((pair - number(&e["log_e_pair"])).abs() < 1e-13, "{pair}");
        near(pos.p_any(), &e["p_any_pos"]);
        near(neg.p_any(), &e["p_any_neg"]);
    }
}

fn check_degenerate(example: &Value) {
    let p = lab();
    let mut running = SignProcesses::<1>::new(&p);
    let fresh = running.sign(0);
    assert!(fresh.log_e(&p).abs() < 1e-15, "{}", number(&example["empty"]["log_e"]));
    near(pair_p(fresh.p_any(), fresh.p_any()), &example["empty"]["p"]);
    let zeros = &example["zeros"];
    for e in list(&zeros["expected"]) {
        assert_eq!(number(&e["log_e_pos"]), 0.0);
    }
    for z in numbers(&zeros["z"]) {
        running.step([z], &p);
        let process = running.sign(0);
        assert!(process.log_e(&p).abs() < 1e-15 && process.log_sup() == 0.0 && process.p_any() == 1.0);
    }
}

fn check_step_up(example: &Value, adjust: fn(&[f64], usize) -> Vec<f64>) {
    let p = numbers(&example["input"]["p"]);
    let q = number(&example["input"]["q"]);
    let adjusted = adjust(&p, p.len());
    all_near(&adjusted, &example["adjusted"]);
    let reject: Vec<bool> = adjusted.iter().map(|a| *a <= q).collect();
    assert_eq!(reject, flags(&example["reject"]));
}

fn check_fixed_m(example: &Value) {
    let p = numbers(&example["input"]["p"]);
    let m = example["input"]["m"].as_u64().unwrap() as usize;
    all_near(&bh_adjust(&p, m), &example["adjusted"]);
    assert_eq!(bh_reject(&p, m, number(&example["input"]["q"])).1, flags(&example["reject"]));
}

fn check_per_group(example: &Value) {
    let groups: BTreeMap<String, Vec<f64>> = serde_json::from_value(example["input"].clone()).unwrap();
    for (name, reject) in bh_per_group(&groups, number(&example["q"])) {
        assert_eq!(reject, flags(&example["reject"][name]));
    }
}

fn check_bb(input: &Value, expected: &Value, q: f64) {
    let input: BTreeMap<String, Vec<f64>> = serde_json::from_value(input.clone()).unwrap();
    let p: Vec<f64> = input.values().flatten().copied().collect();
    let members = input.values().enumerate().flat_map(|(g, p)| vec![g; p.len()]).collect();
    let groups = Groups { members, sizes: input.values().map(Vec::len).collect() };
    let got = grouped_bb(&p, &groups, q);
    near(got.level_within, &expected["level_within"]);
    let mut rejected = got.rejected.iter();
    for (g, (name, members)) in input.iter().enumerate() {
        near(got.simes[g], &expected["simes"][name]);
        let named = list(&expected["selected"]).iter().any(|s| s == name);
        assert_eq!(got.selected[g], named, "{name}");
        let inside: Vec<bool> = rejected.by_ref().take(members.len()).copied().collect();
        assert_eq!(inside, flags(&expected["rejected"][name]), "{name}");
    }
    let by_level: Vec<bool> = grouped_bb_adjust(&p, &groups).into_iter().map(|a| a <= q).collect();
    assert_eq!(by_level, got.rejected);
}

fn check_ebh(example: &Value) {
    let e = numbers(&example["input"]["e"]);
    let q = number(&example["input"]["q"]);
    for (m, expected) in [(e.len(), &example["expected"]), (20, &example["expected_m20"])] {
        let (k, threshold, reject) = ebh_reject(&e, m, q);
        assert_eq!(k as u64, expected["k"].as_u64().unwrap());
        near(threshold, &expected["threshold"]);
        assert_eq!(reject, flags(&expected["reject"]));
        let by_level: Vec<bool> = ebh_adjust(&e, m).into_iter().map(|a| a <= q).collect();
        assert_eq!(by_level, reject);
    }
}

fn check_shrinkage(example: &Value) {
    let input = &example["input"];
    let parent = number(&input["parent"]);
    let n = numbers(&input["n"]);
    let children: Vec<Child> = numbers(&input["mean"])
        .into_iter()
        .zip(numbers(&input["se"]))
        .map(|(mean, se)| Child { mean, se })
        .collect();
    // The example is of the estimate by moments.
    let tau2 = moment_variance(&children, parent);
    let e = &example["expected"];
    near(tau2, &e["tau2"]);
    for (i, child) in children.iter().enumerate() {
        let got = shrink(*child, parent, tau2);
        near(got.weight, &e["w"][i]);
        near(got.mean, &e["shrunk"][i]);
        near(got.sd, &e["post_sd"][i]);
        match e["lam"][i].as_f64() {
            Some(_) => near(lambda(n[i], child.se, tau2), &e["lam"][i]),
            None => assert_eq!(lambda(n[i], child.se, tau2), f64::INFINITY),
        }
    }
}

fn check_fixed_shrinkage(example: &Value) {
    let input = &example["input"];
    let got: Vec<f64> = numbers(&input["n"])
        .into_iter()
        .zip(numbers(&input["mean"]))
        .map(|(n, mean)| fixed_shrink(n, mean, number(&input["parent"]), number(&input["lam"])))
        .collect();
    all_near(&got, &example["shrunk"]);
}

fn check_lower(input: &Value, expected: &Value, repeats: usize) {
    let p = MixParams { rho: number(&input["rho"]), ..lab() };
    let mut bound = LowerBound::new(number(&input["alpha"]), &p);
    for _ in 0..repeats {
        for (z, w) in numbers(&input["z"]).into_iter().zip(numbers(&input["W"])) {
            bound.step(z, w, &p);
        }
    }
    near(bound.get().unwrap(), expected);
}

fn check_retire(example: &Value) {
    let input = &example["input"];
    let mut detector = RetireDetector::new(&numbers(&input["lams"]), number(&input["clip"]), &lab());
    let got: Vec<f64> = numbers(&input["z"])
        .into_iter()
        .zip(numbers(&input["W"]))
        .map(|(z, w)| detector.step(z, w, number(&input["m"])))
        .collect();
    all_near(&got, &example["expected"]);
}

fn check_weighted(example: &Value) {
    let input = &example["input"];
    let weighed = weigh(&numbers(&input["p"]), &numbers(&input["w"]));
    let (k, reject) = bh_reject(&weighed, input["m"].as_u64().unwrap() as usize, number(&input["q"]));
    assert_eq!(k as u64, example["expected"]["k"].as_u64().unwrap());
    assert_eq!(reject, flags(&example["expected"]["reject"]));
}

fn check_ash(example: &Value) {
    let input = &example["input"];
    let effects: Vec<(f64, f64)> = numbers(&input["b"]).into_iter().zip(numbers(&input["s"])).collect();
    let iterations = input["em_iterations"].as_u64().unwrap() as u32;
    let prior = ash_fit(&effects, &numbers(&input["grid"]), number(&input["lambda0"]), iterations);
    all_near(&prior.pi, &example["pi"]);
    for ((b, s), e) in effects.iter().zip(list(&example["posterior"])) {
        let got = prior.posterior(*b, *s);
        near(got.mean, &e["post_mean"]);
        near(got.sd, &e["post_sd"]);
        near(got.p_pos, &e["p_pos"]);
        near(got.p_zero, &e["p_zero"]);
        near(got.lfsr(), &e["lfsr"]);
        all_near(&prior.weights(*b, *s), &e["weights"]);
    }
}

fn check_effective_se(example: &Value) {
    let (i, e) = (&example["input"], &example["expected"]);
    let (mean, t, df) = (number(&i["mean"]), number(&i["t"]), number(&i["df"]));
    near(t_sf(t, df), &e["p1"]);
    near(normal_isf(t_sf(t, df)), &e["z"]);
    near(t_to_effective_se(mean, t, df).unwrap(), &e["se_eff"]);
}

fn check_seed_shrinkage(example: &Value) {
    let i = &example["input"];
    let children: Vec<(f64, f64, f64)> = numbers(&i["n"])
        .into_iter()
        .zip(numbers(&i["mean"]))
        .zip(numbers(&i["sd"]))
        .map(|((n, mean), sd)| (n, mean, sd))
        .collect();
    let got = seed_shrinkage(&children);
    let e = &example["expected"];
    near(got.within, &e["sigma2_w"]);
    near(got.mean, &e["mu"]);
    near(got.between, &e["sigma2_b"]);
    near(got.lambda, &e["lam"]);
    all_near(&got.weights, &e["w"]);
    all_near(&got.shrunk, &e["theta"]);
    all_near(&got.t, &e["t"]);
    all_near(&got.p2, &e["p2"]);
}

fn check_seed_two_stage(example: &Value) {
    let input: BTreeMap<String, Vec<f64>> = serde_json::from_value(example["input"].clone()).unwrap();
    let q = number(&example["q"]);
    let families: Vec<Vec<f64>> = input.values().cloned().collect();
    let got = seed_two_stage(&families, q);
    let e = &example["expected"];
    for (g, name) in input.keys().enumerate() {
        near(got.simes[g], &e["simes"][name]);
        near(got.q_family[g], &e["q_family"][name]);
        all_near(&got.q[g], &e["q"][name]);
    }
    check_bb(&example["input"], &example["bb_corrected"], q);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    list(value).iter().map(|v| v.as_bool().unwrap()).collect()
}

#[track_caller]
fn near(got: f64, expected: &Value) {
    let expected = number(expected);
    assert!((got - expected).abs() <= 1e-9 * expected.abs(), "got {got}, expected {expected}");
}

#[track_caller]
fn all_near(got: &[f64], expected: &Value) {
    let expected = list(expected);
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).for_each(|(g, e)| near(*g, e));
}
