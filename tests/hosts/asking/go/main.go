// Command asker asks for what the name of a segment says; its path and source are the arguments.
package main

import (
	"errors"
	"strconv"
	"strings"

	"kubeshark.dev/plugin"
)

type asker struct{}

func init() { plugin.Register(asker{}) }

func main() {}

func obey(name, path, source string) (string, error) {
	switch name {
	case "http":
		method := "GET"
		if source != "" {
			method = "POST"
		}
		response, err := plugin.HTTP(method, path, "X-From: go\n", []byte(source))
		if err != nil {
			return "", err
		}
		return strings.Join([]string{strconv.Itoa(response.Status), response.StatusText, response.Headers["x-kind"], string(response.Body)}, " "), nil
	case "header":
		_, err := plugin.HTTP("GET", path, "X: y\rHost: evil\n", nil)
		return "", err
	case "read":
		data, err := plugin.FileRead(path)
		return string(data), err
	case "write":
		return "", plugin.FileWrite(path, []byte(source))
	case "append":
		return "", plugin.FileAppend(path, []byte(source))
	case "list":
		entries, err := plugin.FileList(path)
		var texts []string
		for _, entry := range entries {
			texts = append(texts, entry.Name+":"+entry.Kind+":"+strconv.FormatInt(entry.Size, 10))
		}
		return strings.Join(texts, " "), err
	case "delete":
		return "", plugin.FileDelete(path)
	case "folder":
		return "", plugin.FileMakeFolder(path)
	case "move":
		return "", plugin.FileMove(path, source)
	case "large":
		return "", plugin.FileWrite(path, make([]byte, 9<<20))
	case "flood":
		for {
			plugin.FileRead("data/nothing")
		}
	case "nonsense":
		return "", errors.New("there is no service that Go can name wrongly")
	}
	return path + " " + source, nil
}

func (asker) SegmentSealed(segment *plugin.Segment, out *plugin.Report) {
	said, err := obey(segment.Name, segment.Path, segment.Source)
	if err != nil {
		out.Refuse(err.Error())
		return
	}
	out.Log(said)
}

func (asker) Dissect(item *plugin.Item, out *plugin.Messages) int {
	said := ""
	if _, err := plugin.HTTP("GET", string(item.Data), "", nil); err != nil {
		said = err.Error()
	}
	out.Add(plugin.Event, 0, len(item.Data)).Text(FieldSaid, said)
	return len(item.Data)
}

func (asker) Start(out *plugin.Report) {
	data, err := plugin.FileRead("data/at-start")
	if err != nil {
		data = []byte(err.Error())
	}
	out.Log(string(data))
}

func (asker) Stop(*plugin.Report) { plugin.FileWrite("data/at-stop", []byte("stopped")) }
