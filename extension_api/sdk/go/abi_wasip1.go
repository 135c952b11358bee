package plugin

import (
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// The exports of the batch ABI.

var (
	input  []uint64
	output []byte
	state  caller
)

//go:wasmexport ks_abi
func ksABI() uint32 { return abiVersion }

//go:wasmexport ks_hooks
func ksHooks() uint32 { return hooks() }

//go:wasmexport ks_reserve
func ksReserve(length uint32) unsafe.Pointer {
	if words := int(length+7) / 8; words > len(input) {
		input = make([]uint64, words)
	}
	return unsafe.Pointer(unsafe.SliceData(input))
}

//go:wasmexport ks_call
func ksCall(_ uint32, length uint32) (written uint32) {
	defer func() {
		if failure := recover(); failure != nil {
			report(failure)
		}
	}()
	if uint64(length) > uint64(len(input))*8 {
		panic(errFrame)
	}
	answer, err := state.call(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(input))), length))
	if err != nil {
		panic(err)
	}
	output = answer
	return uint32(len(answer))
}

//go:wasmexport ks_out
func ksOut() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(output)) }

const shownCalls = 3 // a line is for reading

// report prints what failed and where in the author's code; kubeshark shows it with the plugin's name.
func report(failure any) {
	text := "panic with a value that is no text"
	switch f := failure.(type) {
	case error:
		text = f.Error()
	case string:
		text = f
	}
	var calls [32]uintptr
	frames := runtime.CallersFrames(calls[:runtime.Callers(3, calls[:])]) // without Callers, report and the deferred function
	var shown []string
	for more := true; more && len(shown) < shownCalls; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if strings.HasPrefix(frame.Function, "kubeshark.dev/plugin.(*caller)") {
			break // below is only what calls the plugin
		}
		if !strings.HasPrefix(frame.Function, "runtime.") && !strings.HasPrefix(frame.Function, "kubeshark.dev/plugin.") {
			shown = append(shown, frame.Function+", "+frame.File+":"+strconv.Itoa(frame.Line))
		}
	}
	if len(shown) > 0 {
		text += " (" + strings.Join(shown, ", called from ") + ")"
	}
	print(text + "\n") // to stderr, without package os
}

//go:wasmimport kubeshark ask
func hostAsk(request unsafe.Pointer, length uint32) uint32

//go:wasmimport kubeshark take
func hostTake(into unsafe.Pointer)

func init() {
	askHost = func(request []byte) []byte {
		answer := make([]byte, hostAsk(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request))))
		if len(answer) > 0 {
			hostTake(unsafe.Pointer(unsafe.SliceData(answer)))
		}
		return answer
	}
}
