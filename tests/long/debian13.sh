#!/usr/bin/env bash
# Tries README's two commands in a clean Debian 13, which debootstrap makes in a temporary directory.
#
#     tests/long/debian13.sh [--whole] [--keep]
#
# The second command runs a part of the tests, with --whole all of them. --keep leaves the directory, and says where it
# is. Only root can do it. What this machine needs to reach its package registries goes along: certificates, and how pip
# and the resolver are set up. Exit code 4: Debian could not be made; else that of the first command that failed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
suite=trixie
mirror=${MIRROR:-http://deb.debian.org/debian}
part=(tests/test_table.py tests/test_oracle.py tests/test_precedence.py tests/test_raw.py tests/test_isolated.py)
keep=

fail() {
  echo "debian13: $*" >&2
  exit 4
}

while (($#)); do
  case $1 in
    --whole) part=() ;;
    --keep) keep=1 ;;
    *) fail "no option is called '$1'; there are --whole and --keep" ;;
  esac
  shift
done

((EUID == 0)) || fail "only root can make one"
command -v debootstrap >/dev/null || fail "debootstrap is missing; install debootstrap"

root=$(mktemp -d)
at_end() {
  for there in proc dev; do
    if mountpoint -q "$root/$there"; then umount --recursive --lazy "$root/$there"; fi
  done
  if [[ $keep ]]; then echo "debian13: left in $root" >&2; else rm -rf --one-file-system "$root"; fi
}
trap at_end EXIT

debootstrap --variant=minbase --include=ca-certificates,git,python3,python3-venv "$suite" "$root" "$mirror" >&2 ||
  fail "debootstrap failed; see above"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"

given=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv LC_ALL=C.UTF-8)
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
if [[ -e /etc/pip.conf ]]; then cp /etc/pip.conf "$root/etc/pip.conf"; fi
for name in PIP_CERT PIP_INDEX_URL PIP_DEFAULT_TIMEOUT http_proxy https_proxy no_proxy; do
  if [[ ${!name-} ]]; then given+=("$name=${!name}"); fi
done

git clone --quiet --no-local "$here" "$root/srv/project"

# in_there COMMAND...: run it in the project's folder there.
in_there() { env -i "${given[@]}" chroot "$root" /bin/sh -c 'cd /srv/project && exec "$@"' in_there "$@"; }

in_there python3 --version
# Findings are what a check is for.
in_there ./run check --seconds 10 || (($? == 1)) || exit
in_there ./run test "${part[@]}"
echo "debian13: README's two commands work with $(in_there python3 --version)"
