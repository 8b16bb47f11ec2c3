// The document of wse_strategy_ticks, which is binary (sdk/ABI.md, strategy).
const HEAD: u32 = 8;
const TICK: u32 = 32;

let document: usize = 0;

// open reads a document as ticks. It returns false where it is none.
export function open(ptr: usize, len: u32): bool {
  document = ptr;
  return len >= HEAD && <u64>load<u32>(ptr) * TICK == <u64>(len - HEAD);
}

// count is how many ticks there are.
export function count(): u32 {
  return load<u32>(document);
}

// handle is the number that wse_strategy_open was given for the symbol.
export function handle(): u32 {
  return load<u32>(document, 4);
}

// time is when tick i was, in Unix milliseconds.
export function time(i: u32): f64 {
  return load<f64>(at(i));
}

export function price(i: u32): f64 {
  return load<f64>(at(i), 8);
}

export function volume(i: u32): f64 {
  return load<f64>(at(i), 16);
}

export function quoteVolume(i: u32): f64 {
  return load<f64>(at(i), 24);
}

// @ts-ignore: decorator
@inline function at(i: u32): usize {
  return document + HEAD + <usize>i * TICK;
}
