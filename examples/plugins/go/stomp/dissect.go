package main

import (
	"bytes"

	"kubeshark.dev/plugin"
)

// Dissect finds the frames in one side's bytes. It keeps no state: a frame says itself what it is.
func (stomp) Dissect(item *plugin.Item, out *plugin.Messages) int {
	data, at := item.Data, 0
	for {
		at = skipHeartBeats(data, at)
		if at == len(data) || (len(data)-at == 1 && data[at] == '\r' && !item.Last()) {
			return at
		}
		found, state := parse(data, at)
		if state == incomplete && !item.Last() {
			return at
		}
		if state == damaged || (state == incomplete && found.command == "") {
			end, known := garbageEnd(data, at, item.Last())
			if known == incomplete {
				return at
			}
			reportGarbage(item, out, at, end)
			at = end
			continue
		}
		message := addFrame(item, out, &found)
		switch state {
		case incomplete:
			message.Error("truncated: the stream ends inside this frame")
		case tooLong:
			message.Error("truncated: longer than 2 MiB")
		}
		at = found.end
	}
}

// addFrame adds a message. Who has a receipt, and CONNECT, is answered; everything else from a client is one-way.
func addFrame(item *plugin.Item, out *plugin.Messages, f *frame) plugin.Message {
	fields := headerFields(item.Data, f)
	receipt := fields[FieldReceipt]
	var message plugin.Message
	switch {
	case f.command == "CONNECT" || f.command == "STOMP":
		message = out.Add(plugin.Request, f.start, f.end).Key(connectKey)
	case f.command == "CONNECTED":
		message = out.Add(plugin.Response, f.start, f.end).Key(connectKey)
	case f.command == "MESSAGE":
		message = out.Add(plugin.Event, f.start, f.end)
	case f.command == "RECEIPT" || f.command == "ERROR":
		switch {
		case receipt.set:
			message = out.Add(plugin.Response, f.start, f.end).Key(receiptKey(item.Data[receipt.start:receipt.end]))
		case item.Base+uint64(f.start) == 0: // the server's first frame answers the client's first
			message = out.Add(plugin.Response, f.start, f.end).Key(connectKey)
		default:
			message = out.Add(plugin.Event, f.start, f.end)
		}
	case receipt.set:
		message = out.Add(plugin.Request, f.start, f.end).Key(receiptKey(item.Data[receipt.start:receipt.end]))
	default:
		message = out.Add(plugin.Request, f.start, f.end).OneWay()
	}
	if isReply(f.command) {
		message.Text(FieldReply, f.command)
	} else {
		message.Text(FieldCommand, f.command)
	}
	if f.bodyEnd > f.body {
		message.Int(FieldBodySize, int64(f.bodyEnd-f.body))
	}
	for field, value := range fields {
		if value.set {
			addText(message, item.Data, plugin.Field(field), value)
		}
	}
	return message
}

func isReply(command string) bool {
	return command == "CONNECTED" || command == "RECEIPT" || command == "ERROR"
}

const connectKey = 1

// receiptKey differs from connectKey: a hash is 1 only by a chance of 2⁻⁶⁴.
func receiptKey(receipt []byte) uint64 { return plugin.KeyOf(receipt) }

type span struct {
	start, end int
	set        bool
}

// headerFields returns where the values of the fields lie. The first of equal headers counts (§ Repeated Header Entries).
func headerFields(data []byte, f *frame) (fields [FieldErrorMessage + 1]span) {
	f.each(data, func(name, colon, value, end int) {
		if field, known := fieldOf(f.command, data[name:colon]); known && !fields[field].set {
			fields[field] = span{value, end, true}
		}
	})
	return fields
}

func fieldOf(command string, header []byte) (plugin.Field, bool) {
	switch string(header) {
	case "destination":
		return FieldDestination, true
	case "message-id":
		return FieldMessageID, true
	case "subscription":
		return FieldSubscription, true
	case "id": // of a subscription, or (1.2) of the message that is acknowledged
		if command == "ACK" || command == "NACK" {
			return FieldMessageID, true
		}
		return FieldSubscription, true
	case "receipt", "receipt-id":
		return FieldReceipt, true
	case "transaction":
		return FieldTransaction, true
	case "ack":
		return FieldAckMode, command == "SUBSCRIBE"
	case "accept-version":
		return FieldAcceptVersion, true
	case "version":
		return FieldVersion, true
	case "heart-beat":
		return FieldHeartBeat, true
	case "login":
		return FieldLogin, true
	case "content-type":
		return FieldContentType, true
	case "message":
		return FieldErrorMessage, command == "ERROR"
	}
	return 0, false
}

func addText(message plugin.Message, data []byte, field plugin.Field, value span) {
	text := data[value.start:value.end]
	if bytes.IndexByte(text, '\\') < 0 {
		message.Span(field, value.start, value.end)
		return
	}
	message.Text(field, unescape(text))
}

func reportGarbage(item *plugin.Item, out *plugin.Messages, start, end int) {
	kind := plugin.Request
	if item.Direction == plugin.Server {
		kind = plugin.Event
	}
	message := out.Add(kind, start, end)
	if kind == plugin.Request {
		message.OneWay()
	}
	if item.Gap() && start == 0 {
		message.Error("gap: the beginning of this frame is missing")
	} else {
		message.Error("malformed: no STOMP frame begins here")
	}
}
