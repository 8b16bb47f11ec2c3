// A plugin that ends badly in several ways, for the tests of traces. Built by
//
//	clang-19 --target=wasm32 -g -O0 -nostdlib -Wl,--no-entry -Wl,--export-memory -o trap-O0.wasm trap.c
//	clang-19 --target=wasm32 -g -O2 -nostdlib -Wl,--no-entry -Wl,--export-memory -o trap-O2.wasm trap.c
typedef unsigned int u32;
typedef unsigned long long u64;

static volatile unsigned char in[1 << 16];

#define EXPORT(name) __attribute__((export_name(#name)))

__attribute__((noinline)) static int deep(int n) {
  if (n == 0)
    __builtin_trap();
  return deep(n - 1) + 1;
}

static inline int divide(int a, int b) {
  int sum = a + 1;
  return sum / b;
}

__attribute__((noinline)) static u64 forever(void) {
  for (;;)
    in[1]++;
}

__attribute__((noinline)) static int outside(u32 at) {
  return *(volatile int *)(at * 65536 * 255);
}

EXPORT(wse_abi_v1) u32 wse_abi_v1(void) { return 0; }

EXPORT(wse_buffer) u32 wse_buffer(u32 cap) { return cap <= sizeof in ? (u32)in : 0; }

EXPORT(wse_transform) u64 wse_transform(u32 len) {
  switch (in[0]) {
  case 'd':
    return deep(2);
  case 'z':
    return divide(len, in[1] - in[1]);
  case 'f':
    return forever();
  case 'o':
    return outside(len);
  }
  return 1;
}
