// Topics, patterns of topics, and the globs that rules are written in.
//
// A pattern is what a client may subscribe to: a topic whose last segment is "*", standing for one or more segments.
// A glob is what a rule says: "*" as the last segment stands for one or more segments, any other star for any characters
// within its segment, so user:*:order_events, stream:market_data:BTC_* and * are globs.
import { Span, ascii, lenOf, ptrOf, same, span } from "../../sdk/assemblyscript/assembly";

const STAR: u32 = 0x2a;
const COLON: u32 = 0x3a;

export const TOPIC_BYTES_MAX: u32 = 255;
const SEGMENTS_MAX: u32 = 8;
const SEGMENT_BYTES_MAX: usize = 128;

// Characters of a segment, a bit each: - . 0-9 below 64, @ A-Z _ a-z above.
const LOW: u64 = 0x03ff600000000000;
const HIGH: u64 = 0x07fffffe87ffffff;

const LENGTH = ascii("topic must have 1 to 255 bytes");
const EMPTY = ascii("topic has an empty segment");
const LONG = ascii("topic has a segment of more than 128 characters");
const MANY = ascii("topic has more than 8 segments");
const CHARACTER = ascii("topic may hold only A-Z a-z 0-9 _ . @ - between its colons");
const WILD = ascii("* may only be the last segment of a pattern");

// The topic read last.
export let topic: Span = 0;
export let wild: bool = false; // it is a pattern
export let segments: u32 = 0;
export let kind: Span = 0; // its first segment
export let owner: Span = 0; // its second segment
export let rest: Span = 0; // all behind the second colon

// read takes a topic or pattern apart. It returns 0, or why it is neither. Nothing that could be read in two ways gets
// past it: no empty segment, no foreign character, no star but a last segment.
export function read(s: Span): Span {
  topic = s;
  wild = false;
  segments = 0;
  kind = owner = rest = 0;
  const n = lenOf(s);
  if (n == 0 || n > TOPIC_BYTES_MAX) return LENGTH;
  const end = ptrOf(s) + n;
  let from = ptrOf(s);
  while (true) {
    let p = from;
    while (p < end && inSegment(load<u8>(p))) p++;
    const why = segment(from, p, end);
    if (why != 0) return why;
    if (wild) p++;
    if (segments == 0) kind = span(from, p - from);
    else if (segments == 1) owner = span(from, p - from);
    else if (segments == 2) rest = span(from, end - from);
    if (++segments > SEGMENTS_MAX) return MANY;
    if (p == end) return 0;
    from = p + 1;
  }
}

// segment judges the segment that begins at `from` and whose proper characters end at p.
function segment(from: usize, p: usize, end: usize): Span {
  const c: u32 = p < end ? load<u8>(p) : COLON;
  if (c == STAR) {
    if (p != from || p + 1 != end || segments == 0) return WILD;
    wild = true;
    return 0;
  }
  if (c != COLON) return CHARACTER;
  if (p == from) return EMPTY;
  return p - from > SEGMENT_BYTES_MAX ? LONG : 0;
}

// valid reports whether a glob is well formed.
export function valid(glob: Span): bool {
  const n = lenOf(glob);
  if (n == 0 || n > TOPIC_BYTES_MAX) return false;
  let before = COLON;
  for (let p = ptrOf(glob), end = p + n; p < end; p++) {
    const c: u32 = load<u8>(p);
    if (c == COLON ? before == COLON : c != STAR && !inSegment(c)) return false;
    before = c;
  }
  return before != COLON;
}

// covers reports whether a glob matches the topic read last, or everything that pattern stands for.
export function covers(glob: Span): bool {
  return compare(glob, false);
}

// prefixOf is all of a glob before its star, where that is its only one and a whole segment: such a glob covers what
// begins with it. It is 0 for any other.
export function prefixOf(glob: Span): Span {
  const n = lenOf(glob);
  if (n < 3 || load<u8>(ptrOf(glob) + n - 1) != STAR || load<u8>(ptrOf(glob) + n - 2) != COLON) return 0;
  for (let p = ptrOf(glob), end = p + n - 1; p < end; p++) {
    if (load<u8>(p) == STAR) return 0;
  }
  return span(ptrOf(glob), n - 1);
}

