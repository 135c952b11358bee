package plugin

import (
	"errors"
	"unsafe"
)

// The frames of the batch ABI, laid over memory: WebAssembly is little-endian, as the frames are, and every structure
// is a multiple of 8 bytes with natural alignment. Buffers are []uint64 so that they start aligned.

const (
	abiVersion    = 1
	requestMagic  = 0x3142_534b // "KSB1"
	resultMagic   = 0x3152_534b // "KSR1"
	headerBytes   = 32
	errorField    = 0xFFFF
	wireItemBytes = int(unsafe.Sizeof(wireItem{}))
)

type requestHeader struct {
	magic         uint32
	abi, hook     uint16
	items, flags  uint32
	payloadOffset uint32
	total         uint32
	_             uint64
}

type wireItem struct {
	offset, length         uint32
	stream, timeNS         uint64
	direction, transport   uint8
	flags                  uint16
	clientPort, serverPort uint16
	argument               uint32
	_                      uint32
	base                   uint64
}

type resultHeader struct {
	magic           uint32
	abi, hook       uint16
	items, messages uint32
	fields, heap    uint32
	total           uint32
	_               uint32
}

type wireMessage struct {
	item       uint32
	kind       uint8
	flags      uint8
	fields     uint16
	start, end uint32
	key        uint64
	firstField uint32
	_          uint32
}

type wireField struct {
	id    uint16
	kind  uint8
	_     uint8
	_     uint32
	value uint64 // an int64, a float64's bits, 0 or 1, or offset | length << 32
}

const (
	typeInt       = 0
	typeDouble    = 1
	typeBool      = 2
	typeItemText  = 3
	typeHeapText  = 4
	typeHeapBytes = 5
	typeItemBytes = 6
	typeHeapJSON  = 7
)

// request is a checked request frame: every item lies inside payload.
type request struct {
	hook    uint16
	items   []wireItem
	payload []byte
}

var errFrame = errors.New("the request frame is damaged")

func parseRequest(frame []byte) (request, error) {
	if len(frame) < headerBytes {
		return request{}, errFrame
	}
	head := (*requestHeader)(unsafe.Pointer(unsafe.SliceData(frame)))
	if head.magic != requestMagic || head.abi != abiVersion || uint64(head.total) > uint64(len(frame)) {
		return request{}, errFrame
	}
	itemsEnd := headerBytes + uint64(head.items)*uint64(wireItemBytes)
	if uint64(head.payloadOffset) < itemsEnd || head.payloadOffset > head.total {
		return request{}, errFrame
	}
	parsed := request{hook: head.hook, payload: frame[head.payloadOffset:head.total]}
	if head.items > 0 {
		first := (*wireItem)(unsafe.Pointer(&frame[headerBytes]))
		parsed.items = unsafe.Slice(first, head.items)
	}
	for i := range parsed.items {
		item := &parsed.items[i]
		if uint64(item.offset)+uint64(item.length) > uint64(len(parsed.payload)) {
			return request{}, errFrame
		}
	}
	return parsed, nil
}

func (r *request) data(item *wireItem) []byte {
	end := item.offset + item.length
	return r.payload[item.offset:end:end]
}

// result is the frame being built; its buffer is kept from call to call.
type result struct {
	buffer []uint64
	length int // bytes used of buffer
}

func (r *result) start(hook uint16, items int) {
	r.length = 0
	head := (*resultHeader)(unsafe.Pointer(unsafe.SliceData(r.grow(headerBytes))))
	*head = resultHeader{magic: resultMagic, abi: abiVersion, hook: hook, items: uint32(items)}
}

// grow appends n bytes, unset, and returns them; the next part begins 8-aligned.
func (r *result) grow(n int) []byte {
	start := r.length
	r.length = (start + n + 7) &^ 7
	if words := r.length / 8; words > len(r.buffer) {
		bigger := make([]uint64, max(words, 2*len(r.buffer)))
		copy(bigger, r.buffer[:start/8])
		r.buffer = bigger
	}
	if n == 0 {
		return nil
	}
	if r.length > start+n {
		r.buffer[r.length/8-1] = 0 // no bytes of an earlier call in the padding
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&r.buffer[start/8])), n)
}

func (r *result) finish(messages, fields, heap int) []byte {
	head := (*resultHeader)(unsafe.Pointer(unsafe.SliceData(r.buffer)))
	head.messages, head.fields, head.heap = uint32(messages), uint32(fields), uint32(heap)
	head.total = uint32(r.length)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(r.buffer))), r.length)
}

// asBytes is the memory of a slice of wire structures.
func asBytes[T any](records []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(records))), len(records)*int(unsafe.Sizeof(one)))
}
