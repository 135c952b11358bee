package plugin

// caller keeps the buffers of one plugin from call to call, so that the hot path allocates nothing.
type caller struct {
	item       Item
	packet     Packet
	messages   Messages
	enrichment Enrichment
	cells      Cells
	report     Report
	json       []byte
	result     result
}

// call answers one request frame; the result is valid until the next call.
func (c *caller) call(frame []byte) ([]byte, error) {
	request, err := parseRequest(frame)
	if err != nil {
		return nil, err
	}
	switch request.hook {
	case hookPacketFilter:
		return c.packetFilter(registered.(PacketFilterer), &request), nil
	case hookProbe:
		return c.probe(registered.(Prober), &request), nil
	case hookDissect:
		return c.dissect(registered.(Dissector), &request), nil
	case hookFilter:
		return c.filter(registered.(Filterer), &request)
	case hookRender:
		return c.render(&request)
	}
	return c.texts(&request)
}

func (c *caller) packetFilter(plugin PacketFilterer, request *request) []byte {
	c.result.start(request.hook, len(request.items))
	verdicts := c.result.grow(len(request.items))
	for i := range request.items {
		wire := &request.items[i]
		c.packet = Packet{Data: request.data(wire), TimeNS: wire.timeNS, Length: wire.argument, LinkType: uint32(wire.base)}
		verdicts[i] = byte(plugin.FilterPacket(&c.packet))
	}
	return c.result.finish(0, 0, 0)
}

// texts answers a JSON text for each item's values.
func (c *caller) texts(request *request) ([]byte, error) {
	c.result.start(request.hook, len(request.items))
	spans := make([]uint64, len(request.items))
	c.json = c.json[:0]
	for i := range request.items {
		wire := &request.items[i]
		values, err := parseValues(request.data(wire))
		if err != nil {
			return nil, err
		}
		start := len(c.json)
		switch request.hook {
		case hookEnrich:
			c.enrichment.reset()
			registered.(Enricher).Enrich(values, &c.enrichment)
			c.json = c.enrichment.appendJSON(c.json)
		case hookSummarize:
			c.cells = Cells{}
			if registered.(Summarizer).Summarize(values, &c.cells) {
				c.json = c.cells.appendJSON(c.json)
			}
		default:
			c.report.reset()
			if err := reportTo(&c.report, request.hook, wire.argument, values); err != nil {
				return nil, err
			}
			c.json = c.report.appendJSON(c.json)
		}
		spans[i] = pack(start, len(c.json)-start)
	}
	copy(c.result.grow(8*len(spans)), asBytes(spans))
	copy(c.result.grow(len(c.json)), c.json)
	return c.result.finish(0, 0, len(c.json)), nil
}

func reportTo(out *Report, hook uint16, argument uint32, values Values) error {
	switch hook {
	case hookSegmentSealed:
		if values.Len() != segmentValues {
			return errFrame
		}
		segment := segmentOf(values)
		registered.(SegmentSealer).SegmentSealed(&segment, out)
	case hookJob:
		if values.Len() != 1 {
			return errFrame
		}
		registered.(Worker).Work(Job(argument), values.Int(0), out)
	case hookConfigure:
		registered.(Configurer).Configure(values, out)
	case hookStart:
		registered.(Starter).Start(out)
	case hookStop:
		registered.(Stopper).Stop(out)
	default:
		return errFrame
	}
	return nil
}

func (c *caller) probe(plugin Prober, request *request) []byte {
	c.result.start(request.hook, len(request.items))
	verdicts := c.result.grow(len(request.items))
	for i := range request.items {
		wire := &request.items[i]
		c.item.set(wire, request.data(wire))
		verdicts[i] = byte(plugin.Probe(&c.item))
	}
	return c.result.finish(0, 0, 0)
}

func (c *caller) dissect(plugin Dissector, request *request) []byte {
	c.messages.reset()
	for i := range request.items {
		wire := &request.items[i]
		c.item.set(wire, request.data(wire))
		c.messages.begin(i, len(c.item.Data))
		consumed := plugin.Dissect(&c.item, &c.messages)
		if consumed < 0 || consumed > len(c.item.Data) {
			panic("plugin.Dissector: consumed more than there is")
		}
		c.messages.consumed = append(c.messages.consumed, uint32(consumed))
	}
	c.result.start(request.hook, len(request.items))
	return c.messages.appendTo(&c.result)
}

func (c *caller) filter(plugin Filterer, request *request) ([]byte, error) {
	c.result.start(request.hook, len(request.items))
	answers := c.result.grow(len(request.items))
	for i := range request.items {
		wire := &request.items[i]
		values, err := parseValues(request.data(wire))
		if err != nil {
			return nil, err
		}
		answer, err := plugin.Filter(Filter(wire.argument), values)
		switch {
		case err != nil:
			answers[i] = 2
		case answer:
			answers[i] = 1
		default:
			answers[i] = 0
		}
	}
	return c.result.finish(0, 0, 0), nil
}

func (c *caller) render(request *request) ([]byte, error) {
	if len(request.items)%2 != 0 {
		return nil, errFrame
	}
	entries := len(request.items) / 2
	c.result.start(request.hook, entries)
	spans := make([]uint64, entries)
	c.json = c.json[:0]
	for i := range spans {
		var halves [2]Item
		for j := range halves {
			wire := &request.items[2*i+j]
			halves[wire.direction&1].set(wire, request.data(wire))
		}
		start := len(c.json)
		if shown := rendered(&halves[0], &halves[1]); shown != nil {
			c.json = shown.appendJSON(c.json)
		}
		spans[i] = pack(start, len(c.json)-start)
	}
	copy(c.result.grow(8*entries), asBytes(spans))
	copy(c.result.grow(len(c.json)), c.json)
	return c.result.finish(0, 0, len(c.json)), nil
}

func rendered(request, response *Item) *Representation {
	if plugin, ok := registered.(ItemRenderer); ok {
		return plugin.RenderItems(request, response)
	}
	return registered.(Renderer).Render(request.Data, response.Data)
}
