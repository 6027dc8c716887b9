#!/usr/bin/env bash
# Measures the README's commands on a fresh machine: a clone of the last commit, an empty HOME and empty caches.
# The port 3000 must be free. TESTS=0 leaves out the tests.
set -euo pipefail
set -m # background commands lead process groups, as in a terminal

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
work=$(mktemp -d)
run= # the process id of go tool mage run

clean_up() {
  if [[ -n $run ]]; then stop; fi
  chmod -R u+w "$work" # Go's module cache is read-only
  rm -rf "$work"
}
trap clean_up EXIT

git clone --quiet "$root" "$work/clone"
cd "$work/clone"
export GOENV NPM_CONFIG_USERCONFIG=${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc} # they name registries
GOENV=$(go env GOENV)
unset GOCACHE GOMODCACHE GOPATH PIP_CACHE_DIR NPM_CONFIG_CACHE npm_config_cache XDG_CACHE_HOME XDG_CONFIG_HOME
mkdir "$work/home"
export HOME=$work/home

# measure prints how long a command takes.
measure() {
  local name=$1 start=$EPOCHREALTIME code=0
  shift
  "$@" >"$work/output" 2>&1 || code=$?
  printf '%-50s %6.1f s\n' "$name" "$(bc -l <<<"$EPOCHREALTIME - $start")"
  if ((code)); then
    cat "$work/output"
    exit "$code"
  fi
}

# first_response starts the stack and waits until the API responds.
first_response() {
  go tool mage run &
  run=$!
  until curl --silent --fail --output /dev/null http://127.0.0.1:3000/prod/users; do
    kill -0 "$run" || return 1
    sleep 0.02
  done
}

# stop ends the stack as Ctrl-C does.
stop() {
  kill -INT -- "-$run"
  wait "$run" || true
  run=
}

measure "go tool mage -l, nothing cached" go tool mage -l
measure "go tool mage run to the first response, cold" first_response
stop
measure "go tool mage run to the first response, again" first_response
stop
if [[ ${TESTS:-1} != 0 ]]; then
  measure "go tool mage test, after mage run" go tool mage test
  measure "go tool mage test, again" go tool mage test
fi
