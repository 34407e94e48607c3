#!/bin/sh
# Compiles the program into a file, static: packaging/compile.sh FILE [VERSION REVISION], for the GOOS and GOARCH of the
# environment. Without a version it says what Go knows. For 32 bits it needs cp, chmod and sed, else Go alone.
set -eu
go=${GO:-go}
ldflags="-s -w"
[ -z "${2:-}" ] || ldflags="$ldflags -X main.version=$2 -X main.revision=${3:-}"
set -- "$1"
export CGO_ENABLED=0

# The pinned google/nftables prints math.MaxUint32 as an int (conn.go), which does not compile where that has 32 bits.
if [ "$("$go" env GOARCH)" = arm ]; then
	copy=.cache/arm
	rm -rf $copy
	mkdir -p $copy
	"$go" mod download github.com/google/nftables
	cp -R "$("$go" list -m -f '{{.Dir}}' github.com/google/nftables)" $copy/nftables
	chmod -R u+w $copy
	sed -i 's/transaction", math.MaxUint32)/transaction", uint32(math.MaxUint32))/' $copy/nftables/conn.go
	cp go.mod go.sum $copy/
	"$go" mod edit -replace github.com/google/nftables=./$copy/nftables $copy/go.mod
	set -- "$1" -modfile $copy/go.mod
fi
out=$1
shift

# Nothing here speaks HTTP/2: neither the Docker client, nor metrics and API, which are plain HTTP. Half a MB.
exec "$go" build "$@" -trimpath -tags nethttpomithttp2 -ldflags "$ldflags" -o "$out" ./cmd/dockerwall
