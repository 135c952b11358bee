package plugin

// Direction says who sent an item.
type Direction uint8

const (
	Client Direction = 0
	Server Direction = 1
)

// Item is a piece of one side of a stream, or one datagram.
type Item struct {
	Data       []byte // a view, valid during the call
	Stream     uint64 // the same for both sides
	TimeNS     uint64 // of the packet that carried the first byte, since 1970
	Base       uint64 // offset of Data[0] in its side of the stream
	Direction  Direction
	Transport  uint8 // IP protocol number: 6 TCP, 17 UDP, 132 SCTP
	ClientPort uint16
	ServerPort uint16

	flags uint16
}

// First says that Data begins this side of the stream.
func (i *Item) First() bool { return i.flags&1 != 0 }

// Last says that nothing comes after Data.
func (i *Item) Last() bool { return i.flags&2 != 0 }

// Gap says that bytes are missing just before Data: it need not begin a message.
func (i *Item) Gap() bool { return i.flags&4 != 0 }

// Cut says that the packet was captured shorter than it was.
func (i *Item) Cut() bool { return i.flags&8 != 0 }

func (i *Item) set(wire *wireItem, data []byte) {
	*i = Item{
		Data: data, Stream: wire.stream, TimeNS: wire.timeNS, Base: wire.base, Direction: Direction(wire.direction),
		Transport: wire.transport, ClientPort: wire.clientPort, ServerPort: wire.serverPort, flags: wire.flags,
	}
}
