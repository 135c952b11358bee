// Package plugin is what a kubeshark plugin written in Go imports.
//
// A plugin is a package main that registers one value. The value implements one or more of the interfaces of
// hooks_gen.go, [Dissector], [Prober], [Enricher], [Filterer], [Renderer] and others; what it does not implement is never
// called:
//
//	type redis struct{}
//
//	func init() { plugin.Register(redis{}) }
//
//	func main() {} // never runs: kubeshark calls the plugin
//
//	func (redis) Dissect(item *plugin.Item, out *plugin.Messages) (consumed int) { … }
//
// `kubeshark plugin build` compiles it to WebAssembly and writes fields_gen.go, the constants for the record fields
// and filters that plugin.toml declares. The plugin runs in a sandbox: it has no environment, of files and
// network what it was granted (services_gen.go), and
// what it prints to stderr is shown only when it fails.
//
// Keep no state between calls: after a failure the plugin starts anew, and streams come in any order. Bytes and
// strings that a call hands out are views of memory that the next call overwrites; copy what must live longer.
package plugin

// Verdict is the answer of a probe.
type Verdict uint8

const (
	NotMine  Verdict = 0
	Mine     Verdict = 1
	NeedMore Verdict = 2 // ask again when there is more; counts as NotMine at the end
)

// Kind is what a message is.
type Kind uint8

const (
	Request  Kind = 0
	Response Kind = 1
	Event    Kind = 2
)

// Field is a record field: its index in plugin.toml. The constants are in fields_gen.go.
type Field uint16

// Filter is a filter: its index in plugin.toml. The constants are in fields_gen.go.
type Filter uint32

// Job is a job: its index in plugin.toml. The constants are in fields_gen.go.
type Job uint32

// Register names the plugin. Call it once, from init.
func Register(plugin any) {
	if registered != nil {
		panic("plugin.Register: called twice")
	}
	registered = plugin
}

var registered any
