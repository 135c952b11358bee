package plugin

import (
	"strconv"
	"unicode/utf8"
)

// Representation is what the detail view shows. The renderer with the highest priority wins; below 0 means "not mine".
type Representation struct {
	Priority int
	Request  []Section
	Response []Section
}

// ItemRenderer is a [Renderer] that also looks at when, and between which ports, the halves were sent.
type ItemRenderer interface {
	// RenderItems gets both halves; a missing one has no Data.
	RenderItems(request, response *Item) *Representation
}

// SectionType says how a section is shown.
type SectionType string

const (
	TableSection    SectionType = "table"
	BodySection     SectionType = "body"
	CodeSection     SectionType = "code"
	HexSection      SectionType = "hex"   // Body is base64
	ImageSection    SectionType = "image" // Body is base64
	TimelineSection SectionType = "timeline"
)

// Section is one part of a representation. Text from the network is shown as text, never as markup.
type Section struct {
	Type     SectionType
	Title    string
	Rows     []Row   // of a table
	Points   []Point // of a timeline
	Ranges   []Range // of a hex dump
	Body     string  // of everything else
	Base64   bool    // Body is base64
	MimeType string
	Selector string // the left side of `selector == value` in KFL; empty: not selectable
}

// Row is a row of a table.
type Row struct {
	Name     string
	Value    any // string, bool, int, int64, float64 or nil
	Selector string
}

// Point is something that happened, on a timeline.
type Point struct {
	Micros    uint64 // from the start
	Label     string
	Direction Direction // who did it
}

// Range says what the bytes [Start, End) of a hex dump are; rows with the same selector are linked to them.
type Range struct {
	Start, End uint32
	Name       string
	Selector   string
}

func (r *Representation) appendJSON(out []byte) []byte {
	out = append(out, `{"priority":`...)
	out = strconv.AppendInt(out, int64(r.Priority), 10)
	out = appendSections(append(out, `,"request":`...), r.Request)
	out = appendSections(append(out, `,"response":`...), r.Response)
	return append(out, '}')
}

func appendSections(out []byte, sections []Section) []byte {
	return appendList(out, sections, func(out []byte, section *Section) []byte { return section.appendJSON(out) })
}

func appendList[T any](out []byte, list []T, appendOne func([]byte, *T) []byte) []byte {
	out = append(out, '[')
	for i := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendOne(out, &list[i])
	}
	return append(out, ']')
}

func appendRow(out []byte, row *Row) []byte {
	out = appendString(append(out, `{"name":`...), row.Name)
	out = appendValue(append(out, `,"value":`...), row.Value)
	out = appendString(append(out, `,"selector":`...), row.Selector)
	return append(out, '}')
}

func appendPoint(out []byte, point *Point) []byte {
	out = strconv.AppendUint(append(out, `{"t":`...), point.Micros, 10)
	out = appendString(append(out, `,"label":`...), point.Label)
	if point.Direction == Client {
		return append(out, `,"direction":"client"}`...)
	}
	return append(out, `,"direction":"server"}`...)
}

func appendRange(out []byte, found *Range) []byte {
	out = strconv.AppendUint(append(out, `{"start":`...), uint64(found.Start), 10)
	out = strconv.AppendUint(append(out, `,"end":`...), uint64(found.End), 10)
	out = appendString(append(out, `,"name":`...), found.Name)
	out = appendString(append(out, `,"selector":`...), found.Selector)
	return append(out, '}')
}

func (s *Section) appendJSON(out []byte) []byte {
	out = appendString(append(out, `{"type":`...), string(s.Type))
	out = appendString(append(out, `,"title":`...), s.Title)
	if s.Rows != nil {
		out = appendList(append(out, `,"tableData":`...), s.Rows, appendRow)
	}
	if s.Points != nil {
		out = appendList(append(out, `,"points":`...), s.Points, appendPoint)
	}
	if s.Ranges != nil {
		out = appendList(append(out, `,"ranges":`...), s.Ranges, appendRange)
	}
	out = appendString(append(out, `,"body":`...), s.Body)
	encoding := ""
	if s.Base64 {
		encoding = "base64"
	}
	out = appendString(append(out, `,"encoding":`...), encoding)
	out = appendString(append(out, `,"mimeType":`...), s.MimeType)
	out = appendString(append(out, `,"selector":`...), s.Selector)
	return append(out, '}')
}

func appendValue(out []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(out, "null"...)
	case string:
		return appendString(out, v)
	case bool:
		return strconv.AppendBool(out, v)
	case int:
		return strconv.AppendInt(out, int64(v), 10)
	case int64:
		return strconv.AppendInt(out, v, 10)
	case float64:
		if v-v != 0 {
			return append(out, "null"...) // JSON has no infinity and no NaN
		}
		return strconv.AppendFloat(out, v, 'g', -1, 64)
	default:
		panic("plugin.Row: a value is string, bool, int, int64, float64 or nil")
	}
}

// appendString writes a JSON string; what is not UTF-8 becomes U+FFFD.
func appendString(out []byte, text string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}
