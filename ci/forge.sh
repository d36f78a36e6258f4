# shellcheck shell=bash
# The API of GitHub or GitLab, whichever runs this; sourced by what writes there. The token in MANIFESTS_TOKEN is never
# an argument of a program: those can be seen by all that runs on the machine.
# shellcheck disable=SC2034 # api is for those who source this
: "${MANIFESTS_TOKEN:?is a token of the API; see README.md beside this for what it has to be allowed}"

if [ "${GITHUB_ACTIONS:-}" = true ]; then
  api=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY
  authorization="Authorization: Bearer $MANIFESTS_TOKEN"
elif [ "${GITLAB_CI:-}" = true ]; then
  api=$CI_API_V4_URL/projects/$CI_PROJECT_ID
  authorization="PRIVATE-TOKEN: $MANIFESTS_TOKEN"
else
  echo 'error: neither GITHUB_ACTIONS nor GITLAB_CI is true' >&2
  exit 1
fi

# get URL [CURL-ARGUMENT…]
get() {
  curl --silent --show-error --fail-with-body --header @<(printf '%s\n' "$authorization") --get "$@"
}

# send METHOD URL: JSON on stdin
send() {
  curl --silent --show-error --fail-with-body --header @<(printf '%s\n' "$authorization") \
    --header 'Content-Type: application/json' --request "$1" --data-binary @- "$2" > /dev/null
}
