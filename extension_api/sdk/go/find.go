package plugin

import (
	"math/bits"
	"unsafe"
)

// IndexByte returns where b first lies in data at or behind from, -1 if it does not. In WebAssembly it takes half of
// bytes.IndexByte's time, which looks at one byte after the other.
func IndexByte(data []byte, from int, b byte) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	pattern := uint64(b) * low
	base := unsafe.Pointer(unsafe.SliceData(data))
	at := max(from, 0)
	for ; at+8 <= len(data); at += 8 {
		// WebAssembly reads little-endian words at any address; Go does not make one read of encoding/binary's eight.
		word := *(*uint64)(unsafe.Add(base, at)) ^ pattern
		// The lowest bit set is that of the first byte that is zero.
		if zeros := (word - low) &^ word & high; zeros != 0 {
			return at + bits.TrailingZeros64(zeros)>>3
		}
	}
	for ; at < len(data); at++ {
		if data[at] == b {
			return at
		}
	}
	return -1
}
