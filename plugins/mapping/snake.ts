// Names in snake case: OrderFilledEvent → order_filled_event, HTTPServerDown → http_server_down.
import { Span, lenOf, ptrOf } from "../../sdk/assemblyscript/assembly";

const NOTHING: u32 = 0; // the beginning, or a separator
const SMALL: u32 = 1; // a small letter, a digit, or a character beyond ASCII
const CAPITAL: u32 = 2;

// write writes a name in snake case at w, which has room for twice its bytes, and returns the address behind it. A word
// begins at a capital after a small letter or digit, and at the last capital of a run that a small letter follows. ASCII
// characters that are no letters or digits separate words. What is written needs no escape in JSON; it is nothing where
// the name has no letter or digit at all.
export function write(name: Span, w: usize): usize {
  const from = w;
  const p = ptrOf(name), n = lenOf(name);
  let before = NOTHING;
  for (let i: u32 = 0; i < n; i++) {
    const c: u32 = load<u8>(p + i);
    const kind = kindOf(c);
    if (kind != NOTHING) {
      const last = i + 1 < n && isSmall(load<u8>(p + i + 1));
      if (w != from && (before == NOTHING || (kind == CAPITAL && (before == SMALL || last)))) store<u8>(w++, 0x5f);
      store<u8>(w++, <u8>(kind == CAPITAL ? c | 0x20 : c));
    }
    before = kind;
  }
  return w;
}

function kindOf(c: u32): u32 {
  if (c - 0x41 < 26) return CAPITAL;
  return isSmall(c) || c - 0x30 < 10 || c >= 0x80 ? SMALL : NOTHING;
}

function isSmall(c: u32): bool {
  return c - 0x61 < 26;
}
