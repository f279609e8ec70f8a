#!/usr/bin/env bash
# Installs what a step needs and is missing: Debian packages (as root, or through sudo) and npm packages.
#   scripts/setup.sh [build|test|long]  `test` adds the real container engines and guests that the tests drive,
#                                       `long` the virtual machines of the long batteries
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-build}

build_packages=(
  gcc g++ make python3 libc6-dev # the native parts and node-gyp
  musl-tools libseccomp-dev pkg-config # the tender, and its filter
  libmnl-dev                     # rtnetlink; its library at run time too
  libxxhash-dev                  # checksums of cached images; a header alone
  libmd-dev                      # SHA-256 for the addon; linked statically
  xorriso                        # ISO images, at run time too
  patch xz-utils ca-certificates # lwIP's sources, which the build gets through apt-get
)
test_packages=(
  docker.io podman containerd runc crun            # the callers we are tested with, and the peers of the bench
  busybox-static golang-go              # guests
  erofs-utils                           # the oracle of our EROFS images
  docker-registry apache2-utils openssl zstd wget   # registries of images, with and without users
  iproute2 iptables iperf3 containernetworking-plugins netavark aardvark-dns procps bsdutils strace libarchive-tools
  adduser apt git openjdk-17-jdk-headless perl python3-tornado redis-server sqlite3 # programs that the Linux guest runs as they are
)
long_packages=(
  nftables ethtool # for the guest's network at length, and its bench
  qemu-system-x86 dbus-daemon systemd # virtual machines with other kernels, one of them under systemd
  debootstrap                         # the base images of our Dockerfile
)

packages=("${build_packages[@]}")
case $level in
  build) ;;
  test) packages+=("${test_packages[@]}") ;;
  long) packages+=("${test_packages[@]}" "${long_packages[@]}") ;;
  *)
    echo "usage: scripts/setup.sh [build|test|long]" >&2
    exit 2
    ;;
esac

if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null; then
  echo "setup: Node.js 20 or later is needed; found: $(node --version 2>/dev/null || echo none)" >&2
  exit 1
fi

missing=()
if command -v dpkg-query >/dev/null; then
  for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
  done
else
  echo "setup: not a Debian-like system; make sure these are there: ${packages[*]}" >&2
fi

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "setup: these Debian packages are missing; install them as root:" >&2
      echo "  apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "setup: installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" "${install[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get failed; the whole log is in $log" >&2
    exit 1
  fi
  rm -f "$log"
fi

# node_modules/.package-lock.json is npm's own record of what it installed.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "setup: installing npm packages of package-lock.json"
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
