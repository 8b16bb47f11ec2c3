//go:build wasip1

package main

import wse "github.com/wse-engine/wse/sdk/go"

//go:wasmexport wse_configure
func wseConfigure(n int32) wse.Result { return wse.Call(n, configure) }

//go:wasmexport wse_transform
func wseTransform(n int32) wse.Result { return wse.Call(n, transform) }

//go:wasmexport wse_transform_batch
func wseTransformBatch(n int32) wse.Result { return wse.Batch(n, transform) }

//go:wasmexport wse_authorize
func wseAuthorize(n int32) wse.Result { return wse.Call(n, authorize) }

//go:wasmexport wse_validate
func wseValidate(n int32) wse.Result { return wse.Call(n, validate) }

//go:wasmexport wse_strategy_open
func wseStrategyOpen(n int32) wse.Result { return wse.Call(n, open) }

//go:wasmexport wse_strategy_ticks
func wseStrategyTicks(n int32) wse.Result { return wse.Call(n, ticks) }

//go:wasmexport wse_strategy_update
func wseStrategyUpdate(n int32) wse.Result { return wse.Call(n, update) }
