# How a plugin in C is built: plugin.c in this directory becomes plugin.wasm. Set SDK to the directory of wse.h and include
# this file. CLANG may name another clang (14 or newer) that knows wasm32; its wasm-ld must be of the same version.
CLANG ?= $(firstword $(shell command -v clang-19 clang-18 clang-17 clang-16 clang) clang-19)
CFLAGS ?= -O2 -Wall -Wextra -Wpedantic -Werror
DEBUG ?=

plugin.wasm: $(wildcard *.c *.h) $(wildcard $(SDK)/*.h) $(SDK)/plugin.mk
	$(CLANG) --target=wasm32 -std=c11 -ffreestanding -nostdlib -mbulk-memory -msign-ext -mnontrapping-fptoint \
	  $(CFLAGS) $(if $(DEBUG),-g) -I $(SDK) \
	  -Wl,--no-entry,--stack-first,-z,stack-size=65536,--fatal-warnings -o $@ plugin.c

.PHONY: clean
clean:
	rm -f plugin.wasm
