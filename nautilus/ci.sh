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
if ! "$venv/bin/pip" install --quiet "$here[test]" >"$work/pip.log" 2>&1; then
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
"$backtestd" demo --days "${NAUTILUS_CI_DAYS:-120}" --exit-after 2 >demo.log 2>&1 || { tail -n 20 demo.log; exit 1; }

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
done

compare() { # NAME STATE [flags of make_version]
  local name=$1 state=$2
  shift 2
  "$python" "$here/parity/make_version.py" --like data/demo/blueprints --out "$name/blueprints" "$@"
  "$backtestd" export nautilus --out "$name/catalog" --state "$state" --data-root "$name" >"$name/export.log"
  echo "== $name: $(tail -n 1 "$name/export.log")"
  local path=()
  case " $* " in *" --adaptive "*) path=(--adaptive) ;; esac
  local rc=0
  "$python" "$here/examples/backtest.py" --catalog "$name/catalog" --blueprints "$name/blueprints" --take "" "${path[@]}" \
    >"$name/backtest.log" || rc=$?
  cat "$name/backtest.log"
  # Without a barrier every trade is equal. With them a few in ten thousand leave at another bar than ours and are not explained
  # yet (nautilus/README.md): they are printed, and more than one in a thousand fails.
  case " $* " in
    *" --stop "*)
      local differ compared
      differ=$(grep -c '^ *DIFFERS' "$name/backtest.log" || true)
      compared=$(grep -oE '^[0-9]+ trades compared' "$name/backtest.log" | grep -oE '^[0-9]+')
      [ "$rc" -eq 0 ] || { [ "$rc" -eq 3 ] && [ $((differ * 1000)) -le "$compared" ]; }
      ;;
    *) [ "$rc" -eq 0 ] ;;
  esac
}
compare ordinary state/demo
compare barriers state/demo --stop 120 --target 150
compare gappy gappy
compare gappy-barriers gappy --stop 120 --target 150 --adaptive

# A live node beside the daemon, stopped and started again: it goes on with the next entry of the stream and loses none.
"$backtestd" demo --keep-running --days 40 --speed 300 --exit-after 1 --data-root live/data --state live/state >live.log 2>&1 &
demo=$!
trap 'kill -INT $demo 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  if grep -q "The daemon keeps running" live.log; then break; fi
  kill -0 $demo 2>/dev/null || { tail -n 20 live.log; exit 1; }
  sleep 1
done
url=$(grep -o 'http://127.0.0.1:[0-9]*' live.log | head -n 1)
node() {
  "$python" "$here/examples/sandbox.py" --exchange "$url" --socket live/state/demo/backtestd.sock \
    --blueprints live/data/demo/blueprints --position live/position --seconds "$1" >"$2"
  grep -E '^(stream|entries|signals|trades)' "$2"
}
echo "== live"
node 30 first.log
last=$(cat live/position)
node 15 second.log
grep -q "^entries $((last + 1)) to " second.log || { echo "the second node did not go on after entry $last"; exit 1; }
