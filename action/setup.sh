#!/usr/bin/env bash
set +x +e +u # The job's environment may have switched these on; the first would print the key.
# Finds a Python 3.10 or later on any runner, and becomes the gate: dist/threadfix-gate.pyz, which every release has.
#
# Every Python here starts isolated (-I): anyone may have written the working directory, a checked-out repository, and
# variables such as PYTHONPATH are the job's. No exit code of this script is a verdict: it never ends with 0 or 1.
export -n THREADFIX_API_KEY # Only the gate gets the key, no other program that is started here.

root=${BASH_SOURCE[0]%/*}/..
program=$root/dist/threadfix-gate.pyz
folder='' child=''

# The runner hides the key from here on. It cannot hide a key of several lines, which the gate reports as invalid. In a
# file the command would only show the key.
mask() {
  local key=${THREADFIX_API_KEY:-}
  key=${key#"${key%%[![:space:]]*}"}
  key=${key%"${key##*[![:space:]]}"}
  if [[ ${GITHUB_ACTIONS:-} != true || -z $key || $key == *[$'\r\n']* || -f /dev/stderr ]]; then return; fi
  printf '::add-mask::%s\n' "${key//'%'/%25}" >&2
}

# Report why the gate does not start, for later steps and for people. The exit code is fixed; each write may fail.
stop() {
  local reason=$1 code=$2 what=${3//[$'\r\n']/ } remedy=$4 less='&lt;' message
  message="$what $remedy" what=${what//</"$less"}
  trap '' INT TERM PIPE XFSZ
  trap "exit $code" EXIT
  {
    mask
    printf '::error title=threadfix-gate: %s::%s\n' "$reason" "${message//'%'/%25}" >&2
    if [[ -n ${GITHUB_OUTPUT:-} ]]; then
      printf '%s\n' verdict=unknown "reason=$reason" "exit-code=$code" "message=$message" >>"$GITHUB_OUTPUT"
    fi
    if [[ -n ${GITHUB_STEP_SUMMARY:-} ]]; then
      printf '%s\n\n' "## ❔ ThreadFix gate: unknown ($reason)" "<pre>$what</pre>" \
        "**What to do:** $remedy" >>"$GITHUB_STEP_SUMMARY"
    fi
  } || true
  exit "$code"
}
cannot_start() { stop internal 70 "$@"; }
# Bash ends with 1 or 127 after an internal error.
trap 'cannot_start "The set-up of the gate broke." "Report this with the log."' EXIT

# A runner that cancels a job sends SIGINT, then SIGTERM, and soon kills. Bash handles a signal only after the command in
# the foreground has ended, so a slow command runs in the background.
cancelled() {
  trap '' INT TERM
  if [[ -n $child ]]; then kill -TERM "$child" 2>/dev/null && wait "$child"; fi
  if [[ -n $folder ]]; then rm -rf "$folder"; fi
  stop cancelled "$2" "The job was cancelled ($1) during the set-up of the gate; nothing was sent to ThreadFix." \
    'Run the job again.'
}
trap 'cancelled SIGINT 130' INT
trap 'cancelled SIGTERM 143' TERM

# action.yml gives no arguments: the command is an input, and advice names inputs instead of flags.
if (($# == 0)); then
  export THREADFIX_GATE_ACTION=1
  case ${THREADFIX_COMMAND:-run} in
    run | doctor) set -- "${THREADFIX_COMMAND:-run}" ;;
    *) stop usage 2 "The input \`command\` is neither run nor doctor (value not shown)." \
      'Write run or doctor, or leave it out.' ;;
  esac
fi

# A program is a Python if it computes its version. Python 2 has no -I; Windows has a python3 that only opens a shop.
version_of() {
  "$1" -I -S -c 'import sys, zlib; print("%d.%d" % sys.version_info[:2])' </dev/null 2>/dev/null
}

python='' tried=''
consider() {
  local path version
  if [[ -n $python ]]; then return; fi
  # Only a file: the shell has built-in commands, such as `true`.
  path=$(type -P -- "$1") || { tried+="$1 is missing; "; return; }
  version=$(version_of "$path")
  version=${version%$'\r'}
  if [[ $version =~ ^3\.[1-9][0-9]$ ]]; then
    python=$path
  elif [[ $version =~ ^[0-9.]+$ ]]; then
    tried+="$1 is Python $version; "
  else
    tried+="$1 does not run as Python 3; "
  fi
}

consider_tool_cache() {
  local cache=${RUNNER_TOOL_CACHE:-} candidate rank best='' newest=''
  # Windows gives C:\hostedtoolcache\windows, and a backslash has another meaning in a pattern.
  if [[ -n $cache ]] && type -P cygpath >/dev/null; then cache=$(cygpath -u "$cache"); fi
  for candidate in "$cache"/Python/3.*/*/bin/python "$cache"/Python/3.*/*/python.exe; do
    [[ -x $candidate && $candidate =~ /3\.([0-9]+)\.([0-9]+)/[^/]+/(bin/)?python(\.exe)?$ ]] || continue
    printf -v rank '%04d%04d' "${BASH_REMATCH[@]:1:2}"
    if [[ $rank > $best ]]; then best=$rank newest=$candidate; fi
  done
  if [[ -n $newest ]]; then consider "$newest"; fi
}

# Print how this system gets a Python.
remedy() {
  local ID='' VERSION_ID='' ID_LIKE='' line name value
  while IFS='=' read -r name value; do
    value=${value//[\"\']/}
    case $name in ID) ID=$value ;; ID_LIKE) ID_LIKE=$value ;; VERSION_ID) VERSION_ID=$value ;; esac
  done 2>/dev/null </etc/os-release
  case " $ID $ID_LIKE $VERSION_ID" in
    *' rhel '*' '[89]* | ' ol '*' '[89]* | ' amzn '*' 2023') line='Run `dnf install python3.12` on this runner' ;;
    *) line="Put actions/setup-python before this step, or use the gate's container image" ;;
  esac
  printf '%s.' "$line"
}

if [[ -n ${THREADFIX_PYTHON:-} ]]; then
  consider "$THREADFIX_PYTHON"
  [[ -n $python ]] || cannot_start "The input \`python\` must name a Python 3.10 or later. Found: ${tried%; }." \
    'Correct the input `python`, or leave it out.'
else
  for name in python3 python python3.14 python3.13 python3.12 python3.11 python3.10; do consider "$name"; done
  consider_tool_cache
  [[ -n $python ]] || cannot_start "The gate needs Python 3.10 or later. Found: ${tried%; }." "$(remedy)"
fi

# A ref that is no release has only the sources. Their packages are installed for this step only.
install() {
  local name where=${RUNNER_TEMP:-${TMPDIR:-/tmp}} token=$$$RANDOM$RANDOM$RANDOM
  mask
  printf '%s\n' 'This ref of threadfix-gate is no release: installing the packages of requirements/action.lock' >&2
  folder=$(mktemp -d "$where/threadfix-gate.XXXXXX" 2>/dev/null) && mkdir "$folder/tmp" ||
    cannot_start "No folder can be made in $where." 'Let RUNNER_TEMP be a writable folder, or use a release.'
  (
    # Of pip's settings only these count: any other could change the packages or the target.
    for name in $(compgen -e PIP_); do
      case ${name#PIP_} in
        INDEX_URL | EXTRA_INDEX_URL | FIND_LINKS | NO_INDEX | TRUSTED_HOST | KEYRING_PROVIDER) ;;
        CERT | CLIENT_CERT | PROXY | RETRIES | TIMEOUT | DEFAULT_TIMEOUT) ;;
        *) unset "$name" ;;
      esac
    done
    export PIP_CONFIG_FILE=/dev/null TMPDIR=$folder/tmp TEMP=$folder/tmp TMP=$folder/tmp
    exec "$python" -I -B -m pip install --target "$folder" --no-deps --require-hashes --only-binary :all: --no-cache-dir \
      --no-compile --no-input --progress-bar off --disable-pip-version-check -r "$root/requirements/action.lock"
  ) </dev/null >"$folder/tmp/log" 2>&1 &
  child=$!
  if ! wait "$child"; then
    name=$(grep -E '^ERROR: |: No module named pip$' "$folder/tmp/log" | tail -n 1)
    {
      printf '%s\n' '::group::The output of pip' "::stop-commands::$token"
      cat "$folder/tmp/log"
      printf '%s\n' "::$token::" '::endgroup::'
    } >&2
    rm -rf "$folder"
    cannot_start "The gate's packages could not be installed: ${name:0:300}" \
      'Use a release, which needs no index; or set PIP_INDEX_URL, PIP_CERT and HTTPS_PROXY. No pip.conf is read.'
  fi
  child=''
  rm -rf "$folder/tmp"
  cp -R "$root/gate" "$root/action/__main__.py" "$folder" || cannot_start "$where is full." 'Free some space.'
  program=$folder
}

if [[ ! -f $program ]]; then
  install
elif ! "$python" -I -S -c 'import sys, zipimport; zipimport.zipimporter(sys.argv[1]).get_code("__main__")' "$program" \
  </dev/null >/dev/null 2>&1; then
  cannot_start 'dist/threadfix-gate.pyz is damaged.' 'Fetch the action again.'
fi

export THREADFIX_API_KEY
# exec, so that the runner's signals reach the gate. Without -B it would write byte code into a folder.
shopt -s execfail
exec "$python" -I -B -X utf8 -u "$program" "$@"
cannot_start "$python could not be started." 'Run the job again.'
