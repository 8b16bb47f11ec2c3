//go:build wasip1

package main

import wse "github.com/wse-engine/wse/sdk/go"

//go:wasmexport wse_configure
func wseConfigure(n int32) wse.Result { return wse.Call(n, configure) }

//go:wasmexport wse_authorize
func wseAuthorize(n int32) wse.Result { return wse.Call(n, authorize) }
