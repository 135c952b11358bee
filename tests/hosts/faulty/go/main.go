// Command faulty does what each item tells it, mostly wrong.
package main

import (
	"os"
	"strings"
	"time"

	"kubeshark.dev/plugin"
)

type faulty struct{}

func init() { plugin.Register(faulty{}) }

func main() {}

var (
	kept    [][]byte
	nothing *struct{ value int }
)

func (faulty) Dissect(item *plugin.Item, out *plugin.Messages) int {
	order, said, _ := strings.Cut(string(item.Data), " ")
	switch order {
	case "loop":
		for {
		}
	case "stack":
		deeper(0)
	case "memory":
		for {
			kept = append(kept, make([]byte, 8<<20))
		}
	case "panic", "abort":
		panic("on purpose")
	case "nil":
		nothing.value = 1
	case "index":
		item.Data[len(item.Data)] = 0
	case "library":
		_ = strings.Repeat("x", -len(order))
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Hour)
	case "goroutine":
		done := make(chan int)
		go func() { panic("beside the call") }()
		<-done
	case "deadlock":
		select {}
	case "outside":
		out.Add(plugin.Event, 1, len(item.Data)+1)
	case "backwards":
		out.Add(plugin.Event, 2, 1)
	case "consumed":
		return len(item.Data) + 1
	case "flood":
		for range 300_000 {
			out.Add(plugin.Event, 0, 1)
		}
	case "large":
		out.Add(plugin.Event, 0, 1).Text(FieldSaid, strings.Repeat("x", 9<<20))
	case "field":
		out.Add(plugin.Event, 0, 1).Int(99, 1)
	case "type":
		out.Add(plugin.Event, 0, 1).Int(FieldSaid, 1)
	case "secrets":
		environment, _ := os.ReadFile("/proc/self/environ")
		said = strings.Join(os.Environ(), " ") + string(environment)
	}
	out.Add(plugin.Event, 0, len(item.Data)).Text(FieldSaid, said)
	return len(item.Data)
}

func deeper(depth int) int { return deeper(depth+1) + depth }
