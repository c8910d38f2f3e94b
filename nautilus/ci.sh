#!/usr/bin/env bash
# NautilusTrader's real engine against the daemon's own simulation, trade by trade: on ordinary, gappy and halted data, with
# and without stop and target. In a venv of its own; says so and ends well where the registry cannot be reached.
#   nautilus/ci.sh PATH_OF_BACKTESTD
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
backtestd=$(realpath "${1:?usage: nautilus/ci.sh PATH_OF_BACKTESTD}")
work=${NAUTILUS_CI_DIR:-$here/../target/nautilus-ci}
mkdir -p "$work"
work=$(realpath "$work")

python=
for candidate in python3.13 python3.12 python3; do
  if "$candidate" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ] && command -v pyenv >/dev/null; then
  for version in $(pyenv versions --bare | grep -E '^3\.1[32]' | sort -rV); do
    python=$(PYENV_VERSION=$version pyenv which python) && break
  done
fi
if [ -z "$python" ]; then echo "skipped: nautilus/ci.sh needs Python 3.12 or 3.13"; exit 0; fi
venv=$work/venv
if [ ! -x "$venv/bin/python" ]; then "$python" -m venv "$venv"; fi
if ! "$venv/bin/python" -m pip install --quiet "$here[test]" >"$work/pip.log" 2>&1; then
  echo "skipped: NautilusTrader cannot be installed here: $(tail -n 1 "$work/pip.log")"
  exit 0
fi
python=$venv/bin/python
"$python" -m pytest --quiet -W ignore "$here/tests"

# Files are the programs' own: the run is made anew each time.
rm -rf "$work/run"
mkdir -p "$work/run"
cd "$work/run"
export BACKTESTD_SPEC=$here/../spec
"$backtestd" demo --days "${NAUTILUS_CI_DAYS:-240}" --exit-after 2 >demo.log 2>&1 || { tail -n 20 demo.log; exit 1; }

# What the demo itself has published.
"$backtestd" export nautilus --out catalog --state state/demo --data-root data/demo >export.log
"$backtestd" export nautilus --out catalog --state state/demo --data-root data/demo >again.log
if grep -vE ' 0 added, 0 written anew|^v[0-9]+: ' again.log; then echo "a second export must add nothing"; exit 1; fi
"$python" -m backtestd_nautilus doctor --catalog catalog --blueprints data/demo/blueprints
echo "== the demo's version"
"$python" "$here/examples/backtest.py" --catalog catalog --blueprints data/demo/blueprints

# Bars with holes and halts, in a store of their own.
"$backtestd" export lake --state state/demo --data-root data/demo >/dev/null 2>&1
"$python" "$here/parity/make_gaps.py" data/demo/lake/raw/perp holes
for folder in holes/*/; do
  "$backtestd" import --state gappy --market perp --kind klines --symbol "$(basename "$folder")" "$folder" >/dev/null 2>&1
  "$backtestd" import --state gappy --market perp --kind funding "data/demo/lake/raw/perp/$(basename "$folder")/funding" >/dev/null 2>&1
done

# Versions of what the demo has found, with every event type, and their catalogs: one after another, since a store has one owner.
prepare() { # NAME STATE [flags of make_version]
  local name=$1 state=$2
  shift 2
  "$python" "$here/parity/make_version.py" --like data/demo/blueprints --out "$name/blueprints" "$@"
  "$backtestd" export nautilus --out "$name/catalog" --state "$state" --data-root "$name" >"$name/export.log"
}
prepare ordinary state/demo
prepare barriers state/demo --stop 120 --target 150
prepare gappy gappy
prepare gappy-barriers gappy --stop 120 --target 150 --adaptive

compare() { # NAME [flags of backtest.py]
  echo "== $1: $(tail -n 1 "$1/export.log")"
  "$python" "$here/examples/backtest.py" --catalog "$1/catalog" --blueprints "$1/blueprints" --take "" "${@:2}"
}

# An account of 60, which is small enough for it: orders in whole steps, stops and targets on ticks, and what is too small for the exchange.
account() {
  echo "== barriers, as an account: quantities, prices, gains, and what is not placed"
  "$backtestd" simulate --state state/demo --data-root barriers --uncapped --equity 60 --trades barriers/account.jsonl >barriers/account.log
  head -n 3 barriers/account.log
  "$python" "$here/examples/backtest.py" --catalog barriers/catalog --blueprints barriers/blueprints --take "" --size blueprint \
    --equity 60 --uncapped --account barriers/account.jsonl
}

# A live node beside the daemon.
live() { # PART [LIKE]
  echo "== live: $1"
  mkdir "$1"
  (cd "$1" && "$here/live.sh" "$1" "$backtestd" "$python" "${@:2}")
}

# Lanes side by side: an engine has one core, and what is live waits for the clock most of the time. A lane is a process group.
lanes=()
lane() { # NAME COMMANDS
  set -m
  (set -e; eval "$2") >"$1.log" 2>&1 &
  lanes+=("$1 $!")
  set +m
}
trap 'for lane in "${lanes[@]}"; do kill -TERM -- "-${lane##* }" 2>/dev/null || true; done' EXIT
like=$PWD/data/demo/blueprints
lane latency 'live latency "$like"'
lane nodes 'live swap "$like"; live recompute'
lane plain 'compare ordinary; compare gappy'
lane bounded 'compare barriers; compare gappy-barriers --adaptive; account'
failed=0
for lane in "${lanes[@]}"; do
  wait "${lane##* }" || { echo "failed: ${lane%% *}"; failed=1; }
  cat "${lane%% *}.log"
done
exit $failed
