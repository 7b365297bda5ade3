#!/usr/bin/env bash
# Runs the tests in a random order in a copy of the repository, in a path with a blank. The environment has only PATH,
# HOME and the variables of the network. If root starts the script, an ordinary user runs the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/home" "$folder/a copy"
# Copy the files that git tracks or would track. The folder may belong to another user, so declare it safe.
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
  tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$folder/a copy"

bare=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$folder/home")
for name in PIP_CERT PIP_INDEX_URL NODE_EXTRA_CA_CERTS http_proxy https_proxy no_proxy HTTPS_PROXY NO_PROXY THREADFIX_GATE_CI; do
  [[ -z ${!name:-} ]] || bare+=("$name=${!name}")
done
ordinary=()
if ((!EUID)); then
  # Use the number of nobody, which works on every system.
  chown -R 65534:65534 "$folder"
  ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
cd "$folder/a copy"
"${ordinary[@]}" env -i "${bare[@]}" make test-random </dev/null
