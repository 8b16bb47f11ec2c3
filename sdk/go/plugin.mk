# How a plugin in Go is built: the package in this directory becomes plugin.wasm. It needs Go 1.24 or newer, which may be
# named by GO. TINYGO=tinygo builds with TinyGo instead.
GO ?= go
TINYGO ?=

plugin.wasm: FORCE
ifeq ($(TINYGO),)
	GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -buildmode=c-shared -o $@ .
else
	$(TINYGO) build -target=wasip1 -buildmode=c-shared -o $@ .
endif

.PHONY: FORCE clean
FORCE:
clean:
	rm -f plugin.wasm
