package main

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"kubeshark.dev/plugin"
)

// RenderItems shows each half as its headers and its body, and how long a receipt took.
func (stomp) RenderItems(request, response *plugin.Item) *plugin.Representation {
	shown := &plugin.Representation{Priority: 10, Request: sections(request.Data), Response: sections(response.Data)}
	if request.TimeNS > 0 && response.TimeNS > request.TimeNS {
		shown.Response = append(shown.Response, plugin.Section{
			Type: plugin.TimelineSection, Title: "Wait", Points: []plugin.Point{
				{Label: "asked", Direction: plugin.Client},
				{Micros: (response.TimeNS - request.TimeNS) / 1000, Label: "answered", Direction: plugin.Server},
			},
		})
	}
	return shown
}

func sections(data []byte) []plugin.Section {
	at := skipHeartBeats(data, 0)
	found, state := parse(data, at)
	if at == len(data) || state == damaged || found.command == "" {
		return nil
	}
	selector := "stomp_command"
	if isReply(found.command) {
		selector = "stomp_reply"
	}
	rows := []plugin.Row{{Name: "command", Value: found.command, Selector: selector}}
	found.each(data, func(name, colon, value, end int) {
		header := data[name:colon]
		row := plugin.Row{Name: unescape(header), Value: unescape(data[value:end])}
		if string(header) == "passcode" {
			row.Value = "[redacted]"
		} else if field, known := fieldOf(found.command, header); known {
			row.Selector = variables[field]
		}
		rows = append(rows, row)
	})
	shown := []plugin.Section{{Type: plugin.TableSection, Title: "Headers", Rows: rows}}
	if body := data[found.body:found.bodyEnd]; len(body) > 0 {
		shown = append(shown, bodySection(body, mimeType(data, &found)))
	}
	return shown
}

func bodySection(body []byte, mime string) plugin.Section {
	section := plugin.Section{Type: plugin.BodySection, Title: "Body", MimeType: mime}
	if utf8.Valid(body) && bytes.IndexByte(body, 0) < 0 {
		section.Body = string(body)
	} else {
		section.Body, section.Base64 = base64.StdEncoding.EncodeToString(body), true
	}
	return section
}

func mimeType(data []byte, f *frame) string {
	if kind := headerFields(data, f)[FieldContentType]; kind.set {
		return unescape(data[kind.start:kind.end])
	}
	return "text/plain"
}

// variables are the KFL names of the fields that a row of the headers can select by.
var variables = [FieldErrorMessage + 1]string{
	FieldDestination:   "stomp_destination",
	FieldMessageID:     "stomp_message_id",
	FieldSubscription:  "stomp_subscription",
	FieldReceipt:       "stomp_receipt",
	FieldTransaction:   "stomp_transaction",
	FieldAckMode:       "stomp_ack_mode",
	FieldAcceptVersion: "stomp_accept_version",
	FieldVersion:       "stomp_version",
	FieldHeartBeat:     "stomp_heart_beat",
	FieldLogin:         "stomp_login",
	FieldContentType:   "stomp_content_type",
	FieldErrorMessage:  "stomp_error_message",
}
