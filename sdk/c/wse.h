// wse.h: plugins of the wse engine in C (plugin ABI, version 1). One header for one source file; no C library, nothing to
// link. README.md has a whole plugin and the lines that build it, sdk/ABI.md the contract underneath.
//
//   exports   WSE_TRANSFORM(f); WSE_TRANSFORM_BATCH(f); WSE_AUTHORIZE(f); WSE_VALIDATE(f); WSE_CONFIGURE(f); WSE_STRATEGY(o, t, u);
//   answers   WSE_NO  WSE_YES  wse_result()  wse_failure()  wse_data(span)  wse_error(span)  wse_error_code(n)
//   reader    wse_open … wse_close        over the document where it lies
//   writer    wse_begin, wse_put …        into one output buffer
//   host      wse_log, wse_metric         imported only where they are called
//   memory    wse_alloc, wse_keep         taken once, never given back
//
// Nothing here allocates per call but the output buffer, which doubles until it is large enough. Names with two
// underscores (wse__x) are the header's own.
#ifndef WSE_H
#define WSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__wasm32__) || !defined(__clang__)
#error "wse.h is for clang --target=wasm32"
#endif

#define WSE__INLINE static inline __attribute__((always_inline))
#define WSE__CALLED static __attribute__((unused, noinline)) // too large, or too seldom needed, to be repeated at its callers

// Bounds of the SDK. The host has limits of its own, usually lower.
enum {
  WSE_INPUT_MAX = 4 << 20,  // bytes of a document
  WSE_OUTPUT_MAX = 4 << 20, // bytes of an answer
  WSE_DEPTH_MAX = 64,       // objects and arrays inside each other, as the host limits them
  WSE_TEXT_MAX = 4096,      // bytes that wse_text and wse_key_text decode
  WSE_SLACK = 16,           // bytes behind every block of wse_alloc that may be read and written
};

// ---- Spans -------------------------------------------------------------------------------------------------------------

// A wse_span is a run of bytes somewhere: a part of the document, a literal, something kept.
typedef struct {
  const uint8_t *ptr;
  uint32_t len;
} wse_span;

// WSE("text") is a literal as a span. Comparing with one and writing one costs a few instructions, since its length and
// its bytes are known to the compiler.
#define WSE(literal) ((wse_span){(const uint8_t *)("" literal), sizeof(literal) - 1})

// WSE_NONE is the span of nothing.
#define WSE_NONE ((wse_span){0, 0})

// wse_between is the span from one address up to another.
WSE__INLINE wse_span wse_between(const uint8_t *from, const uint8_t *to) {
  return (wse_span){from, (uint32_t)(to - from)};
}

WSE__INLINE uint64_t wse__load64(const uint8_t *p) {
  uint64_t v;
  __builtin_memcpy(&v, p, 8);
  return v;
}

