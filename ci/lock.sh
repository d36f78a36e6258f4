#!/usr/bin/env bash
# Proposes the lock of a release, target/manifests/ci/lock/manifests.lock, for the default branch: as a pull or merge
# request from the branch manifests-lock/TAG. Run again, it brings the same request up to date.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/forge.sh"
lock=$PWD/target/manifests/ci/lock/manifests.lock

if [ "${GITHUB_ACTIONS:-}" = true ]; then
  tag=$GITHUB_REF_NAME base=$DEFAULT_BRANCH url=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY.git
  name='github-actions[bot]' email='41898282+github-actions[bot]@users.noreply.github.com'
  export GIT_USER=x-access-token
else
  tag=$CI_COMMIT_TAG base=$CI_DEFAULT_BRANCH url=$CI_SERVER_URL/$CI_PROJECT_PATH.git
  name=$GITLAB_USER_NAME email=$GITLAB_USER_EMAIL
  export GIT_USER=oauth2
fi
branch=manifests-lock/$tag
title="Lock what $tag published"

# A repository of its own: no checkout is needed, and none is changed. git asks the helper, which reads the environment.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git init --quiet --bare "$work"
cd "$work"
git config user.name "$name"
git config user.email "$email"
# shellcheck disable=SC2016 # for the helper's shell
git config credential.helper '!f() { echo "username=$GIT_USER"; echo "password=$MANIFESTS_TOKEN"; }; f'
git fetch --quiet --depth=1 "$url" "refs/heads/$base"
parent=$(git rev-parse FETCH_HEAD)
git read-tree "$parent"
git update-index --add --cacheinfo "100644,$(git hash-object -w "$lock"),manifests.lock"
tree=$(git write-tree)
if [ "$tree" = "$(git rev-parse "$parent^{tree}")" ]; then
  echo "manifests.lock of $base says already what $tag published"
  exit 0
fi
commit=$(git commit-tree "$tree" -p "$parent" -m "$title")
# The branch is ours: by its name nobody else writes to it.
git push --quiet --force "$url" "$commit:refs/heads/$branch"

if [ "${GITHUB_ACTIONS:-}" = true ]; then
  requests=$api/pulls
  open=$(get "$requests" --data state=open --data-urlencode "head=${GITHUB_REPOSITORY%%/*}:$branch" | jq length)
  # shellcheck disable=SC2016 # jq's variables
  fields='{ $title, head: $branch, base: $base, body: $text }'
else
  requests=$api/merge_requests
  open=$(get "$requests" --data state=opened --data-urlencode "source_branch=$branch" | jq length)
  # shellcheck disable=SC2016 # jq's variables
  fields='{ $title, source_branch: $branch, target_branch: $base, description: $text, remove_source_branch: true }'
fi
if [ "$open" = 0 ]; then
  text="\`manifests.lock\`, as the release of \`$tag\` left it: what the registries were confirmed to serve."
  jq --null-input --arg title "$title" --arg branch "$branch" --arg base "$base" --arg text "$text" "$fields" |
    send POST "$requests"
fi
