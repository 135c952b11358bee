package plugin

// Report takes what a life-cycle hook, a job or SegmentSealed has to say.
type Report struct {
	reason string
	log    []byte // items of a JSON list
}

// Refuse says why it cannot be done: settings are refused, a job failed. The first reason counts.
func (r *Report) Refuse(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
	if r.reason == "" {
		r.reason = "refused"
	}
}

// Log adds a line to the plugin's log.
func (r *Report) Log(line string) { r.log = appendString(comma(r.log), line) }

func (r *Report) reset() { *r = Report{log: r.log[:0]} }

func (r *Report) appendJSON(out []byte) []byte {
	out = appendString(append(out, `{"error":`...), r.reason)
	return append(append(append(out, `,"log":[`...), r.log...), `]}`...)
}

// PacketVerdict is the answer of a packet filter.
type PacketVerdict uint8

const (
	Keep PacketVerdict = 0
	Drop PacketVerdict = 1 // never stored; counted
	Mark PacketVerdict = 2 // stored, with a comment that names the plugin
)

// Packet is a packet before it is stored.
type Packet struct {
	Data     []byte // from the link layer on; a view, valid during the call
	TimeNS   uint64 // since 1970
	Length   uint32 // on the wire; Data may be shorter
	LinkType uint32 // LINKTYPE_* of the tcpdump.org registry: 1 is Ethernet
}

// Segment is a segment on disk. Its file is encrypted; the key to it is never given to a plugin.
type Segment struct {
	Name, Path         string // Path is of the encrypted packets
	FirstNS, LastNS    int64
	Packets, Flows     int64
	Bytes, StoredBytes int64 // captured; compressed, before encryption
	LinkType           int64
	Source             string // name of the capture file
}

const segmentValues = 10

func segmentOf(values Values) Segment {
	return Segment{
		Name: values.Text(0), Path: values.Text(1), FirstNS: values.Int(2), LastNS: values.Int(3), Packets: values.Int(4),
		Flows: values.Int(5), Bytes: values.Int(6), StoredBytes: values.Int(7), LinkType: values.Int(8), Source: values.Text(9),
	}
}
