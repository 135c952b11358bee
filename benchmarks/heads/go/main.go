// Command heads dissects the heads of HTTP requests, for row 8 of the benchmarks.
package main

import "kubeshark.dev/plugin"

type heads struct{}

func init() { plugin.Register(heads{}) }

func main() {} // never runs: kubeshark calls the plugin

func (heads) Dissect(item *plugin.Item, out *plugin.Messages) int {
	at := 0
	for {
		head, whole := parse(item.Data[at:])
		if !whole {
			return at
		}
		out.Add(plugin.Request, at, at+head.end).
			Span(FieldMethod, at, at+head.methodEnd).
			Span(FieldPath, at+head.methodEnd+1, at+head.pathEnd).
			Span(FieldHost, at+head.host, at+head.hostEnd).
			Int(FieldHeaders, int64(head.headers)).
			Int(FieldLength, head.length)
		at += head.end
	}
}

func indexByte(data []byte, from int, b byte) int { return plugin.IndexByte(data, from, b) }
