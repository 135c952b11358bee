// Command heads dissects the heads of HTTP requests, for row 8 of the benchmarks.
package main

import "kubeshark.dev/plugin"

type heads struct{}

func init() { plugin.Register(heads{}) }

func main() {} // never runs: kubeshark calls the plugin

func (heads) Dissect(item *plugin.Item, out *plugin.Messages) int {
	head, whole := parse(item.Data)
	if !whole {
		return 0
	}
	out.Add(plugin.Request, 0, head.end).
		Span(FieldMethod, 0, head.methodEnd).
		Span(FieldPath, head.methodEnd+1, head.pathEnd).
		Span(FieldHost, head.host, head.hostEnd).
		Int(FieldHeaders, int64(head.headers)).
		Int(FieldLength, head.length)
	return head.end
}

func indexByte(data []byte, from int, b byte) int { return plugin.IndexByte(data, from, b) }
