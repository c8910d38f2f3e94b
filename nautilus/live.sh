#!/usr/bin/env bash
# A live node of NautilusTrader beside a daemon on the simulated exchange, at 300 times the speed of time: a version is swapped
# between bars, the daemon and the node are killed and started again, and what the node did is held against what the daemon sent.
#   nautilus/live.sh swap PATH_OF_BACKTESTD PYTHON LIKE     in an empty folder; LIKE is a directory of blueprints to take a line from
#   nautilus/live.sh recompute PATH_OF_BACKTESTD PYTHON     the daemon's own runs make the versions: one by its schedule at midnight, one
#                                                           because the specs were edited, which retires a rule; at 600 times the speed
#   nautilus/live.sh latency PATH_OF_BACKTESTD PYTHON LIKE  from the close of a bar to the callback, at the speed of time
set -euo pipefail
what=$1 backtestd=$2 python=$3 like=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
export BACKTESTD_SPEC=${BACKTESTD_SPEC:-$here/../spec}
socket=state/backtestd.sock
started=()
touch journal
trap 'kill -KILL "${started[@]}" 2>/dev/null || true' EXIT

exchange() { # SPEED START [more flags]
  : >exchange.log
  "$backtestd" exchange --listen 127.0.0.1:0 --seed 1 --speed "$1" --start "$2" "${@:3}" >exchange.log 2>&1 &
  started+=($!)
  for _ in $(seq 100); do
    url=$(grep -o 'http://127.0.0.1:[0-9]*' exchange.log | head -n 1) && return
    sleep 0.1
  done
  cat exchange.log
  return 1
}

collect=funding,open_interest history=10d recompute=off
daemon() { # SPEED
  local ws=${url/http/ws} grace=$((400 * $1 + 2000))
  "$backtestd" run --symbols BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,DOGEUSDT --spot-symbols BTCUSDT,ETHUSDT,SOLUSDT \
    --collect $collect --start $history --recompute $recompute --grace-ms $((grace < 200000 ? grace : 200000)) --clock-source exchange \
    --clock-speed "$1" --data-root data --state state --binance-futures-rest "$url" --binance-futures-ws "$ws" \
    --binance-spot-rest "$url" --binance-spot-ws "$ws/spot" >>daemon.log 2>&1 &
  daemon=$!
  started+=($daemon)
  for _ in $(seq 1200); do
    if "$backtestd" status --state state 2>/dev/null | grep -q '^state *live'; then return; fi
    kill -0 $daemon || break
    sleep 0.25
  done
  tail -n 20 daemon.log
  return 1
}

versions=data/blueprints
node() { # SECONDS LOG
  "$python" "$here/examples/sandbox.py" --exchange "$url" --socket "$socket" --blueprints "$versions" --position position \
    --state node.json --journal journal --seconds "$1" >"$2" 2>&1 &
  node=$!
  started+=($node)
  local before
  before=$(grep -c '"kind": "start"' journal || true)
  for _ in $(seq 240); do
    if [ "$(grep -c '"kind": "start"' journal || true)" -gt "$before" ]; then return; fi
    kill -0 $node || break
    sleep 0.25
  done
  tail -n 20 "$2"
  return 1
}

