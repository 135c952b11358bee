package plugin

import (
	"strconv"
	"strings"
)

// ServiceError says why something that was asked for was not done.
type ServiceError struct {
	Status  string // refused (not granted, or not in this hook), failed, late or invalid
	Message string
}

func (e *ServiceError) Error() string { return e.Status + ": " + e.Message }

// HTTPResponse is a web server's answer.
type HTTPResponse struct {
	Status     int
	StatusText string
	URL        string            // where it came from, behind redirects
	Headers    map[string]string // by name in lower case
	Body       []byte
}

// FileEntry is a name in a folder.
type FileEntry struct {
	Name string
	Kind string // file, folder or other
	Size int64
}

const maxMessage = 8 << 20

var statuses = [...]string{"ok", "refused", "failed", "late", "invalid"}

// askHost sends a request and returns the answer; nil outside kubeshark.
var askHost func(request []byte) []byte

// ask is allowed in SegmentSealed, Work, Configure, Start and Stop; it waits for the answer.
func ask(service string, arguments ...[]byte) ([][]byte, error) {
	if askHost == nil {
		return nil, &ServiceError{"failed", "nobody can be asked"}
	}
	parts := append([][]byte{[]byte(service)}, arguments...)
	length := 8 + 4*len(parts)
	for _, part := range parts {
		length += len(part)
	}
	if length > maxMessage {
		return nil, &ServiceError{"invalid", "a request has at most 8 MiB bytes"}
	}
	request := appendUint32(make([]byte, 4, length), uint32(len(parts)))
	for _, part := range parts {
		request = appendUint32(request, uint32(len(part)))
	}
	for _, part := range parts {
		request = append(request, part...)
	}
	status, answer := split(askHost(request))
	if status == 0 {
		return answer, nil
	}
	message := "the answer is damaged"
	if len(answer) > 0 {
		message = string(answer[0])
	}
	return nil, &ServiceError{statuses[min(status, 4)], message}
}

// split takes a message apart; one that is damaged is a failure without text.
func split(message []byte) (status uint32, parts [][]byte) {
	if len(message) < 8 {
		return 2, nil
	}
	status, count := readUint32(message), uint64(readUint32(message[4:]))
	if count > uint64(len(message)-8)/4 {
		return 2, nil
	}
	rest := message[8+4*count:]
	for i := range count {
		length := uint64(readUint32(message[8+4*i:]))
		if length > uint64(len(rest)) {
			return 2, nil
		}
		parts, rest = append(parts, rest[:length:length]), rest[length:]
	}
	return status, parts
}

func onePart(parts [][]byte, err error) ([]byte, error) {
	if err != nil || len(parts) == 0 {
		return nil, err
	}
	return parts[0], nil
}

func entriesOf(parts [][]byte, err error) ([]FileEntry, error) {
	var entries []FileEntry
	for ; len(parts) >= 3; parts = parts[3:] {
		size, _ := strconv.ParseInt(string(parts[2]), 10, 64)
		entries = append(entries, FileEntry{string(parts[0]), string(parts[1]), size})
	}
	return entries, err
}

func responseOf(parts [][]byte, err error) (*HTTPResponse, error) {
	if err != nil || len(parts) < 5 {
		return nil, err
	}
	status, _ := strconv.Atoi(string(parts[0]))
	response := &HTTPResponse{status, string(parts[1]), string(parts[2]), map[string]string{}, parts[4]}
	for _, line := range strings.Split(string(parts[3]), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			name = strings.ToLower(name)
			value = strings.TrimSpace(value)
			if before, twice := response.Headers[name]; twice {
				value = before + ", " + value
			}
			response.Headers[name] = value
		}
	}
	return response, nil
}

// Not encoding/binary, which brings reflection into every plugin.
func appendUint32(out []byte, value uint32) []byte {
	return append(out, byte(value), byte(value>>8), byte(value>>16), byte(value>>24))
}

func readUint32(data []byte) uint32 {
	return uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
}
