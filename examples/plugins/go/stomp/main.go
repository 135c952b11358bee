// Command stomp dissects STOMP 1.0, 1.1 and 1.2 (https://stomp.github.io/stomp-specification-1.2.html).
package main

import (
	"strings"

	"kubeshark.dev/plugin"
)

type stomp struct{}

func init() { plugin.Register(stomp{}) }

func main() {} // never runs: kubeshark calls the plugin

// Probe looks for a command alone on the first line.
func (stomp) Probe(item *plugin.Item) plugin.Verdict {
	if item.Gap() {
		return port(item)
	}
	_, status := commandAt(item.Data, skipHeartBeats(item.Data, 0))
	switch {
	case status == complete:
		return plugin.Mine
	case status == incomplete && !item.Last():
		return plugin.NeedMore
	}
	return plugin.NotMine
}

// port decides for a stream whose beginning was not captured: its first bytes may be anything.
func port(item *plugin.Item) plugin.Verdict {
	if item.ServerPort == 61613 {
		return plugin.Mine
	}
	return plugin.NotMine
}

// Filter answers stomp_to("/queue/orders") and stomp_to("/queue/*").
func (stomp) Filter(_ plugin.Filter, values plugin.Values) (bool, error) {
	wanted, destination := values.Text(0), values.Text(1)
	if prefix, found := strings.CutSuffix(wanted, "*"); found {
		return destination != "" && strings.HasPrefix(destination, prefix), nil
	}
	return destination == wanted, nil
}
