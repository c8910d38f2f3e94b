#!/usr/bin/env bash
# Other people's clients against the simulated exchange: ccxt, ccxt.pro, python-binance, binance-connector,
# binance-futures-connector and the official SDK for USD-M futures. Each fetches the same days of bars, funding and open
# interest, follows streams, pages and meets errors; every bar must be the one that our own client stored.
#
# Usage: tests/clients/run.sh [path of the backtestd binary]. Needs python3 with venv; where the registry cannot be
# reached it says so and passes.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-target/debug/backtestd}
home=${BACKTESTD_CLIENTS:-target/clients}
here=tests/clients
mkdir -p "$home"

skip() { echo "skipped: $*"; exit 0; }
command -v python3 >/dev/null || skip "no python3"

# Three environments: the last three of these libraries share the name of a package.
for env in ccxt spot futures; do
  stamp=$home/$env/stamp
  if ! cmp -s "$here/$env.txt" "$stamp" 2>/dev/null; then
    rm -rf "${home:?}/$env"
    python3 -m venv "$home/$env" >/dev/null || skip "python3 has no venv"
    timeout 400 "$home/$env/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 15 \
      -r "$here/$env.txt" || skip "the clients of $here/$env.txt cannot be installed here"
    cp "$here/$env.txt" "$stamp"
  fi
done

work=$(mktemp -d "$home/run.XXXXXX")
# 30 virtual seconds a real one: a bar lasts ten seconds.
"$bin" exchange --listen 127.0.0.1:0 --seed 7 --speed 30 --scenario "$here/scenario.yaml" --json >"$work/exchange.json" &
exchange=$!
trap 'kill $exchange 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -s "$work/exchange.json" ] && break; sleep 0.1; done
[ -s "$work/exchange.json" ] || { echo "the exchange did not start"; exit 1; }

export PYTHONPATH=$here PYTHONUNBUFFERED=1 CLIENTS_WORK=$work CLIENTS_BINARY=$bin
"$home/ccxt/bin/python" "$here/ours.py"
failed=0
for check in "ccxt check_ccxt" "ccxt check_python_binance" "spot check_spot_connector" \
  "futures check_futures_connector" "futures check_sdk"; do
  set -- $check
  timeout 120 "$home/$1/bin/python" "$here/$2.py" || { echo "$2 failed"; failed=1; }
done
exit $failed
