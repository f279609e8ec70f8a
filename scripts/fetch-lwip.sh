#!/usr/bin/env bash
# Puts lwIP's sources, as Debian has them and with our patches, into a folder.
#   scripts/fetch-lwip.sh FOLDER
# The tarball comes by name through apt-get, from the sources that this machine has configured, and is
# kept beside the folder for the next time. apt's own lists and state stay as they are: no root needed.
set -euo pipefail

version=2.1.3+dfsg1-2
tarball=lwip_2.1.3+dfsg1.orig.tar.xz
sha256=0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24

folder=$1
patches=$(dirname "$0")/../unikernels/linux/net/lwip/patches
patches=$(realpath "$patches")
mkdir -p "$(dirname "$folder")"
cache=$(realpath "$(dirname "$folder")")

fail() {
  echo "fetch-lwip: $1" >&2
  exit 1
}

verified() {
  [ -f "$1" ] && echo "$sha256  $1" | sha256sum --check --status
}

# The configured package sources, with source packages in place of binary ones.
source_lists() {
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$1/$(basename "$file")"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$file" ] || sed -nE 's/^deb(-src)?[[:space:]]/deb-src /p' "$file" | sort -u >"$1/$(basename "$file" .list).list"
  done
}

download() {
  local work options
  work=$(mktemp -d "$cache/apt.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial"
  source_lists "$work/sources"
  options=(
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources"
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache"
    -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3
  )
  # Not every source has source packages: what counts is that lwIP is found.
  apt-get "${options[@]}" update >"$work/log" 2>&1 || true
  (cd "$work" && apt-get "${options[@]}" source --download-only "lwip=$version" >>log 2>&1) ||
    fail "cannot get Debian's source package lwip $version through apt-get: $(grep -m 1 '^E:' "$work/log" || echo 'see the network')"
  verified "$work/$tarball" || fail "$tarball is not the file with sha256 $sha256"
  mv "$work/$tarball" "$cache/$tarball"
  rm -rf "$work"
  trap - EXIT
}

# Several builds may come at once: the second one waits and finds it done.
exec 9>"$cache/lock"
flock 9
verified "$cache/$tarball" || download
rm -rf "$folder" "$folder.tmp"
mkdir "$folder.tmp"
tar -xf "$cache/$tarball" -C "$folder.tmp" --strip-components=1
# Some of its files have lines that end in CR LF; our patches have none.
find "$folder.tmp/src" -name '*.[ch]' -exec sed -i 's/\r$//' {} +
for patch in "$patches"/*.patch; do
  patch --quiet --directory="$folder.tmp" --strip=1 <"$patch" || fail "$(basename "$patch") does not fit lwIP $version"
done
mv "$folder.tmp" "$folder"
