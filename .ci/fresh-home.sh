# Sourced by .ci/run and tests/fresh.sh.

# use_fresh_home DIR makes DIR the HOME, with empty caches of Go, npm and pip. Their settings stay the user's: they name registries.
use_fresh_home() {
  local pip=${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf
  GOENV=$(go env GOENV)
  export GOENV NPM_CONFIG_USERCONFIG=${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc}
  if [[ -z ${PIP_CONFIG_FILE:-} && -f $pip ]]; then export PIP_CONFIG_FILE=$pip; fi
  unset XDG_CACHE_HOME XDG_CONFIG_HOME PIP_CACHE_DIR NPM_CONFIG_CACHE npm_config_cache GOPATH
  export HOME=$1 GOPATH=$1/go GOMODCACHE=$1/go/pkg/mod GOCACHE=$1/.cache/go-build # whatever GOENV says
}

# remove DIR removes a folder, read-only ones in it too, such as Go's module cache.
remove() {
  chmod -R u+w "$1"
  rm -rf "$1"
}
