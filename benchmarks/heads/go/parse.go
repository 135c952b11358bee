package main

type head struct {
	methodEnd, pathEnd, host, hostEnd, headers, end int
	length                                          int64 // of the body; -1: not said
}

func named(name []byte, wanted string) bool {
	if len(name) != len(wanted) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != wanted[i] {
			return false
		}
	}
	return true
}

// parse says false for what is no whole head.
func parse(data []byte) (head, bool) {
	found := head{length: -1}
	found.methodEnd = indexByte(data, 0, ' ')
	if found.methodEnd < 1 {
		return found, false
	}
	found.pathEnd = indexByte(data, found.methodEnd+1, ' ')
	if found.pathEnd < 0 {
		return found, false
	}
	lineEnd := indexByte(data, found.pathEnd, '\n')
	if lineEnd < 0 {
		return found, false
	}
	for at := lineEnd + 1; ; at = lineEnd + 1 {
		lineEnd = indexByte(data, at, '\n')
		if lineEnd < 0 {
			return found, false
		}
		stop := lineEnd
		if stop > at && data[stop-1] == '\r' {
			stop--
		}
		if stop == at {
			found.end = lineEnd + 1
			return found, true
		}
		colon := indexByte(data[:stop], at, ':')
		if colon < 0 {
			return found, false
		}
		value := colon + 1
		for value < stop && data[value] == ' ' {
			value++
		}
		found.headers++
		if name := data[at:colon]; named(name, "host") {
			found.host, found.hostEnd = value, stop
		} else if named(name, "content-length") && stop-value <= 18 {
			found.length = 0
			for _, c := range data[value:stop] {
				if c < '0' || c > '9' {
					break
				}
				found.length = found.length*10 + int64(c-'0')
			}
		}
	}
}
