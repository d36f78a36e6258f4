#!/usr/bin/env bash
# One machine of several: builds, runs and pushes the images of PLATFORM, and says in
# target/manifests/ci/pushed/PLATFORM.json what it pushed. MANIFESTS is how `manifests` is called here.
set -euo pipefail
read -ra manifests <<< "${MANIFESTS:-cargo xtask}"
: "${PLATFORM:?is the platform to push, e.g. linux/arm64}"
name=${PLATFORM//[^a-z0-9]/-}
mkdir -p target/manifests/ci/pushed

"${manifests[@]}" push --platform "$PLATFORM" --metadata-file "target/manifests/ci/pushed/$name.json"
# The name of the artifact, at GitHub, where it cannot have a slash.
[ -z "${GITHUB_OUTPUT:-}" ] || echo "name=$name" >> "$GITHUB_OUTPUT"
