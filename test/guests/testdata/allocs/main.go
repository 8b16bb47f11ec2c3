//go:build wasip1

// A guest that reads and writes in every way the SDK has, and tells how many objects its program has allocated so far.
package main

import (
	"runtime"

	wse "github.com/wse-engine/wse/sdk/go"
)

//go:wasmexport wse_transform
func wseTransform(n int32) wse.Result { return wse.Call(n, transform) }

//go:wasmexport wse_transform_batch
func wseTransformBatch(n int32) wse.Result { return wse.Batch(n, transform) }

func main() {}

// memory is guest state, so that asking for it allocates nothing itself.
var memory runtime.MemStats

func transform(in *wse.Reader, out *wse.Writer) wse.Result {
	count := false
	in.Object()
	for in.Member() {
		switch string(in.Key()) {
		case "count":
			count = in.Skip()
		case "text":
			in.String()
			out.PutText(in.Text())
			wse.Log(wse.LevelInfo, in.Text())
			wse.Metric("texts", 1)
		case "list":
			in.Array()
			for in.Element() {
				in.Skip()
				v, _ := in.Integer()
				out.PutInt(v)
			}
		default:
			out.Put(in.Key())
			in.Skip()
			out.Put(in.Raw())
		}
	}
	if !in.Close() {
		return out.Error("not JSON")
	}
	if count {
		out.Reset(0)
		runtime.ReadMemStats(&memory)
		out.PutInt(int64(memory.Mallocs))
	}
	return out.Result()
}
