#!/usr/bin/env bash
# roll_out.sh VERSION: on the host, make a version that was uploaded into releases/VERSION the running one.
#
# The folder around holds .env and secrets (made once by `make env`), docker-compose.override.yml where there is
# one, a folder for each release and the link `current`. Which files Compose reads, and how often each service
# runs, is up to COMPOSE_FILE and CARILLON_…_REPLICAS in .env. A version counts when every container is healthy and the gateway says that it is ready; otherwise
# the one before comes back, and this ends with 1. Migrations are not undone: see CONTRIBUTING.md.
set -euo pipefail

version=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wait_s=${ROLL_OUT_WAIT_S:-300}
keep=5 # releases, to go back to

if [[ ! -f .env ]]; then
  echo "There is no $PWD/.env: make it with \`make env\`." >&2
  exit 2
fi

compose() { # compose VERSION ARGUMENTS…
  (cd "releases/$1" && shift && CARILLON_IMAGE=$(< image) docker compose "$@")
}

is_ready() { # is_ready VERSION
  local deadline=$((SECONDS + wait_s)) address
  address=$(compose "$1" port proxy 8000) || return 1
  until curl --fail --silent --show-error --max-time 10 --output /dev/null "http://127.0.0.1:${address##*:}/ready"; do
    ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

run() { # run VERSION
  ln --symbolic --force --no-dereference ../../.env "releases/$1/.env"
  ln --symbolic --force --no-dereference ../../secrets "releases/$1/secrets"
  if [[ -f docker-compose.override.yml ]]; then
    ln --symbolic --force --no-dereference ../../docker-compose.override.yml "releases/$1/docker-compose.override.yml"
  fi
  compose "$1" pull --quiet &&
    compose "$1" up --detach --no-build --remove-orphans --wait --wait-timeout "$wait_s" &&
    is_ready "$1"
}

previous=
[[ -L current ]] && previous=$(basename "$(readlink current)")

if run "$version"; then
  ln --symbolic --force --no-dereference "releases/$version" current
  echo "$version is running."
  find releases -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort --numeric-sort --reverse |
    awk -v keep="$keep" -v running="$version" 'NR > keep && $2 != running { print $2 }' |
    while read -r old; do rm --recursive --force "releases/$old"; done
  exit 0
fi

echo "$version does not get healthy." >&2
compose "$version" ps --all >&2 || true
if [[ -z $previous || $previous == "$version" ]]; then
  echo "There is no version before it to go back to." >&2
elif run "$previous"; then
  echo "Back on $previous." >&2
else
  echo "Going back to $previous failed, too." >&2
fi
exit 1
