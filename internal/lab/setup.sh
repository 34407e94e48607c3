#!/bin/sh
# Installs the programs and libraries that the tests and the demo use, with apt-get, and says which. Does nothing when
# all are there. None of these packages starts a service. The Engine itself is never installed: see fetch.go.
# With the argument "tests", also what only tests use.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=

program() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
library() { ldconfig -p 2>/dev/null | grep -qF "$1" || missing="$missing $2"; }

program nft nftables
program ip iproute2
program nsenter util-linux
program iptables iptables
program ipset ipset
program conntrack conntrack
program gcc gcc # go test -race
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
library libdevmapper.so.1.02.1 libdevmapper1.02.1 # these three: dockerd and runc
library libseccomp.so.2 libseccomp2
library libsystemd.so.0 libsystemd0
if [ "${1:-}" = tests ]; then
	program chromium chromium # these two look at the status page
	program w3m w3m
	program groff groff-base # sets the manual pages
	program wget wget        # for debootstrap, which fetch.go unpacks: it makes the system that tests boot
	program rpm rpm          # looks at what make rpm made
fi

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: missing, and without apt-get to be installed by hand:$missing" >&2
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: missing; as root: apt-get install --no-install-recommends$missing" >&2
	exit 0
fi
echo "setup: apt-get install$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
known=
for package in $missing; do
	# A release that no longer has a library has an Engine that does not need it.
	if apt-cache show "$package" >/dev/null 2>&1; then known="$known $package"; fi
done
# shellcheck disable=SC2086 # a list of words
apt-get -qq -y install --no-install-recommends $known >/dev/null </dev/null