# Waits for what the market brings when it does.
wait_for() { # SECONDS COMMAND
  local seconds=$1
  shift
  for _ in $(seq "$seconds"); do if "$@"; then return; fi; sleep 1; done
  echo "not seen within $seconds s: $*"
}
are_open() { [ $(($(grep -c '"kind": "opened"' journal) - $(grep -c '"kind": "closed"' journal))) -ge "$1" ]; }
are_seen() { [ "$(grep "\"kind\": \"$1\"" journal | grep -c "${3:-}" || true)" -ge "$2" ]; }
is_after() { [ "$(readlink data/blueprints/current)" != "$1" ]; }
is_refused() { grep -q 'retired before the entry' journal; }

# The stream as the daemon has it, from its first entry on; it never ends, so that it is cut.
whole_stream() {
  for seconds in 3 10 30; do
    curl -sSN --max-time "$seconds" --unix-socket "$socket" -H 'Last-Event-ID: 0' http://localhost/v1/signals >stream 2>curl.log || true
    if grep -q '^id:' stream; then return; fi
  done
  echo "the daemon shows no entry of its stream within 30 s: $(head -n 3 curl.log stream)"
  kill -0 "$daemon" || echo "the daemon has ended"
  tail -n 20 daemon.log
  return 1
}

now_ms() { curl -sf "$url/fapi/v1/time" | grep -oE '[0-9]+'; }

case $what in
  swap)
    "$python" "$here/parity/make_version.py" --like "$like" --spec "$BACKTESTD_SPEC" --out data/blueprints
    # The node has a copy of its own: a daemon takes a version that it sees, and would send nothing that the node is to refuse.
    versions=copy
    cp -a data/blueprints $versions
    exchange 300 2025-02-10
    daemon 300
    node 600 first.log
    sleep 15
    wait_for 120 are_open 3
    # Half of the rules are retired, and the others have a stop from now on. The daemon is told when it starts again.
    "$python" "$here/parity/make_version.py" --like "$like" --spec "$BACKTESTD_SPEC" --out $versions --number 2 --retire 2 --stop 40
    swapped=$(now_ms)
    sleep 12
    wait_for 120 is_refused
    kill -KILL $daemon
    wait $daemon 2>/dev/null || true
    rm -r data/blueprints
    cp -a $versions data/blueprints
    daemon 300
    sleep 15
    kill -KILL $node
    wait $node 2>/dev/null || true
    node 20 second.log
    sleep 16
    until=$(now_ms)
    wait $node || true
    whole_stream
    grep -E '^(stream|entries|trades|after)' second.log
    "$python" "$here/parity/check_live.py" --journal journal --stream stream --exchange "$url" --blueprints $versions \
      --swapped-ms "$swapped" --until-ms "$until"
    ;;
  recompute)
    # Edges that a hundred days suffice for, on two event types; no faults.
    "$backtestd" exchange --print-scenario | sed -e '/^  - id: flush/,/^    drift_bps/d' -e '/^faults:/,$d' \
      -e 's/injected_per_10k: 36/injected_per_10k: 72/' -e 's/injected_per_10k: 20/injected_per_10k: 60/' \
      -e 's/drift_bps: 37/drift_bps: 90/' >scenario.yaml
    echo 'faults: []' >>scenario.yaml
    cp -r "$BACKTESTD_SPEC" spec
    export BACKTESTD_SPEC=$PWD/spec
    collect=funding history=105d recompute=1d
    exchange 600 2025-04-24T14:00:00Z --scenario scenario.yaml
    daemon 600
    wait_for 60 test -e data/blueprints/current
    first=$(readlink data/blueprints/current)
    node 900 first.log
    wait_for 150 are_seen opened 1
    # The daemon looks again when a day has closed, and what it finds is another version.
    wait_for 200 is_after "$first"
    second=$(readlink data/blueprints/current)
    wait_for 150 are_seen opened 1 "$second"
    # An event that is another one from now on, and too rare to be found: what was published on it has ended.
    sed -i 's/tq(rsurp, 0.995)/tq(rsurp, 0.9999)/' spec/events/vol_spike.yaml
    wait_for 60 is_after "$second"
    third=$(readlink data/blueprints/current)
    wait_for 150 are_seen opened 1 "$third"
    sleep 10
    until=$(now_ms)
    kill -INT $node
    wait $node || true
    whole_stream
    grep -E 'discovery (starts|finished)' daemon.log | grep -oE 'reason="[a-z ]*"|version="v[0-9]*"' | paste -sd' '
    "$python" "$here/parity/check_live.py" --journal journal --stream stream --exchange "$url" --blueprints data/blueprints \
      --own --until-ms "$until"
    ;;
  latency)
    "$python" "$here/parity/make_version.py" --like "$like" --spec "$BACKTESTD_SPEC" --out data/blueprints
    # The bar after the Tokyo open is an event of every symbol: it closes at 00:05, eighty seconds after the start.
    exchange 1 2025-02-10T00:03:40Z
    daemon 1
    node 100 node.log
    wait $node || true
    grep -E '^(entries|after)' node.log
    grep -qE '^after .*: signal n [0-9]+' node.log
    ;;
  *) echo "usage: nautilus/live.sh swap|recompute|latency PATH_OF_BACKTESTD PYTHON LIKE" && exit 2 ;;
esac
