#!/bin/sh
# Builds versitygw, the second S3 server of the tests, with Go: two minutes, once; it lies in the user's cache.
set -eu
version=v1.8.0
folder=${XDG_CACHE_HOME:-$HOME/.cache}/kubeshark/versitygw-$version
[ -x "$folder/versitygw" ] && exit 0
command -v go >/dev/null 2>&1 || {
    echo "versitygw is built with Go: install that first, on Debian apt-get install golang-go" >&2
    exit 1
}
echo "building versitygw $version (once; about two minutes)"
mkdir -p "$folder"
GOBIN="$folder" go install "github.com/versity/versitygw/cmd/versitygw@$version"
