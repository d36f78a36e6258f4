#!/usr/bin/env bash
# Puts the list together from what the machines say in target/manifests/ci/pushed/ that they pushed, and leaves the lock
# in target/manifests/ci/lock/. MANIFESTS is how `manifests` is called here.
set -euo pipefail
shopt -s nullglob
read -ra manifests <<< "${MANIFESTS:-cargo xtask}"
pushed=(target/manifests/ci/pushed/*.json)
if [ ${#pushed[@]} = 0 ]; then
  echo 'error: no machine left a file in target/manifests/ci/pushed' >&2
  exit 1
fi

status=0
"${manifests[@]}" reconcile --images "${pushed[@]}" || status=$?
# Published in part (4): what was confirmed is locked already.
if [ -e manifests.lock ]; then
  mkdir -p target/manifests/ci/lock
  cp manifests.lock target/manifests/ci/lock/
fi
exit "$status"