WSE__INLINE uint32_t wse__load32(const uint8_t *p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

WSE__CALLED bool wse__same(const uint8_t *p, const uint8_t *q, uint32_t n) {
  for (; n >= 8; n -= 8, p += 8, q += 8)
    if (wse__load64(p) != wse__load64(q)) return false;
  for (; n > 0; n--)
    if (*p++ != *q++) return false;
  return true;
}

// wse_same reports whether two spans hold the same bytes.
WSE__INLINE bool wse_same(wse_span a, wse_span b) {
  return a.len == b.len && wse__same(a.ptr, b.ptr, a.len);
}

// wse__begins compares n bytes at p, n not above the literal's length and known to the compiler: all of it becomes a few
// wide comparisons with constants.
WSE__INLINE bool wse__begins(const uint8_t *p, const uint8_t *literal, uint32_t n) {
  uint64_t differ = 0;
  uint32_t i = 0;
  for (; i + 8 <= n; i += 8) differ |= wse__load64(p + i) ^ wse__load64(literal + i);
  if (n & 4) differ |= wse__load32(p + i) ^ wse__load32(literal + i), i += 4;
  if (n & 2) {
    uint16_t x, y;
    __builtin_memcpy(&x, p + i, 2);
    __builtin_memcpy(&y, literal + i, 2);
    differ |= (uint64_t)(x ^ y), i += 2;
  }
  if (n & 1) differ |= (uint64_t)(p[i] ^ literal[i]);
  return differ == 0;
}

// wse_is compares a span with a literal: wse_is(type, WSE("OrderFilled")). Any span does, a literal is fastest.
WSE__INLINE bool wse_is(wse_span s, wse_span literal) {
  if (s.len != literal.len) return false;
  if (__builtin_constant_p(literal.len) && literal.len <= 64) return wse__begins(s.ptr, literal.ptr, literal.len);
  return wse__same(s.ptr, literal.ptr, literal.len);
}

// wse_begins reports whether a span begins with another.
WSE__INLINE bool wse_begins(wse_span s, wse_span with) {
  return s.len >= with.len && wse_is((wse_span){s.ptr, with.len}, with);
}

// wse_from is a span without its first n bytes, n not above its length.
WSE__INLINE wse_span wse_from(wse_span s, uint32_t n) {
  return (wse_span){s.ptr + n, s.len - n};
}

// wse_hash mixes a span's bytes into 32 bits. It is for tables made from an operator's own configuration, not for input
// that an attacker chooses the keys of.
WSE__CALLED uint32_t wse_hash(wse_span s) {
  uint64_t h = 0x9e3779b97f4a7c15u ^ s.len;
  for (uint32_t i = 0; i < s.len; i++) h = (h ^ s.ptr[i]) * 0xff51afd7ed558ccdu, h ^= h >> 32;
  return (uint32_t)(h >> 32);
}

// ---- Memory ------------------------------------------------------------------------------------------------------------

extern uint8_t __heap_base[]; // the linker's: where data and stack end

static uintptr_t wse__top;

// wse_alloc returns `bytes` zeroed bytes, aligned to 16, or NULL where the memory limit refuses them. Memory is handed out
// once and never given back: take tables and buffers in configure, and nothing afterwards.
WSE__CALLED void *wse_alloc(uint32_t bytes) {
  if (bytes > 1u << 28) return NULL;
  if (wse__top == 0) wse__top = ((uintptr_t)__heap_base + 15) & ~(uintptr_t)15;
  uintptr_t next = wse__top + ((bytes + WSE_SLACK + 15u) & ~15u);
  uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  if (next > 1u << 31) return NULL; // an answer's address is below that
  if (next > have && __builtin_wasm_memory_grow(0, (uintptr_t)((next - have + 0xffff) >> 16)) == SIZE_MAX) return NULL;
  void *block = (void *)wse__top;
  wse__top = next;
  return block;
}

// wse_keep copies a span to memory of its own, where it outlives the call. Its ptr is NULL where memory runs out.
WSE__CALLED wse_span wse_keep(wse_span s) {
  uint8_t *to = wse_alloc(s.len);
  if (to == NULL) return WSE_NONE;
  __builtin_memcpy(to, s.ptr, s.len);
  return (wse_span){to, s.len};
}

// ---- Answers -----------------------------------------------------------------------------------------------------------

// A wse_answer is what a hook returns.
typedef uint64_t wse_answer;

#define WSE_NO ((wse_answer)0)  // drop · deny · invalid
#define WSE_YES ((wse_answer)1) // not mine · allow · valid · configured
#define WSE__ERROR ((wse_answer)1 << 63)

enum { WSE_ERROR_TOO_LONG = 1, WSE_ERROR_TOO_LARGE = 2 }; // the answer · the document

// wse_data is an answer whose bytes hold still until the next call: a literal, something kept, what has been written.
WSE__INLINE wse_answer wse_data(wse_span s) { return (wse_answer)(uintptr_t)s.ptr << 32 | s.len; }

// wse_error is a text that says what is wrong.
WSE__INLINE wse_answer wse_error(wse_span text) { return WSE__ERROR | wse_data(text); }

// wse_error_code is a number, where there is no text.
WSE__INLINE wse_answer wse_error_code(uint32_t code) { return WSE__ERROR | code; }

// ---- Reader ------------------------------------------------------------------------------------------------------------
//
// A walk over the document where it lies: nothing is built, and what is read comes back as spans of the input. All of RFC
// 8259 is checked on the way but UTF-8, which is the host's, so what was skipped or copied verbatim is valid JSON.
//
//   wse_open(event);
//   wse_object();
//   while (wse_member()) {
//     if (wse_key_is(WSE("id")) && wse_string()) id = wse_raw();
//     else wse_skip();
//   }
//   if (!wse_close()) return wse_error(WSE("not an object"));
//
// The first fault sticks: from then on every function answers false, so one look at wse_close is enough. A value of
// another kind than the one asked for is a fault as well; wse_peek asks without one.
//
// One byte past the document is set to zero while it is read (and put back by wse_close). Zero is allowed nowhere in JSON,
// so every loop stops there by itself and no step compares with the end.

// What a value is, by its first byte. WSE_BAD is what begins no value.
typedef enum { WSE_BAD, WSE_OBJECT, WSE_ARRAY, WSE_STRING, WSE_NUMBER, WSE_TRUE, WSE_FALSE, WSE_NULL } wse_kind;

static struct {
  const uint8_t *at;    // the next byte to read; NULL after a fault
  uint32_t depth;       // objects and arrays entered and not left
  bool fresh;           // just inside { or [, where no comma is due
  bool key_escaped;     // the key read last holds a backslash
  bool raw_escaped;     // the string read last does
  uint8_t behind;       // the byte that stood at end
  wse_span name;        // the text of the key read last
  wse_span key;         // as it was written, where it is escaped
  wse_span raw;         // the value read last
  uint8_t *begin, *end; // the document; a zero stands at end
  const uint8_t *stop;  // where reading failed
  uint8_t *scratch[2];  // WSE_TEXT_MAX bytes each for wse_text and for keys
} wse__in;

WSE__INLINE bool wse__fail(const uint8_t *p) {
  wse__in.stop = p;
  wse__in.at = NULL;
  return false;
}

WSE__CALLED const uint8_t *wse__many_blanks(const uint8_t *p) {
  while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') p++;
  return p;
}

// wse__blanks steps over white space, of which there is none in what the host writes.
WSE__INLINE const uint8_t *wse__blanks(const uint8_t *p) {
  return __builtin_expect(*p > ' ', 1) ? p : wse__many_blanks(p);
}

WSE__INLINE bool wse__digit(uint32_t c) { return c - '0' < 10; }

WSE__INLINE int32_t wse__hex(uint32_t c) {
  if (wse__digit(c)) return (int32_t)(c - '0');
  uint32_t letter = (c | 0x20) - 'a';
  return letter < 6 ? (int32_t)letter + 10 : -1;
}

WSE__INLINE uint32_t wse__hex4(const uint8_t *p) {
  uint32_t v = 0;
  for (int i = 0; i < 4; i++) v = v << 4 | ((uint32_t)wse__hex(p[i]) & 15);
  return v;
}

// wse__simple is the character that \c stands for, 0 where that is no escape.
WSE__INLINE uint8_t wse__simple(uint8_t c) {
  switch (c) {
    case '"': case '\\': case '/': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
  }
}

// wse__escape is how long the escape at p is, 0 where it is none.
WSE__CALLED uint32_t wse__escape(const uint8_t *p) {
  if (p[1] != 'u') return wse__simple(p[1]) == 0 ? 0 : 2;
  for (int i = 2; i < 6; i++)
    if (wse__hex(p[i]) < 0) return 0;
  return 6;
}

// wse__scan finds the quote that ends the string whose content begins at p, and whether a backslash stands before it; NULL is
// a fault. Eight bytes at a time: a byte
// is of interest when it is a quote, a backslash or below 0x20, and the lowest one found is exact, because a borrow only
// ever disturbs bytes above a hit.
WSE__INLINE const uint8_t *wse__scan(const uint8_t *p, bool *escaped) {
  const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
  *escaped = false;
  for (;;) {
    uint64_t x = wse__load64(p);
    uint64_t hit = (((x ^ ones * '"') - ones) | ((x ^ ones * '\\') - ones) | (x - ones * ' ')) & ~x & highs;
    if (hit == 0) {
      p += 8;
      continue;
    }
    p += __builtin_ctzll(hit) >> 3;
    if (*p == '"') return p;
    if (*p != '\\') break;
    uint32_t n = wse__escape(p);
    if (n == 0) break;
    p += n;
    *escaped = true;
  }
  wse__fail(p);
  return NULL;
}

WSE__CALLED const uint8_t *wse__skip_string(const uint8_t *p) {
  bool escaped;
  p = wse__scan(p + 1, &escaped);
  return p == NULL ? NULL : p + 1;
}

// wse__digits steps over at least one digit.
WSE__INLINE const uint8_t *wse__digits(const uint8_t *p) {
  const uint8_t *from = p;
  while (wse__digit(*p)) p++;
  if (p != from) return p;
  wse__fail(p);
  return NULL;
}

WSE__CALLED const uint8_t *wse__skip_number(const uint8_t *p) {
  if (*p == '-') p++;
  if (*p == '0') p++;
  else if ((p = wse__digits(p)) == NULL) return NULL;
  if (*p == '.' && (p = wse__digits(p + 1)) == NULL) return NULL;
  if (*p == 'e' || *p == 'E') {
    p++;
    if (*p == '+' || *p == '-') p++;
    p = wse__digits(p);
  }
  return p;
}

// wse__skip returns the byte after the value at p, which stands in `depth` objects and arrays; NULL is a fault. What it has
// entered is one bit a level, an object's 1, so that it does not call itself.
WSE__CALLED const uint8_t *wse__skip(const uint8_t *p, uint32_t depth) {
  uint64_t objects = 0; // the lowest bit is the innermost
  uint32_t inside = 0;
  for (;;) {
    if (*p == '"') {
      if ((p = wse__skip_string(p)) == NULL) return NULL;
    } else if (*p == '{' || *p == '[') {
      bool object = *p == '{';
      if (depth + inside == WSE_DEPTH_MAX) goto fault;
      p = wse__blanks(p + 1);
      if (*p == (object ? '}' : ']')) {
        p++;
      } else {
        objects = objects << 1 | object;
        inside++;
        if (object) goto key;
        continue;
      }
    } else if (*p == '-' || wse__digit(*p)) {
      if ((p = wse__skip_number(p)) == NULL) return NULL;
    } else if (wse__begins(p, (const uint8_t *)"true", 4) || wse__begins(p, (const uint8_t *)"null", 4)) {
      p += 4;
    } else if (wse__begins(p, (const uint8_t *)"false", 5)) {
      p += 5;
    } else {
      goto fault;
    }
    for (;;) { // behind a value
      if (inside == 0) return p;
      p = wse__blanks(p);
      if (*p == ',') break;
      if (*p != (objects & 1 ? '}' : ']')) goto fault;
      p++;
      objects >>= 1;
      inside--;
    }
    p = wse__blanks(p + 1);
    if ((objects & 1) == 0) continue;
  key:
    if (*p != '"') goto fault;
    if ((p = wse__skip_string(p)) == NULL) return NULL;
    p = wse__blanks(p);
    if (*p != ':') goto fault;
    p = wse__blanks(p + 1);
  }
fault:
  wse__fail(p);
  return NULL;
}

// wse_open begins to read a document: one that a hook was given, or any bytes in memory from wse_alloc.
WSE__INLINE void wse_open(wse_span document) {
  wse__in.begin = (uint8_t *)(uintptr_t)document.ptr;
  wse__in.end = wse__in.begin + document.len;
  wse__in.behind = *wse__in.end;
  *wse__in.end = 0;
  wse__in.depth = 0;
  wse__in.fresh = false;
  wse__in.at = wse__blanks(wse__in.begin);
}

// wse_close ends reading and reports whether the document was whole: no fault, and nothing but blanks after its value.
WSE__INLINE bool wse_close(void) {
  if (wse__in.at != NULL) {
    const uint8_t *p = wse__blanks(wse__in.at);
    if (p != wse__in.end || wse__in.depth != 0) wse__fail(p);
  }
  *wse__in.end = wse__in.behind;
  return wse__in.at != NULL;
}

// wse_fault is the offset of the byte that could not be read.
WSE__INLINE uint32_t wse_fault(void) { return (uint32_t)(wse__in.stop - wse__in.begin); }

// wse_sound reports whether there has been no fault so far.
WSE__INLINE bool wse_sound(void) { return wse__in.at != NULL; }

// wse_peek tells what the next value is without reading it. WSE_BAD is a fault.
WSE__INLINE wse_kind wse_peek(void) {
  if (wse__in.at == NULL) return WSE_BAD;
  if (__builtin_expect(*wse__in.at == '"', 1)) return WSE_STRING;
  switch (*wse__in.at) {
    case '{': return WSE_OBJECT;
    case '[': return WSE_ARRAY;
    case 't': return WSE_TRUE;
    case 'f': return WSE_FALSE;
    case 'n': return WSE_NULL;
    default:
      if (*wse__in.at == '-' || wse__digit(*wse__in.at)) return WSE_NUMBER;
      wse__fail(wse__in.at);
      return WSE_BAD;
  }
}

WSE__INLINE bool wse__enter(uint8_t bracket) {
  const uint8_t *p = wse__in.at;
  if (p == NULL) return false;
  if (*p != bracket || wse__in.depth == WSE_DEPTH_MAX) return wse__fail(p);
  wse__in.depth++;
  wse__in.fresh = true;
  wse__in.at = wse__blanks(p + 1);
  return true;
}

// wse_object enters the next value, which must be an object; wse_array one that must be an array.
WSE__INLINE bool wse_object(void) { return wse__enter('{'); }
WSE__INLINE bool wse_array(void) { return wse__enter('['); }

// wse__next steps over the comma that is due and returns where the next member or element begins, NULL at the closing
// bracket or a fault. Having left a container, its parent is never fresh.
WSE__INLINE const uint8_t *wse__next(uint8_t closing) {
  if (wse__in.at == NULL) return NULL;
  const uint8_t *p = wse__blanks(wse__in.at);
  if (*p == closing) {
    wse__in.at = p + 1;
    wse__in.depth--;
    wse__in.fresh = false;
    return NULL;
  }
  if (wse__in.fresh) {
    wse__in.fresh = false;
    return p;
  }
  if (*p == ',') return wse__blanks(p + 1);
  wse__fail(p);
  return NULL;
}

WSE__INLINE uint8_t *wse__put_rune(uint8_t *w, uint32_t r) {
  if (r < 0x80) {
    *w++ = (uint8_t)r;
    return w;
  }
  if (r < 0x800) {
    *w++ = (uint8_t)(0xc0 | r >> 6);
  } else {
    if (r < 0x10000) {
      *w++ = (uint8_t)(0xe0 | r >> 12);
    } else {
      *w++ = (uint8_t)(0xf0 | r >> 18);
      *w++ = (uint8_t)(0x80 | (r >> 12 & 0x3f));
    }
    *w++ = (uint8_t)(0x80 | (r >> 6 & 0x3f));
  }
  *w++ = (uint8_t)(0x80 | (r & 0x3f));
  return w;
}

// wse_decode writes the text of a string's raw content to `to`, which must have room for as many bytes, and returns it.
// Half a surrogate pair becomes U+FFFD. The content must be what the reader found to be a string.
WSE__CALLED wse_span wse_decode(wse_span content, uint8_t *to) {
  const uint8_t *p = content.ptr, *last = p + content.len;
  uint8_t *w = to;
  while (p < last) {
    if (*p != '\\') {
      *w++ = *p++;
    } else if (p[1] != 'u') {
      *w++ = wse__simple(p[1]);
      p += 2;
    } else {
      uint32_t code = wse__hex4(p + 2);
      p += 6;
      if ((code & 0xf800) == 0xd800) {
        uint32_t low = (code & 0x400) == 0 && last - p >= 6 && p[0] == '\\' && p[1] == 'u' ? wse__hex4(p + 2) : 0;
        bool pair = (low & 0xfc00) == 0xdc00;
        if (pair) p += 6;
        code = pair ? 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff) : 0xfffd;
      }
      w = wse__put_rune(w, code);
    }
  }
  return wse_between(to, w);
}

