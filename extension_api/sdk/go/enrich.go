package plugin

import "strconv"

// Enrichment takes what Enrich makes of one entry.
type Enrichment struct {
	drop              bool
	tags, set, redact []byte // items of JSON lists and objects
}

// Drop says that no query shows the entry; its packets stay in the store.
func (e *Enrichment) Drop() { e.drop = true }

// Tag adds to the KFL variable `tags`.
func (e *Enrichment) Tag(tag string) { e.tags = appendString(comma(e.tags), tag) }

// Text sets a variable of [[enrich.variables]] that is a string.
func (e *Enrichment) Text(variable, value string) { e.set = appendString(e.name(variable), value) }

// Int sets a variable that is a number.
func (e *Enrichment) Int(variable string, value int64) {
	e.set = strconv.AppendInt(e.name(variable), value, 10)
}

// Bool sets a variable that is true or false.
func (e *Enrichment) Bool(variable string, value bool) {
	e.set = strconv.AppendBool(e.name(variable), value)
}

// Redact hides a KFL variable, a key of a map (`request.headers["cookie"]`), or a place in the JSON entry, also inside a
// body that is JSON (`request.postData.text.user.password`; `*` is every item of a list).
func (e *Enrichment) Redact(path, shown string) { e.hide("path", path, shown) }

// RedactText hides a text wherever it occurs in the entry.
func (e *Enrichment) RedactText(text, shown string) {
	if text != "" {
		e.hide("text", text, shown)
	}
}

func (e *Enrichment) hide(key, what, shown string) {
	e.redact = appendString(append(comma(e.redact), '{'), key)
	e.redact = appendString(append(e.redact, ':'), what)
	e.redact = append(appendString(append(e.redact, `,"value":`...), shown), '}')
}

func (e *Enrichment) name(variable string) []byte {
	return append(appendString(comma(e.set), variable), ':')
}

func (e *Enrichment) reset() {
	*e = Enrichment{tags: e.tags[:0], set: e.set[:0], redact: e.redact[:0]}
}

func (e *Enrichment) appendJSON(out []byte) []byte {
	out = strconv.AppendBool(append(out, `{"drop":`...), e.drop)
	out = append(append(append(out, `,"tags":[`...), e.tags...), ']')
	out = append(append(append(out, `,"set":{`...), e.set...), '}')
	return append(append(append(out, `,"redact":[`...), e.redact...), `]}`...)
}

func comma(list []byte) []byte {
	if len(list) > 0 {
		return append(list, ',')
	}
	return list
}

// Cells are the cells of an entry's row. Variable is the one that a cell shows: a click selects its equals; empty selects
// nothing.
type Cells struct {
	Method, MethodVariable   string
	Summary, SummaryVariable string
	Status                   int64
	StatusVariable           string
}

func (c *Cells) appendJSON(out []byte) []byte {
	out = appendCell(append(out, '{'), "method", c.Method, c.MethodVariable)
	out = appendCell(append(out, ','), "summary", c.Summary, c.SummaryVariable)
	out = strconv.AppendInt(append(out, `,"status":`...), c.Status, 10)
	if c.StatusVariable != "" {
		query := c.StatusVariable + " == " + strconv.FormatInt(c.Status, 10)
		out = appendString(append(out, `,"statusQuery":`...), query)
	}
	return append(out, '}')
}

func appendCell(out []byte, name, text, variable string) []byte {
	out = appendString(append(appendString(out, name), ':'), text)
	if variable != "" {
		query := append(append([]byte(variable), " == "...), appendString(nil, text)...) // KFL writes strings as JSON does
		out = appendString(append(appendString(append(out, ','), name+"Query"), ':'), string(query))
	}
	return out
}
