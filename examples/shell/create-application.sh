#!/bin/sh
# Creates a team and an application in ThreadFix, unless they exist. The key's user needs the permission Manage Applications.
# Expects THREADFIX_URL, THREADFIX_API_KEY, THREADFIX_TEAM_NAME and THREADFIX_APPLICATION_NAME in the environment.
set -eu

rest=${THREADFIX_URL%/}/rest/latest

# The key comes from standard input: every user of this machine could read it in the arguments.
call() {
    printf 'Authorization: APIKEY %s\n' "$THREADFIX_API_KEY" |
        curl --header @- --header 'Accept: application/json' --fail --silent --show-error --max-time 60 "$@" |
        jq 'if .success then .object else error(.message) end' # ThreadFix refuses with HTTP 200
}

find_team() {
    teams=$(call "$rest/teams")
    printf %s "$teams" | jq --arg name "$THREADFIX_TEAM_NAME" '.[] | select(.name == $name)'
}

# ThreadFix refuses to create a team or an application that exists. So ask first.
team=$(find_team)
if test -z "$team"; then
    call --data-urlencode "name=$THREADFIX_TEAM_NAME" "$rest/teams/new" >/dev/null
    team=$(find_team)
fi
id=$(printf %s "$team" | jq .id)
known=$(printf %s "$team" | jq --arg name "$THREADFIX_APPLICATION_NAME" 'any(.applications[]; .name == $name)')
if test "$known" = false; then
    call --data-urlencode "name=$THREADFIX_APPLICATION_NAME" "$rest/teams/$id/applications/new" >/dev/null
fi
