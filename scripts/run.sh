#!/bin/sh
# The demo behind `make run STORE=… SERVE=0|1`: example plugins, the sample in an encrypted store, a query, the page.
set -eu
cd "$(dirname "$0")/.."
store=$1
serve=$2
kubeshark=.venv/bin/kubeshark

for plugin in examples/plugins/c/tftp examples/plugins/go/stomp examples/plugins/js/beanstalkd; do
    "$kubeshark" plugin build "$plugin"
    "$kubeshark" plugin install "$plugin" --allow-unsigned --yes
done
run() {
    printf '\n$ kubeshark %s\n' "$*"
    "$kubeshark" "$@"
}
run import examples/captures/sample.pcapng --store "$store"
run query 'http && status_code >= 400' --store "$store" --fields timestamp,src.ip,method,url,status_code
run query 'dns && status_code != 0' --store "$store" --limit 5
run query 'beanstalkd || stomp || tftp' --store "$store" --limit 12
run store info --store "$store"
[ "$serve" = 0 ] || run serve --store "$store"
