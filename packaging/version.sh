#!/bin/sh
# Prints what a build is stamped with: version, revision and time in seconds since 1970, of the last commit. Without git
# the three come from VERSION, REVISION and SOURCE_DATE_EPOCH. The version is the last tag v1.2.3 as 1.2.3, with commits
# since then 1.2.3+5.HASH, without any tag 0.0.0~gitTIME.HASH: dpkg and rpm sort these in the order of their commits.
set -eu
cd "$(dirname "$0")/.."

if ! git rev-parse --git-dir >/dev/null; then
	[ -n "${VERSION:-}" ] && [ -n "${SOURCE_DATE_EPOCH:-}" ] || {
		echo "version.sh: without git, set VERSION and SOURCE_DATE_EPOCH (seconds since 1970), and REVISION if it is known" >&2
		exit 1
	}
	echo "$VERSION ${REVISION:-unknown} $SOURCE_DATE_EPOCH"
	exit 0
fi
tag=$(git describe --tags --abbrev=12 --match 'v[0-9]*' 2>/dev/null || true)
case $tag in
"") version=0.0.0~git$(TZ=UTC git log -1 --format=%cd.%h --abbrev=12 --date=format-local:%Y%m%d%H%M%S) ;;
*-g*) version=$(echo "${tag#v}" | sed 's/-\([0-9]*\)-g\([0-9a-f]*\)$/+\1.\2/; s/-/~/g') ;;
*) version=$(echo "${tag#v}" | sed 's/-/~/g') ;; # v1.2.3-rc.1 comes before v1.2.3
esac
[ -z "$(git status --porcelain --untracked-files=no)" ] || version=$version+changed
echo "${VERSION:-$version} ${REVISION:-$(git rev-parse HEAD)} ${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
