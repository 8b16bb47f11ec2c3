# How a plugin in AssemblyScript is built: plugin.ts in this directory becomes plugin.wasm. Set SDK to the SDK's directory,
# which holds the compiler, pinned by its package-lock.json, once npm has installed it. It needs Node.js 20 or newer.
NODE ?= node
NPM ?= npm
ASC := $(SDK)/node_modules/assemblyscript/bin/asc.js

plugin.wasm: $(wildcard *.ts) $(wildcard $(SDK)/assembly/*.ts) $(SDK)/plugin.mk $(SDK)/node_modules/.package-lock.json
	$(NODE) $(ASC) plugin.ts -o $@ -O3 --noAssert --runtime stub --exportStart _initialize --debug

$(SDK)/node_modules/.package-lock.json: $(SDK)/package-lock.json
	$(NPM) ci --prefix $(SDK) --no-audit --no-fund --loglevel=error

.PHONY: clean
clean:
	rm -f plugin.wasm