WSE__CALLED wse_span wse__decoded(wse_span content, int where) {
  uint8_t **room = &wse__in.scratch[where];
  if (content.len > WSE_TEXT_MAX) return content;
  if (*room == NULL) *room = wse_alloc(WSE_TEXT_MAX);
  return *room == NULL ? content : wse_decode(content, *room);
}

// wse_member reads the next key of the object entered last and stands before its value. It returns false, and leaves the
// object, when there is none.
WSE__CALLED bool wse_member(void) {
  const uint8_t *p = wse__next('}');
  if (p == NULL) return false;
  if (*p != '"') return wse__fail(p);
  bool escaped;
  const uint8_t *from = p + 1, *to = wse__scan(from, &escaped);
  if (to == NULL) return false;
  wse__in.name = wse_between(from, to);
  wse__in.key_escaped = escaped;
  if (__builtin_expect(escaped, 0)) {
    wse__in.key = wse__in.name;
    wse__in.name = wse__decoded(wse__in.key, 1);
  }
  p = wse__blanks(to + 1);
  if (*p != ':') return wse__fail(p);
  wse__in.at = wse__blanks(p + 1);
  return true;
}

// wse_element stands before the next element of the array entered last. It returns false, and leaves the array, when there
// is none.
WSE__CALLED bool wse_element(void) {
  const uint8_t *p = wse__next(']');
  if (p == NULL) return false;
  wse__in.at = p;
  return true;
}

