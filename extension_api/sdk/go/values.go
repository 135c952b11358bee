package plugin

import (
	"errors"
	"math"
	"unsafe"
)

// Values are a filter's arguments and variables. A getter that does not fit the value's type returns its zero value.
type Values struct {
	fields []wireField
	data   []byte // the whole value list: offsets count from its start
}

// Len is the number of values.
func (v Values) Len() int { return len(v.fields) }

// Text is a view of text: strings.Clone what must outlive the call.
func (v Values) Text(at int) string {
	data := v.Bytes(at)
	return unsafe.String(unsafe.SliceData(data), len(data))
}

// Bytes is a view of bytes, of text, or of the JSON of a list or map.
func (v Values) Bytes(at int) []byte {
	if !inHeap(v.fields[at].kind) {
		return nil
	}
	offset, length := span(v.fields[at].value)
	return v.data[offset : offset+length]
}

// Int is a number; timestamps are nanoseconds since 1970.
func (v Values) Int(at int) int64 {
	if v.fields[at].kind != typeInt {
		return 0
	}
	return int64(v.fields[at].value)
}

// Double is a number of either type.
func (v Values) Double(at int) float64 {
	if v.fields[at].kind == typeDouble {
		return math.Float64frombits(v.fields[at].value)
	}
	return float64(v.Int(at))
}

// Bool is true or false.
func (v Values) Bool(at int) bool { return v.fields[at].kind == typeBool && v.fields[at].value != 0 }

var errValues = errors.New("the value list is damaged")

func parseValues(data []byte) (Values, error) {
	if len(data) < 8 || uintptr(unsafe.Pointer(unsafe.SliceData(data)))%8 != 0 {
		return Values{}, errValues
	}
	count := *(*uint32)(unsafe.Pointer(&data[0]))
	if uint64(count) > uint64(len(data)-8)/uint64(unsafe.Sizeof(wireField{})) {
		return Values{}, errValues
	}
	if count == 0 {
		return Values{data: data}, nil
	}
	values := Values{fields: unsafe.Slice((*wireField)(unsafe.Pointer(&data[8])), count), data: data}
	for _, field := range values.fields {
		if inHeap(field.kind) {
			if offset, length := span(field.value); offset+length > len(data) {
				return Values{}, errValues
			}
		}
	}
	return values, nil
}

func span(value uint64) (offset, length int) { return int(uint32(value)), int(value >> 32) }

func inHeap(kind uint8) bool {
	return kind == typeHeapText || kind == typeHeapBytes || kind == typeHeapJSON
}
