#!/usr/bin/env bash
# Measures the README's commands on a fresh machine: a clone of the last commit, an empty HOME and empty caches.
# Port 3000 must be free. TESTS=0 skips the tests.
set -euo pipefail
set -m # background commands lead process groups, as in a terminal

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
. "$root/.ci/fresh-home.sh"
work=$(mktemp -d)
stack= # the process group of go tool mage run

clean_up() {
  stop
  remove "$work"
}
trap clean_up EXIT

# measure prints the seconds that a command takes.
measure() {
  local name=$1 start=$SECONDS code=0
  shift
  "$@" >"$work/output" 2>&1 || code=$?
  printf '%-50s %4d s\n' "$name" $((SECONDS - start))
  if ((code)); then
    cat "$work/output"
    exit "$code"
  fi
}

# first_response starts the stack and waits until the API responds.
first_response() {
  go tool mage run &
  stack=$!
  until curl --silent --fail --output /dev/null http://127.0.0.1:3000/prod/users; do
    kill -0 "$stack" || return 1
    sleep 0.02
  done
}

# stop ends the stack, if it runs, as Ctrl-C does.
stop() {
  if [[ -n $stack ]]; then
    kill -INT -- "-$stack" 2>/dev/null || true
    wait "$stack" || true
    stack=
  fi
}

git clone --quiet "$root" "$work/clone"
cd "$work/clone"
mkdir "$work/home"
use_fresh_home "$work/home"
measure "go tool mage -l, nothing cached" go tool mage -l
measure "go tool mage run to the first response, cold" first_response
stop
measure "go tool mage run to the first response, again" first_response
stop
if [[ ${TESTS:-1} != 0 ]]; then
  measure "go tool mage test, after mage run" go tool mage test
  measure "go tool mage test, again" go tool mage test
fi