// wse_string reads the next value, which must be a string; wse_raw is its content between the quotes.
WSE__CALLED bool wse_string(void) {
  const uint8_t *p = wse__in.at;
  if (p == NULL) return false;
  if (*p != '"') return wse__fail(p);
  bool escaped;
  const uint8_t *to = wse__scan(p + 1, &escaped);
  if (to == NULL) return false;
  wse__in.raw = wse_between(p + 1, to);
  wse__in.raw_escaped = escaped;
  wse__in.at = to + 1;
  return true;
}

// wse_skip reads the next value whatever it is; wse_raw is all of it, verbatim.
WSE__CALLED bool wse_skip(void) {
  const uint8_t *from = wse__in.at;
  if (from == NULL) return false;
  const uint8_t *to = *from == '"' ? wse__skip_string(from) : wse__skip(from, wse__in.depth);
  if (to == NULL) return false;
  wse__in.raw = wse_between(from, to);
  wse__in.raw_escaped = false;
  wse__in.at = to;
  return true;
}

// wse_raw is what wse_string or wse_skip read last, as it was written.
WSE__INLINE wse_span wse_raw(void) { return wse__in.raw; }

// wse_escaped reports whether the string read last holds a backslash, so that wse_raw is not its text.
WSE__INLINE bool wse_escaped(void) { return wse__in.raw_escaped; }

