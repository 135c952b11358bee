package plugin

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Messages takes what a dissector finds.
type Messages struct {
	item     uint32
	length   int // of the item's data
	consumed []uint32
	messages []wireMessage
	fields   []wireField
	heap     []byte
}

// Message is the message added last; its methods set its key, fields and error. It is done when the next one is added.
type Message struct {
	out *Messages
	at  int
}

// Add begins a message that took item.Data[start:end].
func (m *Messages) Add(kind Kind, start, end int) Message {
	m.check(start, end)
	m.messages = append(m.messages, wireMessage{
		item: m.item, kind: uint8(kind), start: uint32(start), end: uint32(end), firstField: uint32(len(m.fields)),
	})
	return Message{out: m, at: len(m.messages) - 1}
}

// Key pairs a request with the response of the same key; without one they pair in order.
func (m Message) Key(key uint64) Message {
	m.wire().key = key
	return m
}

// OneWay says that this request has no response by design.
func (m Message) OneWay() Message {
	m.wire().flags |= 1
	return m
}

// Interim says that this response does not end its request: another one follows.
func (m Message) Interim() Message {
	m.wire().flags |= 4
	return m
}

// Error says what is wrong with the message: "truncated: …", "malformed: …".
func (m Message) Error(text string) Message {
	m.wire().flags |= 2
	return m.Text(errorField, text)
}

// Span sets a field to the text, or bytes, of item.Data[start:end]: nothing is copied.
func (m Message) Span(field Field, start, end int) Message {
	m.out.check(start, end)
	return m.add(field, typeItemText, pack(start, end-start))
}

// SpanBytes is Span for a field whose type is bytes.
func (m Message) SpanBytes(field Field, start, end int) Message {
	m.out.check(start, end)
	return m.add(field, typeItemBytes, pack(start, end-start))
}

// Text sets a field to text that is not in the item; what is not UTF-8 becomes U+FFFD.
func (m Message) Text(field Field, text string) Message {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	start := len(m.out.heap)
	m.out.heap = append(m.out.heap, text...)
	return m.add(field, typeHeapText, pack(start, len(text)))
}

// Bytes sets a field to bytes that are not in the item.
func (m Message) Bytes(field Field, data []byte) Message {
	start := len(m.out.heap)
	m.out.heap = append(m.out.heap, data...)
	return m.add(field, typeHeapBytes, pack(start, len(data)))
}

// List sets a field of type list.
func (m Message) List(field Field, values ...string) Message {
	start := len(m.out.heap)
	m.out.heap = append(m.out.heap, '[')
	for i, value := range values {
		if i > 0 {
			m.out.heap = append(m.out.heap, ',')
		}
		m.out.heap = appendString(m.out.heap, value)
	}
	m.out.heap = append(m.out.heap, ']')
	return m.add(field, typeHeapJSON, pack(start, len(m.out.heap)-start))
}

// Map sets a field of type map, from names and values in turns.
func (m Message) Map(field Field, pairs ...string) Message {
	if len(pairs)%2 != 0 {
		panic("plugin.Message.Map: a name has no value")
	}
	start := len(m.out.heap)
	m.out.heap = append(m.out.heap, '{')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			m.out.heap = append(m.out.heap, ',')
		}
		m.out.heap = append(appendString(m.out.heap, pairs[i]), ':')
		m.out.heap = appendString(m.out.heap, pairs[i+1])
	}
	m.out.heap = append(m.out.heap, '}')
	return m.add(field, typeHeapJSON, pack(start, len(m.out.heap)-start))
}

// Int sets a field to a number.
func (m Message) Int(field Field, value int64) Message { return m.add(field, typeInt, uint64(value)) }

// Double sets a field to a floating-point number.
func (m Message) Double(field Field, value float64) Message {
	return m.add(field, typeDouble, math.Float64bits(value))
}

// Bool sets a field to true or false.
func (m Message) Bool(field Field, value bool) Message {
	var bit uint64
	if value {
		bit = 1
	}
	return m.add(field, typeBool, bit)
}

func (m Message) wire() *wireMessage {
	if m.at != len(m.out.messages)-1 {
		panic("plugin.Message: the next message has begun")
	}
	return &m.out.messages[m.at]
}

func (m Message) add(field Field, kind uint8, value uint64) Message {
	m.wire().fields++
	m.out.fields = append(m.out.fields, wireField{id: uint16(field), kind: kind, value: value})
	return m
}

func (m *Messages) begin(item, length int) { m.item, m.length = uint32(item), length }

func (m *Messages) check(start, end int) {
	if start < 0 || end < start || end > m.length {
		panic("plugin.Messages: a message or span reaches beyond the item")
	}
}

func pack(offset, length int) uint64 { return uint64(uint32(offset)) | uint64(uint32(length))<<32 }

func (m *Messages) reset() {
	m.consumed, m.messages, m.fields, m.heap = m.consumed[:0], m.messages[:0], m.fields[:0], m.heap[:0]
}

func (m *Messages) appendTo(out *result) []byte {
	copy(out.grow(4*len(m.consumed)), asBytes(m.consumed))
	copy(out.grow(len(asBytes(m.messages))), asBytes(m.messages))
	copy(out.grow(len(asBytes(m.fields))), asBytes(m.fields))
	copy(out.grow(len(m.heap)), m.heap)
	return out.finish(len(m.messages), len(m.fields), len(m.heap))
}

// KeyOf is a key for an identifier that is text: its 64-bit FNV-1a hash, never 0.
func KeyOf(text []byte) uint64 {
	hash := uint64(14695981039346656037)
	for _, b := range text {
		hash = (hash ^ uint64(b)) * 1099511628211
	}
	return max(hash, 1)
}
