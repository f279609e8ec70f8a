#!/usr/bin/env bash
# Builds the base images out of images/NAME/Dockerfile into dist/images/NAME, OCI image layouts.
#   npm run images [-- NAME...]        as root: Debian's packages are unpacked and set up in a folder
# RUN has no network, so the packages are installed here, and go into the image as an archive of what they changed.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=bookworm
out=$PWD/dist/images
work=$out/.work
if [ $# -eq 0 ]; then set -- base node python go-build redis nginx hello; fi

runnc_build() {
  local name=$1
  shift
  dist/runnc build --progress plain --store "$out/.store" --tag "runnc/$name" \
    --output "type=oci,dest=$out/$name" --file "images/$name/Dockerfile" "$@"
}

# Made once; remove dist/images/.work for newer packages.
base_root() {
  [ -f "$work/base/root.tar" ] && return
  if [ "$(id -u)" != 0 ]; then
    echo "images: Debian's packages can be set up by root only" >&2
    exit 1
  fi
  rm -rf "$work/root" && mkdir -p "$work/base"
  debootstrap --variant=minbase "$suite" "$work/root"
  clean "$work/root"
  archive "$work/root" . "$work/base/root.tar"
}

# What each container gets of its own, or would only make the image larger.
clean() {
  rm -rf "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/var/log/*.log \
    "$1"/var/log/apt "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/var/cache/debconf/*-old
}

# archive ROOT FILES-OR-. TAR: without devices, in the order of names.
archive() {
  if [ "$2" = . ]; then
    tar -C "$1" --sort=name --numeric-owner --exclude='./dev/*' -cf "$3.tmp" .
  else
    tar -C "$1" --numeric-owner --no-recursion --null --files-from="$2" -cf "$3.tmp"
  fi
  mv "$3.tmp" "$3"
}

# What installing the packages of images/NAME changes in the base.
packages() {
  local name=$1 root=$work/$name.root
  [ -f "$work/$name/packages.tar" ] && [ "$work/$name/packages.tar" -nt "images/$name/packages" ] && return
  rm -rf "$root" && mkdir -p "$root" "$work/$name"
  tar -C "$root" --numeric-owner -xpf "$work/base/root.tar"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"
  mount --bind /dev "$root/dev"
  trap 'umount "$root/dev"' EXIT
  touch "$work/$name.stamp"
  mapfile -t wanted <"images/$name/packages"
  DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c \
    'apt-get -q update && apt-get -q -y --no-install-recommends install "$@"' sh "${wanted[@]}" </dev/null
  umount "$root/dev" && trap - EXIT
  rm "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
  clean "$root"
  (cd "$root" && find . -mindepth 1 -path ./dev -prune -o -cnewer "$work/$name.stamp" -print0 | LC_ALL=C sort -z) \
    >"$work/$name.files"
  archive "$root" "$work/$name.files" "$work/$name/packages.tar"
  rm -rf "$root"
}

for name in "$@"; do
  echo "== $name"
  case $name in
    hello)
      mkdir -p "$work/hello"
      runnc_build hello --unikernel dist/unikernels/hello.spt "$work/hello"
      ;;
    base)
      base_root
      runnc_build base "$work/base"
      ;;
    *)
      [ -f "images/$name/Dockerfile" ] || { echo "images: there is no images/$name" >&2; exit 2; }
      base_root
      runnc_build base "$work/base" >/dev/null
      packages "$name"
      runnc_build "$name" "$work/$name"
      ;;
  esac
done