// wse_key is the key that wse_member read, as written between its quotes; wse_key_escaped, whether it holds a backslash.
WSE__INLINE wse_span wse_key(void) { return wse__in.key_escaped ? wse__in.key : wse__in.name; }
WSE__INLINE bool wse_key_escaped(void) { return wse__in.key_escaped; }

// wse_here is the address of the next byte to read, for callers that copy what they have walked over; NULL after a fault.
WSE__INLINE const uint8_t *wse_here(void) { return wse__in.at; }

// wse_text is a string's content with its escapes resolved: the content itself where it has none. It holds until the next
// call of wse_text. Content of more than WSE_TEXT_MAX bytes stays as it is written: no name that a plugin compares with is
// that long.
WSE__INLINE wse_span wse_text(wse_span content, bool escaped) { return escaped ? wse__decoded(content, 0) : content; }

// wse_key_text is the key with its escapes resolved. It holds until the next call of wse_member.
WSE__INLINE wse_span wse_key_text(void) { return wse__in.name; }

// wse_key_is compares the key's text with a name.
WSE__INLINE bool wse_key_is(wse_span name) { return wse_is(wse__in.name, name); }

// wse_integer reads a number's raw text as a whole number. It returns false where that has a fraction or an exponent, is
// no number, or does not fit. JSON has no leading zeros, so what fits has 19 digits at most, and those fit 64 bits unsigned.
WSE__CALLED bool wse_integer(wse_span number, int64_t *value) {
  const uint8_t *p = number.ptr, *last = p + number.len;
  bool negative = p < last && *p == '-';
  uint64_t v = 0;
  if (negative) p++;
  if (p == last || last - p > 19) return false;
  for (; p < last; p++) {
    if (!wse__digit(*p)) return false;
    v = v * 10 + (*p - '0');
  }
  if (v > (uint64_t)INT64_MAX + negative) return false;
  *value = (int64_t)(negative ? 0 - v : v);
  return true;
}

