package main

import (
	"strconv"
	"strings"

	"kubeshark.dev/plugin"
)

type witness struct{}

var (
	word string
	loud bool
)

func init() { plugin.Register(witness{}) }

func main() {}

func (witness) FilterPacket(packet *plugin.Packet) plugin.PacketVerdict {
	switch {
	case packet.LinkType != 1 || len(packet.Data) > int(packet.Length):
		return plugin.Drop
	case len(packet.Data) > 0 && packet.Data[0] == 0xdd:
		return plugin.Drop
	case len(packet.Data) > 0 && packet.Data[0] == 0xaa:
		return plugin.Mark
	}
	return plugin.Keep
}

func (witness) SegmentSealed(segment *plugin.Segment, out *plugin.Report) {
	out.Log("sealed " + segment.Name + " of " + segment.Source + ": " + number(segment.Packets) + " packets, " +
		number(segment.StoredBytes) + " bytes")
	if segment.Packets == 13 {
		out.Refuse("bad luck")
	}
}

func (witness) Enrich(values plugin.Values, out *plugin.Enrichment) {
	method := values.Text(0)
	if method == "DELETE" {
		out.Drop()
		return
	}
	for method == "LOOP" {
	}
	if method == "INDEX" {
		out.Redact("src.ip", "[redacted]")
	}
	out.Tag("seen")
	out.Int("witness_length", int64(len(values.Text(1))))
	if loud {
		out.Text("witness_word", word)
	} else {
		out.Text("witness_word", "")
	}
	out.Bool("witness_seen", strings.Contains(values.Text(3), `"protocol"`) && values.Text(2) != "unseen")
	out.Redact(`request.headers["authorization"]`, "[redacted]")
	out.Redact("request.postData.text.user.password", "[gone]")
	out.RedactText(word, "[redacted]")
}

func (witness) Filter(_ plugin.Filter, values plugin.Values) (bool, error) {
	return values.Text(0) == values.Text(1), nil
}

func (witness) Summarize(values plugin.Values, out *plugin.Cells) bool {
	if values.Text(0) == "" {
		return false
	}
	out.Method, out.MethodVariable = values.Text(0), "method"
	out.Summary, out.SummaryVariable = values.Text(1), "url"
	out.Status, out.StatusVariable = values.Int(2), "status_code"
	return true
}

func (witness) Work(job plugin.Job, dueNS int64, out *plugin.Report) {
	if job != JobTick {
		return
	}
	out.Log("tick " + number(dueNS))
	if dueNS == 13 {
		out.Refuse("not today")
	}
}

func (witness) Configure(settings plugin.Values, out *plugin.Report) {
	word, loud = strings.Clone(settings.Text(0)), settings.Bool(2)
	if word == "refuse" {
		out.Refuse("that word is taken")
	}
	out.Log("word " + word + ", limit " + number(settings.Int(1)))
}

func (witness) Start(out *plugin.Report) { out.Log("started") }

func (witness) Stop(out *plugin.Report) { out.Log("stopped") }

func number(value int64) string { return strconv.FormatInt(value, 10) }
