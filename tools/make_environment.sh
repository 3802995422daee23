#!/usr/bin/env bash
# Make a virtual environment, if it is not whole, and install into it: make_environment.sh FOLDER PIP-ARGUMENTS...
# One whose set-up was interrupted is made anew, because half a package may lie in it. Without arguments for pip it only
# says whether this Python will do.
set -euo pipefail

stop() {
  echo "$*" >&2
  exit 1
}

if [[ "${1:---help}" == --help ]]; then
  sed -n '2,4s/^# //p' "$0"
  exit
fi
folder=$1 python=${PYTHON:-python3} again="The next run starts again from here."
shift
unfinished=$folder/unfinished
if [[ -e $unfinished ]] || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  version=$("$python" -c 'import sys; print(sys.version.split()[0]); sys.exit(sys.version_info < (3, 11))' 2>/dev/null) ||
    stop "$([[ $version ]] && echo "This needs Python 3.11 or newer, not $version" || echo "There is no $python here");" \
      "name one with: make PYTHON=python3.12 ..."
  (( $# )) || exit 0
  [[ ! -e $folder ]] || echo "The set-up of $folder was interrupted; it starts from nothing."
  rm -rf "$folder"
  mkdir -p "$folder"
  touch "$unfinished"
  "$python" -m venv "$folder" >/dev/null ||
    stop "$python could not make an environment in $folder; on Debian and Ubuntu that takes the package python3-venv. $again"
fi
(( $# )) || exit 0
touch "$unfinished"
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
# pip tells progress on standard output and trouble on standard error; of the latter its last word says enough.
"$folder/bin/python" -m pip install --disable-pip-version-check "$@" 2>"$errors" ||
  stop "pip could not install what $folder needs; is there a network? Its last word: $(grep . "$errors" | tail -n 1 |
    sed 's/[.]*$/./') $again"
rm "$unfinished"