// begins is covers for the glob that prefix was made of, eight characters at a time (BenchmarkTopicAuth).
export function begins(prefix: Span): bool {
  const n = lenOf(prefix);
  return lenOf(topic) > n && same(prefix, span(ptrOf(topic), n));
}

// touches reports whether a glob matches the topic read last, or anything that pattern stands for.
export function touches(glob: Span): bool {
  return compare(glob, true);
}

// compare walks glob and topic side by side. Where the topic is a pattern and its star is reached, with `some` anything
// the glob still asks for can be met; otherwise only the glob's own last star covers all that may follow.
function compare(glob: Span, some: bool): bool {
  let g = ptrOf(glob), t = ptrOf(topic);
  const gEnd = g + lenOf(glob), tEnd = t + lenOf(topic);
  const star = wild ? tEnd - 1 : 0;
  let first = true; // g and t stand at the beginning of a segment
  while (g < gEnd && t < tEnd) {
    const c: u32 = load<u8>(g);
    if (first && c == STAR && g + 1 == gEnd) return true;
    if (t == star) return some;
    if (c == STAR) {
      const gNext = segmentEnd(g, gEnd), tNext = segmentEnd(t, tEnd);
      if (!segmentMatches(g, gNext, t, tNext)) return false;
      g = gNext;
      t = tNext;
      first = false;
      continue;
    }
    if (c != load<u8>(t)) return false;
    first = c == COLON;
    g++;
    t++;
  }
  while (g < gEnd && load<u8>(g) == STAR) g++; // behind the last character, a star stands for nothing
  return g == gEnd && t == tEnd;
}

function segmentEnd(p: usize, end: usize): usize {
  while (p < end && load<u8>(p) != COLON) p++;
  return p;
}

// segmentMatches matches what is left of a segment against what is left of a glob's, in which a star stands for any
// characters. On a mismatch the last star takes one character more, so the work is at most the product of the lengths.
function segmentMatches(g: usize, gEnd: usize, t: usize, tEnd: usize): bool {
  let starred: usize = 0; // behind the last star
  let retry: usize = 0; // where it begins to match
  while (t < tEnd) {
    const c: u32 = g < gEnd ? load<u8>(g) : 0;
    if (c == STAR) {
      starred = ++g;
      retry = t;
    } else if (c == load<u8>(t)) {
      g++;
      t++;
    } else if (starred != 0) {
      g = starred;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (g < gEnd && load<u8>(g) == STAR) g++;
  return g == gEnd;
}

// isOwned reports whether the topic read last has the form {kind}:{id}:… of what belongs to one user.
export function isOwned(): bool {
  return segments > 2 && (same(kind, USER) || same(kind, PRIORITY) || same(kind, CLIENT));
}

// isOwn reports whether the topic read last is one of the user's own: user:{id}:…, priority:{id}:messages or
// client:{id}:messages. Segments are compared whole, so u1 is never u10.
export function isOwn(user: Span): bool {
  if (segments < 3 || lenOf(user) == 0 || !same(owner, user)) return false;
  return same(kind, USER) || (same(rest, MESSAGES) && (same(kind, PRIORITY) || same(kind, CLIENT)));
}

// isOwnMessages reports whether the topic read last is client:{id}:messages of the user.
export function isOwnMessages(user: Span): bool {
  return lenOf(user) != 0 && same(owner, user) && same(kind, CLIENT) && same(rest, MESSAGES);
}

const USER = ascii("user");
const PRIORITY = ascii("priority");
const CLIENT = ascii("client");
const MESSAGES = ascii("messages");

// @ts-ignore: decorator
@inline function inSegment(c: u32): bool {
  return c < 128 && (((c < 64 ? LOW : HIGH) >> (c & 63)) & 1) != 0;
}
