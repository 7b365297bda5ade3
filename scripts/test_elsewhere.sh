#!/usr/bin/env bash
# Runs the tests as somebody else would: a copy of what is here, in a path with a blank, and an environment that holds
# nothing but PATH, HOME and how to reach the network. Whoever starts this as root has it done by an ordinary user.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/home" "$folder/a copy"
# The files that git knows, or would know. It is asked by name, since the folder may be somebody else's.
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
  tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$folder/a copy"

bare=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$folder/home")
for name in PIP_CERT PIP_INDEX_URL NODE_EXTRA_CA_CERTS http_proxy https_proxy no_proxy HTTPS_PROXY NO_PROXY THREADFIX_GATE_CI; do
  [[ -z ${!name:-} ]] || bare+=("$name=${!name}")
done
ordinary=()
if ((!EUID)); then
  # Nobody in particular, by number: every system has it.
  chown -R 65534:65534 "$folder"
  ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
cd "$folder/a copy"
"${ordinary[@]}" env -i "${bare[@]}" make test TESTS='tests/unit tests/integration tests/properties' </dev/null
