package main

import "bytes"

// A frame is a command line, header lines, an empty line, the body and a NUL; frames may have heart-beats, which are
// line ends, between them. Lines end with LF, from 1.2 on with CR LF too.

// Longest parts we wait for. ActiveMQ and RabbitMQ refuse longer headers; a longer body is shown truncated.
const (
	maxHeaderBytes  = 64 << 10
	maxFrameBytes   = 2 << 20
	maxGarbageBytes = 4 << 10 // bytes that are no frame are reported in pieces of this size
)

type status int

const (
	complete   status = iota
	incomplete        // needs more bytes
	damaged           // can never become a frame
	tooLong           // a frame, but longer than maxFrameBytes
)

// frame is a frame of data[start:end]. Offsets count from data's start.
type frame struct {
	command              string
	start, headers, body int
	bodyEnd, end         int
}

var commands = []string{
	"SEND", "MESSAGE", "ACK", "NACK", "RECEIPT", "ERROR", "SUBSCRIBE", "UNSUBSCRIBE", "BEGIN", "COMMIT", "ABORT",
	"CONNECTED", "CONNECT", "STOMP", "DISCONNECT",
}

const longestCommandLine = len("UNSUBSCRIBE\r\n")

func skipHeartBeats(data []byte, at int) int {
	for at < len(data) {
		if data[at] == '\n' {
			at++
		} else if data[at] == '\r' && at+1 < len(data) && data[at+1] == '\n' {
			at += 2
		} else {
			break
		}
	}
	return at
}

// commandAt returns the command whose line begins at data[at].
func commandAt(data []byte, at int) (string, status) {
	line := data[at:min(len(data), at+longestCommandLine)]
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		if len(line) == longestCommandLine {
			return "", damaged
		}
		for _, command := range commands {
			whole := command + "\r"
			if len(line) <= len(whole) && string(line) == whole[:len(line)] {
				return "", incomplete
			}
		}
		return "", damaged
	}
	name := trimCR(line[:end])
	for _, command := range commands {
		if string(name) == command {
			return command, complete
		}
	}
	return "", damaged
}

// parse reads the frame that begins at data[at], behind any heart-beats.
func parse(data []byte, at int) (frame, status) {
	found := frame{start: at, end: len(data)}
	command, state := commandAt(data, at)
	if state != complete {
		return found, state
	}
	found.command = command
	found.headers = at + bytes.IndexByte(data[at:], '\n') + 1
	length := -1
	for line := found.headers; ; {
		newline := bytes.IndexByte(data[line:], '\n')
		if newline < 0 || line+newline-found.headers > maxHeaderBytes {
			if len(data)-found.headers > maxHeaderBytes {
				return found, damaged
			}
			found.body, found.bodyEnd = len(data), len(data)
			return found, incomplete
		}
		content := trimCR(data[line : line+newline])
		line += newline + 1
		if len(content) == 0 {
			found.body = line
			break
		}
		name, value, isHeader := bytes.Cut(content, []byte{':'})
		if !isHeader {
			return found, damaged
		}
		if length < 0 && string(name) == "content-length" {
			length = number(value)
		}
	}
	return found, found.findEnd(data, length)
}

// findEnd sets bodyEnd and end, given the content-length, -1 without one.
func (f *frame) findEnd(data []byte, length int) status {
	f.bodyEnd = len(data)
	if length >= 0 {
		if f.body+length+1-f.start > maxFrameBytes {
			return f.cut(data)
		}
		if f.body+length >= len(data) {
			return incomplete
		}
		if data[f.body+length] == 0 {
			f.bodyEnd, f.end = f.body+length, f.body+length+1
			return complete
		}
		// A wrong content-length: the NUL decides, as it does without one.
	}
	nul := bytes.IndexByte(data[f.body:min(len(data), f.start+maxFrameBytes)], 0)
	if nul < 0 {
		return f.cut(data)
	}
	f.bodyEnd, f.end = f.body+nul, f.body+nul+1
	return complete
}

// cut ends the frame at maxFrameBytes, if data holds that many.
func (f *frame) cut(data []byte) status {
	if len(data)-f.start < maxFrameBytes {
		return incomplete
	}
	f.end = f.start + maxFrameBytes
	f.bodyEnd = f.end
	return tooLong
}

// each calls visit with the header lines' names and values, as offsets: data[name:colon] and data[value:end].
func (f *frame) each(data []byte, visit func(name, colon, value, end int)) {
	for line := f.headers; line < f.body; {
		newline := bytes.IndexByte(data[line:f.body], '\n')
		if newline < 0 {
			return
		}
		content := trimCR(data[line : line+newline])
		if colon := bytes.IndexByte(content, ':'); colon >= 0 {
			visit(line, line+colon, line+colon+1, line+len(content))
		}
		line += newline + 1
	}
}

// garbageEnd returns where the bytes from data[at] that are no frame end: before a frame, or after maxGarbageBytes.
// It answers the same however the bytes arrive, so it may need to see more.
func garbageEnd(data []byte, at int, last bool) (int, status) {
	limit := at + maxGarbageBytes
	for next := at + 1; next < min(len(data), limit); next++ {
		if data[next-1] != 0 && data[next-1] != '\n' {
			continue
		}
		if _, state := commandAt(data, next); state == complete {
			return next, complete
		} else if state == incomplete && !last {
			return 0, incomplete
		}
	}
	if len(data) < limit && !last {
		return 0, incomplete
	}
	return min(len(data), limit), complete
}

// unescape decodes \n, \r, \c and \\ of 1.1 and later. 1.0, CONNECT and CONNECTED have no escapes; other pairs stay.
func unescape(value []byte) string {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			if at := bytes.IndexByte([]byte(`nrc\`), value[i+1]); at >= 0 {
				out = append(out, "\n\r:\\"[at])
				i++
				continue
			}
		}
		out = append(out, value[i])
	}
	return string(out)
}

func trimCR(line []byte) []byte {
	if len(line) > 0 && line[len(line)-1] == '\r' {
		return line[:len(line)-1]
	}
	return line
}

// number reads a content-length; -1 unless it is a number of at most nine digits.
func number(text []byte) int {
	if len(text) == 0 || len(text) > 9 {
		return -1
	}
	value := 0
	for _, digit := range text {
		if digit < '0' || digit > '9' {
			return -1
		}
		value = value*10 + int(digit-'0')
	}
	return value
}