// ---- Writer ------------------------------------------------------------------------------------------------------------
//
// An answer is written into one buffer that every call reuses and that grows when it must. Writing past WSE_OUTPUT_MAX, or
// past the memory limit, loses nothing silently: wse_result is then an error.

static uint8_t wse__no_buffer[1]; // what the buffer is before something is written

static struct {
  uint8_t *buffer, *pos, *limit; // pos is the next byte to write
  uint32_t base;                 // where this answer begins: behind the others of a batch
  bool full;                     // something did not fit
} wse__out = {wse__no_buffer, wse__no_buffer, wse__no_buffer, 0, false};

WSE__INLINE uint32_t wse__used(void) { return (uint32_t)(wse__out.pos - wse__out.buffer); }

// wse__grow makes room for n more bytes. The old buffer is left behind, so the size doubles at least.
WSE__CALLED bool wse__grow(uint32_t n) {
  uint32_t used = wse__used();
  if (wse__out.full || n > WSE_OUTPUT_MAX || used + n > WSE_OUTPUT_MAX) return !(wse__out.full = true);
  uint32_t size = wse__out.buffer == wse__no_buffer ? 64 << 10 : (uint32_t)(wse__out.limit - wse__out.buffer) << 1;
  while (size < used + n) size <<= 1;
  uint8_t *fresh = wse_alloc(size);
  if (fresh == NULL) return !(wse__out.full = true);
  __builtin_memcpy(fresh, wse__out.buffer, used);
  wse__out.buffer = fresh;
  wse__out.pos = fresh + used;
  wse__out.limit = fresh + size;
  return true;
}

// wse_room reports whether n more bytes may be written, and makes room for them.
WSE__INLINE bool wse_room(uint32_t n) {
  return __builtin_expect(n <= (uint32_t)(wse__out.limit - wse__out.pos), 1) || wse__grow(n);
}

// wse_begin starts an answer. Every hook's answer is started before it is called, so this is for starting over.
WSE__INLINE void wse_begin(void) {
  wse__out.pos = wse__out.buffer + wse__out.base;
  wse__out.full = false;
}

// wse_mark is how much has been written; wse_reset goes back there.
WSE__INLINE uint32_t wse_mark(void) { return wse__used() - wse__out.base; }
WSE__INLINE void wse_reset(uint32_t mark) { wse__out.pos = wse__out.buffer + wse__out.base + mark; }

// wse_overflowed reports whether something did not fit.
WSE__INLINE bool wse_overflowed(void) { return wse__out.full; }

// wse_written is the span from a mark to here. It holds until the next put.
WSE__INLINE wse_span wse_written(uint32_t mark) {
  return wse_between(wse__out.buffer + wse__out.base + mark, wse__out.pos);
}

WSE__CALLED void wse__put(const uint8_t *from, uint32_t n) {
  if (!wse_room(n)) return;
  uint8_t *to = wse__out.pos;
  wse__out.pos = to + n;
  if (n > 64) {
    __builtin_memcpy(to, from, n);
    return;
  }
  if (n >= 8) {
    const uint8_t *last = from + n - 8;
    for (; from < last; from += 8, to += 8) __builtin_memcpy(to, from, 8);
    __builtin_memcpy(to - (from - last), last, 8); // the last eight, some of them twice
    return;
  }
  for (; n > 0; n--) *to++ = *from++;
}

// wse_put writes the bytes of a span as they are.
WSE__INLINE void wse_put(wse_span s) {
  if (__builtin_constant_p(s.len) && s.len <= 64) {
    if (!wse_room(s.len)) return;
    __builtin_memcpy(wse__out.pos, s.ptr, s.len);
    wse__out.pos += s.len;
    return;
  }
  wse__put(s.ptr, s.len);
}

