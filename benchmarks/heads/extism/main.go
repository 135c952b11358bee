// Command heads is row 8's parse as an Extism plugin: bytes in, a JSON array out. The imports are those of Extism's
// plugin ABI (https://extism.org/docs/concepts/pdk); parse.go is that of our own plugin in Go.
package main

import (
	"bytes"
	"encoding/json"
	"unsafe"
)

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u64
func inputLoad64(offset uint64) uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoad8(offset uint64) uint32

//go:wasmimport extism:host/env alloc
func alloc(length uint64) uint64

//go:wasmimport extism:host/env store_u8
func store8(offset uint64, value uint32)

//go:wasmimport extism:host/env output_set
func outputSet(offset, length uint64)

func main() {}

//go:wasmexport heads
func heads() int32 {
	data := make([]byte, inputLength())
	at := 0
	for ; at+8 <= len(data); at += 8 {
		*(*uint64)(unsafe.Pointer(&data[at])) = inputLoad64(uint64(at))
	}
	for ; at < len(data); at++ {
		data[at] = byte(inputLoad8(uint64(at)))
	}
	found, whole := parse(data)
	if !whole {
		return 1
	}
	method, path, host := data[:found.methodEnd], data[found.methodEnd+1:found.pathEnd], data[found.host:found.hostEnd]
	text, err := json.Marshal([]any{string(method), string(path), string(host), found.headers, found.length})
	if err != nil {
		return 1
	}
	out := alloc(uint64(len(text)))
	for i, c := range text {
		store8(out+uint64(i), uint32(c))
	}
	outputSet(out, uint64(len(text)))
	return 0
}

func indexByte(data []byte, from int, b byte) int {
	if at := bytes.IndexByte(data[from:], b); at >= 0 {
		return from + at
	}
	return -1
}
