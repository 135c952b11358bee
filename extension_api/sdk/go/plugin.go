// Package plugin is what a kubeshark plugin written in Go imports.
//
// A plugin is a package main that registers one value. The value implements one or more of [Prober], [Dissector],
// [Filterer] and [Renderer]; what it does not implement is never called:
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
// and filters that plugin.toml declares. The plugin runs in a sandbox: it has no files, network or environment, and
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

// Prober says whether a stream carries its protocol, after the classifiers of plugin.toml.
type Prober interface {
	// Probe sees at most the first 512 bytes of one side of a stream.
	Probe(item *Item) Verdict
}

// Dissector turns bytes into messages.
type Dissector interface {
	// Dissect adds the messages that are complete in item.Data and returns how many bytes they took. The rest comes
	// again with more behind it, until item.Last(): then nothing more comes, and what is left is lost or truncated.
	// A datagram is an item of its own. Bytes that make no sense spoil one message: set its error and go on.
	Dissect(item *Item, out *Messages) (consumed int)
}

// Filterer decides entries for filters that KFL calls by name.
type Filterer interface {
	// Filter gets the call's arguments, then the variables that the filter reads, as plugin.toml orders them. An
	// error marks the entry as not decided.
	Filter(filter Filter, values Values) (bool, error)
}

// Renderer builds what the detail view of an entry shows.
type Renderer interface {
	// Render gets the bytes of both halves as they were on the wire; a missing half is empty. nil means "not mine".
	Render(request, response []byte) *Representation
}

// Register names the plugin. Call it once, from init.
func Register(plugin any) {
	if registered != nil {
		panic("plugin.Register: called twice")
	}
	registered = plugin
}

var registered any

// Hook numbers of the batch ABI (docs/adr/0003-batch-abi.md).
const (
	hookProbe   = 3
	hookDissect = 4
	hookFilter  = 6
	hookRender  = 8
)

func hooks() uint32 {
	var bits uint32
	if _, ok := registered.(Prober); ok {
		bits |= 1 << hookProbe
	}
	if _, ok := registered.(Dissector); ok {
		bits |= 1 << hookDissect
	}
	if _, ok := registered.(Filterer); ok {
		bits |= 1 << hookFilter
	}
	if _, ok := registered.(Renderer); ok {
		bits |= 1 << hookRender
	}
	return bits
}
