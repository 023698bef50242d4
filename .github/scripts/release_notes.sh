#!/usr/bin/env bash
# release_notes.sh VERSION: what CHANGELOG.md says of a version. Fails where it says nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$1
notes=$(awk -v heading="## [$version]" '
  /^## / { inside = (index($0, heading) == 1); next }
  /^\[[^]]+\]: / { next } # links at the end
  inside { print }
' CHANGELOG.md)
if [[ -z "${notes//[[:space:]]/}" ]]; then
  echo "CHANGELOG.md has no entry for $version." >&2
  exit 1
fi
printf '%s\n' "$notes"