// wse_put_byte writes one byte.
WSE__INLINE void wse_put_byte(uint8_t c) {
  if (wse_room(1)) *wse__out.pos++ = c;
}

// wse_put_int writes a whole number in decimal.
WSE__CALLED void wse_put_int(int64_t value) {
  uint8_t digits[20];
  uint32_t i = sizeof digits;
  uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do digits[--i] = (uint8_t)('0' + v % 10);
  while ((v /= 10) != 0);
  if (value < 0) digits[--i] = '-';
  wse__put(digits + i, sizeof digits - i);
}

// wse_put_text writes plain text as the content of a JSON string, escaping what must be.
WSE__CALLED void wse_put_text(wse_span text) {
  for (uint32_t i = 0; i < text.len; i++) {
    uint8_t c = text.ptr[i];
    if (c == '"' || c == '\\') {
      wse_put_byte('\\');
    } else if (c < 0x20) {
      wse_put(WSE("\\u00"));
      wse_put_byte((uint8_t)('0' + (c >> 4)));
      c = (uint8_t)((c & 15) + ((c & 15) < 10 ? '0' : 'a' - 10));
    }
    wse_put_byte(c);
  }
}

// wse_put_u32 writes four bytes, little endian; wse_patch_u32 overwrites four bytes at a mark.
WSE__INLINE void wse_put_u32(uint32_t v) {
  if (!wse_room(4)) return;
  __builtin_memcpy(wse__out.pos, &v, 4);
  wse__out.pos += 4;
}
WSE__INLINE void wse_patch_u32(uint32_t mark, uint32_t v) {
  if (!wse__out.full) __builtin_memcpy(wse__out.buffer + wse__out.base + mark, &v, 4);
}

// wse_result is what a hook returns for the answer it has written: DATA, or an error where it did not fit.
WSE__INLINE wse_answer wse_result(void) {
  return wse__out.full ? wse_error_code(WSE_ERROR_TOO_LONG) : wse_data(wse_written(0));
}

// wse_failure is what a hook returns where what it has written is an error text.
WSE__INLINE wse_answer wse_failure(void) { return WSE__ERROR | wse_result(); }

// ---- Host --------------------------------------------------------------------------------------------------------------

typedef enum { WSE_TRACE, WSE_DEBUG, WSE_INFO, WSE_WARN, WSE_ERROR } wse_level;

__attribute__((import_module("wse"), import_name("log"))) void wse__log(int32_t level, const uint8_t *ptr, uint32_t len);
__attribute__((import_module("wse"), import_name("metric"))) void wse__metric(const uint8_t *ptr, uint32_t len, double value);

// wse_log writes a line to the engine's log, which adds the plugin's name and version and caps how much it takes.
WSE__INLINE void wse_log(wse_level level, wse_span text) { wse__log((int32_t)level, text.ptr, text.len); }

// wse_metric adds value, at least 0, to the counter of that name, one of the plugin's own.
WSE__INLINE void wse_metric(wse_span name, double value) { wse__metric(name.ptr, name.len, value); }

// ---- Ticks -------------------------------------------------------------------------------------------------------------

// A wse_tick is one of those that wse_strategy_ticks is given: Unix milliseconds, price, volume and quote volume.
typedef struct {
  double time, price, volume, quote;
} wse_tick;

// wse_ticks is a view of a batch of ticks. Read one with wse_tick_at(ticks, i), i below n.
typedef struct {
  const uint8_t *first;
  uint32_t n, handle;
} wse_ticks;

// wse_ticks_of reads a batch's head. It returns false where the batch has not the length that its head tells.
WSE__INLINE bool wse_ticks_of(wse_span batch, wse_ticks *ticks) {
  if (batch.len < 8) return false;
  *ticks = (wse_ticks){batch.ptr + 8, wse__load32(batch.ptr), wse__load32(batch.ptr + 4)};
  return batch.len - 8 == (uint64_t)ticks->n * sizeof(wse_tick);
}

WSE__INLINE wse_tick wse_tick_at(wse_ticks ticks, uint32_t i) {
  wse_tick t;
  __builtin_memcpy(&t, ticks.first + i * sizeof t, sizeof t);
  return t;
}

// ---- Exports -----------------------------------------------------------------------------------------------------------

static struct {
  uint8_t *buffer;
  uint32_t capacity;
} wse__doc;

__attribute__((export_name("wse_abi_v1"))) int32_t wse_abi_v1(void);
__attribute__((export_name("wse_buffer"))) void *wse_buffer(uint32_t cap);

int32_t wse_abi_v1(void) { return 0; }

void *wse_buffer(uint32_t cap) {
  if (cap > WSE_INPUT_MAX) return NULL;
  if (wse__doc.buffer != NULL && cap <= wse__doc.capacity) return wse__doc.buffer;
  uint8_t *fresh = wse_alloc(cap);
  if (fresh == NULL) return NULL;
  wse__doc.buffer = fresh;
  wse__doc.capacity = cap;
  return fresh;
}

