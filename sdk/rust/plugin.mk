# How a plugin in Rust is built, with nothing but rustc: plugin.rs in this directory becomes plugin.wasm. Set SDK to the
# directory of this file and include it. RUSTC may name a compiler; otherwise the one in PATH is taken where it has the
# library of wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown), and else Debian's, which links with wasm-ld-14.
TARGET := wasm32-unknown-unknown
has-target = $(shell test -d "$$($(1) --print target-libdir --target $(TARGET) 2>/dev/null || echo /nowhere)" && command -v $(1))
RUSTC ?= $(firstword $(call has-target,rustc) $(call has-target,/usr/bin/rustc) rustc)
LINKER ?= $(if $(filter /usr/bin/rustc,$(RUSTC)),wasm-ld-14)
RUSTFLAGS ?= -C opt-level=3
FEATURES := +bulk-memory,+nontrapping-fptoint
DEBUG ?=

flags = --target $(TARGET) --edition 2021 -C panic=abort -C codegen-units=1 -C target-feature=$(FEATURES) $(RUSTFLAGS) $(if $(DEBUG),-g) \
  --remap-path-prefix '$(abspath $(SDK))=wse' --remap-path-prefix '$(CURDIR)=.'
link = -C lto=fat $(if $(LINKER),-C linker=$(LINKER) -C linker-flavor=wasm-ld) -C link-arg=-zstack-size=65536 -C link-arg=--demangle $(if $(DEBUG),,-C strip=debuginfo)

plugin.wasm: $(wildcard *.rs) $(wildcard $(SDK)/src/*.rs) $(SDK)/plugin.mk
	mkdir -p target
	$(RUSTC) $(flags) --crate-type rlib --crate-name wse --out-dir target $(SDK)/src/lib.rs
	$(RUSTC) $(flags) $(link) --crate-type cdylib --crate-name plugin --extern wse=target/libwse.rlib -o $@ plugin.rs

.PHONY: clean
clean:
	rm -rf plugin.wasm target
