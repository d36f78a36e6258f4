#!/usr/bin/env bash
# Shows target/manifests/ci/plan.md as one comment of the pull request PULL_REQUEST, or of the merge request
# CI_MERGE_REQUEST_IID, which later plans replace.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/forge.sh"
plan=target/manifests/ci/plan.md

# Only a comment of ours is replaced: everybody can write our first line.
if [ "${GITHUB_ACTIONS:-}" = true ]; then
  comments=$api/issues/$PULL_REQUEST/comments
  comment=$api/issues/comments
  method=PATCH
  ours='.user.type == "Bot"'
else
  comments=$api/merge_requests/$CI_MERGE_REQUEST_IID/notes
  comment=$comments
  method=PUT
  ours=".author.id == $(get "$CI_API_V4_URL/user" | jq .id)"
fi

found=
for ((page = 1; ; page++)); do
  batch=$(get "$comments" --data per_page=100 --data "page=$page")
  found=$(jq "map(select(($ours) and (.body | startswith(\"<!-- manifests plan -->\"))))[0].id // empty" <<< "$batch")
  if [ -n "$found" ] || [ "$(jq length <<< "$batch")" -lt 100 ]; then
    break
  fi
done

# GitHub takes 65536 characters.
# shellcheck disable=SC2016 # $body is jq's
body=$(jq --null-input --rawfile body "$plan" '{ body: (
  if ($body | length) <= 60000 then $body
  else ($body[:60000] | .[:rindex("\n")]) + "\n\nThe plan is longer than a comment may be; the output of its job has the rest.\n" end) }')
if [ -n "$found" ]; then
  send "$method" "$comment/$found" <<< "$body"
else
  send POST "$comments" <<< "$body"
fi