typedef wse_answer wse_hook(wse_span document);

WSE__INLINE wse_answer wse__call(wse_hook *hook, uint32_t len) {
  if (wse__doc.buffer == NULL || len > wse__doc.capacity) return wse_error_code(WSE_ERROR_TOO_LARGE);
  wse__out.base = 0;
  wse_begin();
  return hook((wse_span){wse__doc.buffer, len});
}

// wse__answered writes one answer of a batch behind those before it, in the place of the head that stands at `head`. It
// returns false for one that is no answer.
WSE__INLINE bool wse__answered(wse_answer answer, uint32_t head) {
  uint32_t tag = answer >> 63 ? 3 : 2, len = (uint32_t)answer;
  const uint8_t *ptr = (const uint8_t *)(uintptr_t)(answer >> 32 & 0x7fffffff);
  if (answer <= WSE_YES) {
    tag = len;
    wse_reset(len = 0);
  } else if (ptr == NULL) {
    if (tag != 3) return false;
    wse_reset(0);
    wse_put(WSE("error "));
    wse_put_int(len);
    len = wse_mark();
  } else if (ptr == wse__out.buffer + wse__out.base) { // where it belongs already
    wse_reset(len);
  } else {
    wse_reset(0);
    if (wse_room(len)) __builtin_memmove(wse__out.pos, ptr, len), wse__out.pos += len;
  }
  wse__out.base = 0;
  wse_patch_u32(head, tag);
  wse_patch_u32(head + 4, len);
  return true;
}

// wse__whole reports whether the lengths in a batch are those of whole documents. All are looked at before the first is
// served, so that half a batch leaves no trace.
WSE__CALLED bool wse__whole(const uint8_t *p, uint32_t left) {
  if (left < 4) return false;
  uint32_t n = wse__load32(p), len;
  for (p += 4, left -= 4; n > 0; n--, p += len, left -= len) {
    if (left < 4) return false;
    len = wse__load32(p), p += 4, left -= 4;
    if (left < len) return false;
  }
  return left == 0;
}

// wse__batch answers n events: u32 n, n × {u32 length, bytes} → u32 n, n × {u32 tag, u32 length, bytes}. Each answer is
// written where it stays: `base` moves on, so that to the hook every answer begins at 0.
WSE__INLINE wse_answer wse__batch(wse_hook *hook, wse_span batch) {
  if (!wse__whole(batch.ptr, batch.len)) return wse_error(WSE("batch is cut short"));
  const uint8_t *p = batch.ptr + 4;
  uint32_t n = wse__load32(batch.ptr), len;
  wse_put_u32(n);
  for (; n > 0; n--, p += len) {
    uint32_t head = wse_mark();
    len = wse__load32(p), p += 4;
    wse_put_u32(0);
    wse_put_u32(0);
    if (wse__out.full) break;
    wse__out.base = wse__used();
    wse_answer answer = hook((wse_span){p, len});
    if (!wse__answered(answer, head)) return answer;
    if (wse__out.full) break; // the batch as a whole: one by one, each answer may fit
  }
  return wse_result();
}

#define WSE__EXPORT(name, hook)                                                            \
  __attribute__((export_name(#name))) wse_answer name(uint32_t len);                       \
  wse_answer name(uint32_t len) { return wse__call(hook, len); }                           \
  _Static_assert(_Generic(&hook, wse_hook *: 1, default: 0), #name ": wse_answer f(wse_span document)")

// A hook is a function `wse_answer f(wse_span document)`; these make the module's exports of them.
#define WSE_CONFIGURE(f) WSE__EXPORT(wse_configure, f)
#define WSE_TRANSFORM(f) WSE__EXPORT(wse_transform, f)
#define WSE_AUTHORIZE(f) WSE__EXPORT(wse_authorize, f)
#define WSE_VALIDATE(f) WSE__EXPORT(wse_validate, f)

// WSE_TRANSFORM_BATCH(f) makes wse_transform_batch of the function that WSE_TRANSFORM has.
#define WSE_TRANSFORM_BATCH(f)                                                             \
  static wse_answer wse__batch_hook(wse_span batch) { return wse__batch(f, batch); }       \
  WSE__EXPORT(wse_transform_batch, wse__batch_hook)

// WSE_STRATEGY(open, ticks, update) makes the three exports of the stateful hook; ticks reads its batch with wse_ticks_of.
#define WSE_STRATEGY(open, ticks, update)                                                  \
  WSE__EXPORT(wse_strategy_open, open);                                                    \
  WSE__EXPORT(wse_strategy_ticks, ticks);                                                  \
  WSE__EXPORT(wse_strategy_update, update)

#endif
