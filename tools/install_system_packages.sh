#!/usr/bin/env bash
# Install what the tests drive and pip cannot bring, where it is missing, from Debian's or Ubuntu's own packages.
# `make test` runs this first. Name what is wanted: browsers, grading, or both (without a name: both).
set -euo pipefail

stop() {
  echo "$*" >&2
  exit 1
}

if [[ "${1:-}" == --help ]]; then
  sed -n '2,3s/^# //p' "$0"
  exit
fi
rest="Without that, run: make test-lint test-unit test-notebooks."
wanted=("${@:-browsers}")
(( $# )) || wanted+=(grading)

chromium=chromium firefox=firefox-esr
grep --quiet '^ID=ubuntu' /etc/os-release 2>/dev/null && chromium=chromium-browser firefox=firefox
packages=() reasons=()
need() { # PACKAGE REASON PROGRAM...: note the package unless one of the programs is there
  local package=$1 reason=$2
  shift 2
  command -v "$@" >/dev/null || { packages+=("$package") reasons+=("$package ($reason)"); }
}
for part in "${wanted[@]}"; do
  case $part in
    browsers)
      need "$chromium" "opens every page" chromium chromium-browser google-chrome
      need "$firefox" "opens the live pages" firefox-esr firefox
      need webkit2gtk-driver "the engine of Safari opens them too" WebKitWebDriver
      need xvfb "a screen for it" Xvfb
      need default-jre-headless "the checker of the e-book runs on it" java ;;
    grading) need bubblewrap "the sandbox that student notebooks run in" bwrap ;;
    *) stop "Name browsers or grading, not $part." ;;
  esac
done
if (( ${#packages[@]} )); then
  missing=$(printf ', %s' "${reasons[@]}")
  missing="The tests need ${missing:2}."
  install=(apt-get install --yes --quiet --no-install-recommends "${packages[@]}")
  command -v apt-get >/dev/null ||
    stop "$missing Install them with your system's package manager (bubblewrap and WebKitGTK are for Linux alone). $rest"
  run_as_root=()
  if (( EUID )); then
    # A question for a password nobody can answer would wait for ever.
    { command -v sudo && { [[ -t 0 ]] || sudo -n true; }; } >/dev/null 2>&1 ||
      stop "$missing Ask whoever may run: ${install[*]}. $rest"
    run_as_root=(sudo)
  fi
  echo "$missing Installing them now: ${run_as_root[*]-} ${install[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { "${run_as_root[@]}" apt-get update --quiet && "${run_as_root[@]}" "${install[@]}"; } ||
    stop "These packages could not be installed (apt's own words are above); is there a network? The next run tries again. $rest"
fi

if [[ " ${wanted[*]} " == *" grading "* ]] && ! said=$(bwrap --unshare-all --ro-bind / / true 2>&1); then
  stop "bubblewrap may not make a sandbox here; it said: $said. On Ubuntu, this allows it until the next start:" \
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0. $rest"
fi
