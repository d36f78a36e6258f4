#!/usr/bin/env bash
# A change under review: what a release of it would write, as Markdown in target/manifests/ci/plan.md, and a rehearsal.
# Nothing is published. MANIFESTS is how `manifests` is called here.
set -euo pipefail
read -ra manifests <<< "${MANIFESTS:-cargo xtask}"
plan=target/manifests/ci/plan.md
mkdir -p "${plan%/*}"

status=0
"${manifests[@]}" plan --format markdown > "$plan" || status=$?
if [ ! -s "$plan" ]; then
  # Said in the comment too: the plan of an earlier commit must not stay there as if it were this one's.
  printf '%s\n' '<!-- manifests plan -->' 'The plan could not be made: the job that makes it says why.' > "$plan"
fi
[ "$status" = 0 ] || exit "$status"

# Emulators, where images of other platforms are run. What cannot be fixed here, and matters, stops the rehearsal.
"${manifests[@]}" doctor --fix || echo 'doctor found more than it could fix; the rehearsal shows whether it matters' >&2
"${manifests[@]}" release --rehearse
