# How a plugin in WAT is built: plugin.wat in this directory becomes plugin.wasm. wat2wasm includes nothing, so the module is put
# together here: "(module ", plugin.wat, PARTS, ")". plugin.wat comes first, because imports must stand before everything
# else; that it begins on the first line keeps the line numbers of wat2wasm's messages right. Set SDK to the directory of
# wse.wat, add $(SDK)/batch.wat to PARTS for wse_transform_batch, and include this file.
WAT2WASM ?= wat2wasm
PARTS ?= $(SDK)/wse.wat

plugin.wasm: plugin.wat $(PARTS) $(SDK)/plugin.mk
	mkdir -p target
	{ printf '(module '; cat plugin.wat $(PARTS); echo ')'; } > target/plugin.wat
	$(WAT2WASM) --debug-names -o $@ target/plugin.wat

.PHONY: clean
clean:
	rm -rf plugin.wasm target
