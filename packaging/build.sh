#!/bin/sh
# Builds into dist/: packaging/build.sh "FORMAT..." "ARCH...", of the formats deb, rpm and tar and the architectures
# amd64, arm64 and armv7. The same commit gives the same bytes, wherever and whenever it is built with the same Go.
set -eu
cd "$(dirname "$0")/.."
formats=$1 arches=$2
nfpm=${NFPM:-$PWD/.cache/bin/nfpm}
umask 022
export LC_ALL=C TZ=UTC GOFLAGS=-buildvcs=false GOWORK=off GOAMD64=v1 GOARM64=v8.0 GOARM=7 GOTOOLCHAIN=local
stamp=$(packaging/version.sh)
VERSION=${stamp%% *} SOURCE_DATE_EPOCH=${stamp##* }
revision=${stamp#* } revision=${revision% *}
export VERSION SOURCE_DATE_EPOCH

# Everything that goes into the packages, in $stage, with the modes it is to have.
fill() {
	rm -rf "$stage"
	mkdir -p "$stage/man" "$stage/completions" "$stage/doc" "$stage/systemd" "$stage/share"
	packaging/compile.sh "$stage/dockerwall" "$VERSION" "$revision"
	for page in packaging/man/*; do gzip -9n <"$page" >"$stage/man/${page##*/}.gz"; done
	for shell in bash zsh fish; do "$native" completion $shell >"$stage/completions/$shell"; done
	gzip -9n <CHANGELOG.md >"$stage/doc/changelog.gz"
	{
		echo "dockerwall ($VERSION-1) unstable; urgency=medium"
		echo
		echo "  * Commit $revision; see changelog.gz."
		echo
		echo " -- The dockerwall authors <maintainers@dockerwall.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
	} | gzip -9n >"$stage/doc/changelog.Debian.gz"
	cp LICENSE README.md "$stage/doc/"
	(cd docs && find . -name '*.md') | while read -r page; do install -D -m 644 "docs/$page" "$stage/doc/docs/$page"; done
	install -D -m 644 -t "$stage/doc/examples" docker-compose.yml
	for kind in compose swarm systemd/docker.service.d; do
		[ ! -d "packaging/$kind" ] || (cd "packaging/$kind" && find . -type f) |
			while read -r file; do install -D -m 644 "packaging/$kind/$file" "$stage/doc/examples/${kind##*/}/$file"; done
	done
	cp packaging/systemd/*.service "$stage/systemd/"
	cp packaging/systemd/sysusers.d/dockerwall.conf "$stage/systemd/"
	cp packaging/prometheus/alerts.yaml packaging/grafana/dockerwall.json packaging/default/dockerwall packaging/deb/lintian-overrides packaging/schema/policy.schema.json "$stage/share/"
	find "$stage" -type f -exec chmod 644 {} +
	chmod 755 "$stage/dockerwall"
}

# archive is the same without the scripts, for where there is neither dpkg nor rpm.
archive() {
	tar --create --directory="$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=gnu \
		--transform="s,^\.,dockerwall-$VERSION," . | gzip -9n >"dist/dockerwall_${VERSION}_linux_$arch.tar.gz"
}

mkdir -p dist .cache/package
native=$PWD/.cache/package/native
packaging/compile.sh "$native" "$VERSION" "$revision"
for arch in $arches; do
	stage=$PWD/.cache/package/$arch
	case $arch in
	amd64 | arm64) (export GOARCH=$arch && fill) && ARCH=$arch ;;
	armv7) (export GOARCH=arm && fill) && ARCH=arm7 ;;
	*) echo "build.sh: the architecture is amd64, arm64 or armv7, not $arch" >&2 && exit 2 ;;
	esac
	export ARCH
	for format in $formats; do
		case $format in
		tar) archive ;;
		deb | rpm) (cd "$stage" && "$nfpm" package --config "$OLDPWD/packaging/nfpm.yaml" --packager "$format" --target "$OLDPWD/dist/") ;;
		*) echo "build.sh: the format is deb, rpm or tar, not $format" >&2 && exit 2 ;;
		esac
	done
done
