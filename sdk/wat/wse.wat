;; wse.wat: what a plugin written by hand needs from somebody else. It is no module but the fields of one: plugin.mk puts
;; `(module`, the plugin's own plugin.wat, this file, and `)` together, since wat2wasm includes nothing. README.md has a whole
;; plugin, sdk/ABI.md the contract underneath.
;;
;; A SPAN is a run of bytes as one i64: its address in the high 32 bits, its length in the low ones. That is also the form of
;; an answer: a span is DATA, a span with the highest bit set an ERROR text, i64 0 is NO and i64 1 YES. A literal is a data
;; segment and a global that spans it:
;;
;;   (data (i32.const 0x400) "user_id")
;;   (global $USER_ID i64 (i64.const 0x0000_0400_0000_0007))
;;
;; MEMORY  0x000–0x3ff is this file's, 0x400–0xffff the plugin's, what follows is handed out by $alloc.
;; BOUNDS  documents and answers of 4 MiB, nesting of 64, texts of 4096 bytes to be decoded.

(memory (export "memory") 1)

(data (i32.const 0x010) "batch is cut short")
(global $CUT_SHORT i64 (i64.const 0x8000_0010_0000_0012)) ;; an ERROR as it is
(data (i32.const 0x030) "error ")
(global $ERROR_ i64 (i64.const 0x0000_0030_0000_0006))
(data (i32.const 0x040) "\\u00")
(global $U00 i64 (i64.const 0x0000_0040_0000_0004))
;; 0x050–0x063 is where $put_int makes its digits.

(global $INPUT_MAX i32 (i32.const 0x400000))
(global $OUTPUT_MAX i32 (i32.const 0x400000))
(global $DEPTH_MAX i32 (i32.const 64))
(global $TEXT_MAX i32 (i32.const 4096))
(global $SLACK i32 (i32.const 16)) ;; bytes behind every block that may be read and written

(global $NO i64 (i64.const 0))
(global $YES i64 (i64.const 1))
(global $ERROR_BIT i64 (i64.const 0x8000_0000_0000_0000))

;; ---- Spans ------------------------------------------------------------------------------------------------------------

(func $span (param $ptr i32) (param $len i32) (result i64)
  (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))

;; between is the span from one address up to another.
(func $between (param $from i32) (param $to i32) (result i64)
  (call $span (local.get $from) (i32.sub (local.get $to) (local.get $from))))

(func $ptr_of (param $span i64) (result i32)
  (i32.wrap_i64 (i64.shr_u (local.get $span) (i64.const 32))))

(func $len_of (param $span i64) (result i32)
  (i32.wrap_i64 (local.get $span)))

;; from is a span without its first n bytes, n not above its length: n more on the address, n less on the length.
(func $from (param $span i64) (param $n i32) (result i64)
  (i64.add (local.get $span) (i64.mul (i64.extend_i32_u (local.get $n)) (i64.const 0x0000_0000_ffff_ffff))))

;; same_bytes compares n bytes, eight at a time; of the last eight those above n are shifted out.
(func $same_bytes (param $p i32) (param $q i32) (param $n i32) (result i32)
  (loop $eight
    (if (i32.gt_u (local.get $n) (i32.const 8))
      (then
        (if (i64.ne (i64.load align=1 (local.get $p)) (i64.load align=1 (local.get $q)))
          (then (return (i32.const 0))))
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (local.set $q (i32.add (local.get $q) (i32.const 8)))
        (local.set $n (i32.sub (local.get $n) (i32.const 8)))
        (br $eight))))
  (if (i32.eqz (local.get $n)) (then (return (i32.const 1))))
  (i64.eqz (i64.shl
    (i64.xor (i64.load align=1 (local.get $p)) (i64.load align=1 (local.get $q)))
    (i64.extend_i32_u (i32.sub (i32.const 64) (i32.shl (local.get $n) (i32.const 3)))))))

;; same reports whether two spans hold the same bytes.
;; Most differ in length, and that is seen without a call.
(func $same (param $a i64) (param $b i64) (result i32)
  (if (i32.ne (i32.wrap_i64 (local.get $a)) (i32.wrap_i64 (local.get $b))) (then (return (i32.const 0))))
  (call $same_bytes (call $ptr_of (local.get $a)) (call $ptr_of (local.get $b)) (call $len_of (local.get $a))))

;; begins reports whether a span begins with another.
(func $begins (param $s i64) (param $with i64) (result i32)
  (if (i32.lt_u (call $len_of (local.get $s)) (call $len_of (local.get $with))) (then (return (i32.const 0))))
  (call $same_bytes (call $ptr_of (local.get $s)) (call $ptr_of (local.get $with)) (call $len_of (local.get $with))))

;; ---- Memory -----------------------------------------------------------------------------------------------------------

(global $top (mut i32) (i32.const 0x10000)) ;; where the next block begins

;; alloc returns the address of so many zeroed bytes, aligned to 16, or 0 where the memory limit refuses them. Memory is
;; handed out once and never given back: take it in wse_configure, and nothing afterwards.
(func $alloc (param $bytes i32) (result i32)
  (local $block i32) (local $next i32) (local $have i32)
  (if (i32.gt_u (local.get $bytes) (i32.const 0x1000_0000)) (then (return (i32.const 0))))
  (local.set $block (global.get $top))
  (local.set $next (i32.and
    (i32.add (i32.add (local.get $block) (local.get $bytes)) (i32.add (global.get $SLACK) (i32.const 15)))
    (i32.const -16)))
  (if (i32.gt_u (local.get $next) (i32.const 0x8000_0000)) (then (return (i32.const 0)))) ;; answers lie below that
  (local.set $have (i32.shl (memory.size) (i32.const 16)))
  (if (i32.gt_u (local.get $next) (local.get $have))
    (then
      (if (i32.eq (i32.const -1)
            (memory.grow (i32.shr_u (i32.add (i32.sub (local.get $next) (local.get $have)) (i32.const 0xffff)) (i32.const 16))))
        (then (return (i32.const 0))))))
  (global.set $top (local.get $next))
  (local.get $block))

;; keep copies a span to memory of its own, where it outlives the call; 0 where memory runs out.
(func $keep (param $s i64) (result i64)
  (local $to i32)
  (local.set $to (call $alloc (call $len_of (local.get $s))))
  (if (i32.eqz (local.get $to)) (then (return (i64.const 0))))
  (memory.copy (local.get $to) (call $ptr_of (local.get $s)) (call $len_of (local.get $s)))
  (call $span (local.get $to) (call $len_of (local.get $s))))

;; ---- The exports that every plugin has ----------------------------------------------------------------------------------

(global $input (mut i32) (i32.const 0)) ;; where the host writes documents
(global $capacity (mut i32) (i32.const 0))

(func $wse_abi_v1 (export "wse_abi_v1") (result i32) (i32.const 0))

(func $wse_buffer (export "wse_buffer") (param $cap i32) (result i32)
  (local $fresh i32)
  (if (i32.gt_u (local.get $cap) (global.get $INPUT_MAX)) (then (return (i32.const 0))))
  (if (i32.and (i32.ne (global.get $input) (i32.const 0)) (i32.le_u (local.get $cap) (global.get $capacity)))
    (then (return (global.get $input))))
  (local.set $fresh (call $alloc (local.get $cap)))
  (if (local.get $fresh)
    (then
      (global.set $input (local.get $fresh))
      (global.set $capacity (local.get $cap))))
  (local.get $fresh))

;; ready starts a hook's answer; 0 where a document of len bytes is longer than the buffer, which a hook answers with
;; (call $error_code (i32.const 2)).
(func $ready (param $len i32) (result i32)
  (global.set $base (i32.const 0))
  (call $begin)
  (i32.and (i32.ne (global.get $input) (i32.const 0)) (i32.le_u (local.get $len) (global.get $capacity))))

;; error makes an ERROR of a text, error_code one of a number.
(func $error (param $text i64) (result i64) (i64.or (global.get $ERROR_BIT) (local.get $text)))
(func $error_code (param $code i32) (result i64) (i64.or (global.get $ERROR_BIT) (i64.extend_i32_u (local.get $code))))

;; ---- Reader -----------------------------------------------------------------------------------------------------------
;;
;; A walk over the document where it lies. All of RFC 8259 is checked on the way but UTF-8, which is the host's.
;;
;;   (call $open (global.get $input) (local.get $len))
;;   (drop (call $object))
;;   (loop $members
;;     (if (call $member)
;;       (then
;;         (if (call $key_is (global.get $ID))
;;           (then (drop (call $string)) (local.set $id (global.get $raw)))
;;           (else (drop (call $skip))))
;;         (br $members))))
;;   (if (i32.eqz (call $close)) (then (return (call $error (global.get $NOT_JSON)))))
;;
;; The first fault sticks: from then on every function answers 0, so one look at $close is enough. A value of another kind
;; than the one asked for is a fault as well; $peek asks without one.
;;
;; One byte past the document is set to zero while it is read (and put back by $close). Zero is allowed nowhere in JSON, so
;; every loop stops there by itself and no step compares with the end.

(global $at (mut i32) (i32.const 0))          ;; the next byte to read; 0 after a fault
(global $doc (mut i32) (i32.const 0))         ;; the document
(global $end (mut i32) (i32.const 0))         ;; one past it, where the zero stands
(global $behind (mut i32) (i32.const 0))      ;; the byte that stood there
(global $stop (mut i32) (i32.const 0))        ;; where reading failed
(global $depth (mut i32) (i32.const 0))       ;; objects and arrays entered and not left
(global $fresh (mut i32) (i32.const 0))       ;; just inside { or [, where no comma is due
(global $saw_escape (mut i32) (i32.const 0))  ;; set by $scan
(global $key (mut i64) (i64.const 0))         ;; the key $member read, as written between its quotes
(global $key_escaped (mut i32) (i32.const 0)) ;; whether it holds a backslash
(global $raw (mut i64) (i64.const 0))         ;; what $string read between the quotes, or all that $skip read
(global $escaped (mut i32) (i32.const 0))     ;; whether that string holds a backslash

;; What $peek answers; 0 is what begins no value.
(global $OBJECT i32 (i32.const 1))
(global $ARRAY i32 (i32.const 2))
(global $STRING i32 (i32.const 3))
(global $NUMBER i32 (i32.const 4))
(global $TRUE i32 (i32.const 5))
(global $FALSE i32 (i32.const 6))
(global $NULL i32 (i32.const 7))

;; open begins to read len bytes at ptr, which must be a document a hook was given, or lie in memory from $alloc.
(func $open (param $ptr i32) (param $len i32)
  (global.set $doc (local.get $ptr))
  (global.set $end (i32.add (local.get $ptr) (local.get $len)))
  (global.set $behind (i32.load8_u (global.get $end)))
  (i32.store8 (global.get $end) (i32.const 0))
  (global.set $depth (i32.const 0))
  (global.set $fresh (i32.const 0))
  (global.set $at (call $blanks (local.get $ptr))))

;; close ends reading: 1 when the document was whole, with nothing but blanks after its value.
(func $close (result i32)
  (local $p i32)
  (if (global.get $at)
    (then
      (local.set $p (call $blanks (global.get $at)))
      (if (i32.or (i32.ne (local.get $p) (global.get $end)) (i32.ne (global.get $depth) (i32.const 0)))
        (then (drop (call $fail (local.get $p)))))))
  (i32.store8 (global.get $end) (global.get $behind))
  (i32.ne (global.get $at) (i32.const 0)))

;; fault is the offset of the byte that could not be read.
(func $fault (result i32) (i32.sub (global.get $stop) (global.get $doc)))

;; fail takes a fault down. It returns 0, for its callers to return.
(func $fail (param $p i32) (result i32)
  (global.set $stop (local.get $p))
  (global.set $at (i32.const 0))
  (i32.const 0))

;; blanks steps over white space.
(func $blanks (param $p i32) (result i32)
  (local $c i32)
  (loop $more
    (local.set $c (i32.load8_u (local.get $p)))
    (if (i32.gt_u (local.get $c) (i32.const 0x20)) (then (return (local.get $p))))
    ;; the four bits that are set stand for tab, line feed, carriage return and space
    (if (i64.eqz (i64.and (i64.shr_u (i64.const 0x1_0000_2600) (i64.extend_i32_u (local.get $c))) (i64.const 1)))
      (then (return (local.get $p))))
    (local.set $p (i32.add (local.get $p) (i32.const 1)))
    (br $more))
  (unreachable))

(func $is_digit (param $c i32) (result i32)
  (i32.lt_u (i32.sub (local.get $c) (i32.const 0x30)) (i32.const 10)))

;; peek tells what the next value is without reading it. 0 is a fault.
(func $peek (result i32)
  (local $c i32)
  (if (i32.eqz (global.get $at)) (then (return (i32.const 0))))
  (local.set $c (i32.load8_u (global.get $at)))
  (if (i32.eq (local.get $c) (i32.const 0x22)) (then (return (global.get $STRING)))) ;; "
  (if (i32.eq (local.get $c) (i32.const 0x7b)) (then (return (global.get $OBJECT)))) ;; {
  (if (i32.eq (local.get $c) (i32.const 0x5b)) (then (return (global.get $ARRAY))))  ;; [
  (if (i32.eq (local.get $c) (i32.const 0x74)) (then (return (global.get $TRUE))))   ;; t
  (if (i32.eq (local.get $c) (i32.const 0x66)) (then (return (global.get $FALSE))))  ;; f
  (if (i32.eq (local.get $c) (i32.const 0x6e)) (then (return (global.get $NULL))))   ;; n
  (if (i32.or (i32.eq (local.get $c) (i32.const 0x2d)) (call $is_digit (local.get $c)))
    (then (return (global.get $NUMBER))))
  (call $fail (global.get $at)))

;; object enters the next value, which must be an object; array one that must be an array.
(func $object (result i32) (call $enter (i32.const 0x7b)))
(func $array (result i32) (call $enter (i32.const 0x5b)))

(func $enter (param $bracket i32) (result i32)
  (if (i32.eqz (global.get $at)) (then (return (i32.const 0))))
  (if (i32.or
        (i32.ne (i32.load8_u (global.get $at)) (local.get $bracket))
        (i32.ge_u (global.get $depth) (global.get $DEPTH_MAX)))
    (then (return (call $fail (global.get $at)))))
  (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
  (global.set $fresh (i32.const 1))
  (global.set $at (call $blanks (i32.add (global.get $at) (i32.const 1))))
  (i32.const 1))

;; next steps over the comma that is due and returns where the next member or element begins; 0 at the closing bracket,
;; behind which it then stands, and at a fault. Having left a container, its parent is never fresh.
(func $next (param $closing i32) (result i32)
  (local $p i32) (local $c i32)
  (if (i32.eqz (global.get $at)) (then (return (i32.const 0))))
  (local.set $p (global.get $at))
  (local.set $c (i32.load8_u (local.get $p)))
  (if (i32.le_u (local.get $c) (i32.const 0x20)) ;; the host writes no white space: a call only where there is some
    (then
      (local.set $p (call $blanks (local.get $p)))
      (local.set $c (i32.load8_u (local.get $p)))))
  (if (i32.eq (local.get $c) (local.get $closing))
    (then
      (global.set $at (i32.add (local.get $p) (i32.const 1)))
      (global.set $depth (i32.sub (global.get $depth) (i32.const 1)))
      (global.set $fresh (i32.const 0))
      (return (i32.const 0))))
  (if (global.get $fresh)
    (then
      (global.set $fresh (i32.const 0))
      (return (local.get $p))))
  (if (i32.ne (local.get $c) (i32.const 0x2c)) (then (return (call $fail (local.get $p)))))
  (local.set $p (i32.add (local.get $p) (i32.const 1)))
  (if (i32.gt_u (i32.load8_u (local.get $p)) (i32.const 0x20)) (then (return (local.get $p))))
  (call $blanks (local.get $p)))

;; member reads the next key of the object entered last and stands before its value. 0, having left the object, when there
;; is none.
(func $member (result i32)
  (local $p i32) (local $from i32)
  (local.set $p (call $next (i32.const 0x7d)))
  (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))
  (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x22)) (then (return (call $fail (local.get $p)))))
  (local.set $from (i32.add (local.get $p) (i32.const 1)))
  (local.set $p (call $scan (local.get $from)))
  (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))
  (global.set $key (call $between (local.get $from) (local.get $p)))
  (global.set $key_escaped (global.get $saw_escape))
  (local.set $p (i32.add (local.get $p) (i32.const 1)))
  (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20)) (then (local.set $p (call $blanks (local.get $p)))))
  (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x3a)) (then (return (call $fail (local.get $p)))))
  (local.set $p (i32.add (local.get $p) (i32.const 1)))
  (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20)) (then (local.set $p (call $blanks (local.get $p)))))
  (global.set $at (local.get $p))
  (i32.const 1))

;; element stands before the next element of the array entered last. 0, having left the array, when there is none.
(func $element (result i32)
  (local $p i32)
  (local.set $p (call $next (i32.const 0x5d)))
  (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))
  (global.set $at (local.get $p))
  (i32.const 1))

;; string reads the next value, which must be a string; $raw is its content between the quotes.
(func $string (result i32)
  (local $from i32) (local $to i32)
  (if (i32.eqz (global.get $at)) (then (return (i32.const 0))))
  (if (i32.ne (i32.load8_u (global.get $at)) (i32.const 0x22)) (then (return (call $fail (global.get $at)))))
  (local.set $from (i32.add (global.get $at) (i32.const 1)))
  (local.set $to (call $scan (local.get $from)))
  (if (i32.eqz (local.get $to)) (then (return (i32.const 0))))
  (global.set $raw (call $between (local.get $from) (local.get $to)))
  (global.set $escaped (global.get $saw_escape))
  (global.set $at (i32.add (local.get $to) (i32.const 1)))
  (i32.const 1))

;; skip reads the next value whatever it is; $raw is all of it, verbatim.
(func $skip (result i32)
  (local $to i32)
  (if (i32.eqz (global.get $at)) (then (return (i32.const 0))))
  (if (i32.eq (i32.load8_u (global.get $at)) (i32.const 0x22)) ;; most are strings
    (then (if (local.tee $to (call $scan (i32.add (global.get $at) (i32.const 1))))
      (then (local.set $to (i32.add (local.get $to) (i32.const 1))))))
    (else (local.set $to (call $skip_value (global.get $at) (global.get $depth)))))
  (if (i32.eqz (local.get $to)) (then (return (i32.const 0))))
  (global.set $raw (call $between (global.get $at) (local.get $to)))
  (global.set $escaped (i32.const 0))
  (global.set $at (local.get $to))
  (i32.const 1))

;; text_or_none reads the next value and answers its content where it is a string, 0 for any other; member by member that is
;; all most plugins need. $escaped belongs to it.
(func $text_or_none (result i64)
  (if (i32.eq (call $peek) (global.get $STRING))
    (then
      (if (call $string) (then (return (global.get $raw)))))
    (else
      (drop (call $skip))))
  (i64.const 0))

;; enter_or_skip enters the next value where it is an object, and skips any other.
(func $enter_or_skip (result i32)
  (if (i32.eq (call $peek) (global.get $OBJECT)) (then (return (call $object))))
  (drop (call $skip))
  (i32.const 0))

;; scan finds the quote that ends the string whose content begins at p; 0 is a fault. Eight bytes at a time: a byte is of
;; interest when it is a quote, a backslash or below 0x20, and the lowest one found is exact, because a borrow only ever
;; disturbs bytes above a hit.
(func $scan (param $p i32) (result i32)
  (local $x i64) (local $hit i64) (local $c i32)
  (global.set $saw_escape (i32.const 0))
  (loop $more
    (local.set $x (i64.load align=1 (local.get $p)))
    (local.set $hit
      (i64.and
        (i64.and
          (i64.or
            (i64.or
              (i64.sub (i64.xor (local.get $x) (i64.const 0x2222_2222_2222_2222)) (i64.const 0x0101_0101_0101_0101))
              (i64.sub (i64.xor (local.get $x) (i64.const 0x5c5c_5c5c_5c5c_5c5c)) (i64.const 0x0101_0101_0101_0101)))
            (i64.sub (local.get $x) (i64.const 0x2020_2020_2020_2020)))
          (i64.xor (local.get $x) (i64.const -1)))
        (i64.const 0x8080_8080_8080_8080)))
    (if (i64.eqz (local.get $hit))
      (then
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (br $more)))
    (local.set $p (i32.add (local.get $p) (i32.shr_u (i32.wrap_i64 (i64.ctz (local.get $hit))) (i32.const 3))))
    (local.set $c (i32.load8_u (local.get $p)))
    (if (i32.eq (local.get $c) (i32.const 0x22)) (then (return (local.get $p))))
    (if (i32.ne (local.get $c) (i32.const 0x5c)) (then (return (call $fail (local.get $p)))))
    (local.set $c (call $escape_bytes (local.get $p)))
    (if (i32.eqz (local.get $c)) (then (return (call $fail (local.get $p)))))
    (global.set $saw_escape (i32.const 1))
    (local.set $p (i32.add (local.get $p) (local.get $c)))
    (br $more))
  (unreachable))

;; escape_bytes is how long the escape at p is, 0 where it is none.
(func $escape_bytes (param $p i32) (result i32)
  (if (i32.eq (i32.load8_u offset=1 (local.get $p)) (i32.const 0x75)) ;; \uxxxx
    (then (return (select (i32.const 6) (i32.const 0) (i32.ge_s (call $hex4 (i32.add (local.get $p) (i32.const 2))) (i32.const 0))))))
  (select (i32.const 2) (i32.const 0) (call $simple (i32.load8_u offset=1 (local.get $p)))))

;; simple is the character that \c stands for, 0 where that is no escape.
(func $simple (param $c i32) (result i32)
  (if (i32.eq (local.get $c) (i32.const 0x22)) (then (return (local.get $c))))  ;; "
  (if (i32.eq (local.get $c) (i32.const 0x5c)) (then (return (local.get $c))))  ;; \
  (if (i32.eq (local.get $c) (i32.const 0x2f)) (then (return (local.get $c))))  ;; /
  (if (i32.eq (local.get $c) (i32.const 0x62)) (then (return (i32.const 0x08)))) ;; b
  (if (i32.eq (local.get $c) (i32.const 0x66)) (then (return (i32.const 0x0c)))) ;; f
  (if (i32.eq (local.get $c) (i32.const 0x6e)) (then (return (i32.const 0x0a)))) ;; n
  (if (i32.eq (local.get $c) (i32.const 0x72)) (then (return (i32.const 0x0d)))) ;; r
  (if (i32.eq (local.get $c) (i32.const 0x74)) (then (return (i32.const 0x09)))) ;; t
  (i32.const 0))

;; hex4 is the number that four hexadecimal digits at p are, negative where they are not. It reads no further than the first
;; that is none.
(func $hex4 (param $p i32) (result i32)
  (local $v i32) (local $d i32) (local $end i32)
  (local.set $end (i32.add (local.get $p) (i32.const 4)))
  (loop $more
    (local.set $d (i32.sub (i32.load8_u (local.get $p)) (i32.const 0x30)))
    (if (i32.gt_u (local.get $d) (i32.const 9))
      (then
        (local.set $d (i32.add (i32.sub (i32.or (i32.load8_u (local.get $p)) (i32.const 0x20)) (i32.const 0x61)) (i32.const 10)))
        (if (i32.or (i32.lt_s (local.get $d) (i32.const 10)) (i32.gt_s (local.get $d) (i32.const 15)))
          (then (return (i32.const -1))))))
    (local.set $v (i32.or (i32.shl (local.get $v) (i32.const 4)) (local.get $d)))
    (local.set $p (i32.add (local.get $p) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $p) (local.get $end))))
  (local.get $v))

;; skip_value returns the byte after the value at p, which stands in depth objects and arrays; 0 is a fault. What it has
;; entered is one bit a level in $objects, an object's 1, the lowest being the innermost, so that it does not call itself.
(func $skip_value (param $p i32) (param $depth i32) (result i32)
  (local $c i32) (local $objects i64) (local $inside i32) (local $at_key i32)
  (loop $value
    (if (local.get $at_key) ;; a key and its colon stand before the value
      (then
        (local.set $p (call $skip_key (local.get $p)))
        (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))))
    (local.set $c (i32.load8_u (local.get $p)))
    (block $behind
      (if (i32.eq (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x7b)) ;; { or [, which differ in that bit
        (then
          (if (i32.ge_u (i32.add (local.get $depth) (local.get $inside)) (global.get $DEPTH_MAX))
            (then (return (call $fail (local.get $p)))))
          (local.set $p (call $blanks (i32.add (local.get $p) (i32.const 1))))
          (if (i32.eq (i32.load8_u (local.get $p)) (i32.add (local.get $c) (i32.const 2))) ;; closed at once
            (then
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (br $behind)))
          (local.set $at_key (i32.eq (local.get $c) (i32.const 0x7b)))
          (local.set $objects (i64.or (i64.shl (local.get $objects) (i64.const 1)) (i64.extend_i32_u (local.get $at_key))))
          (local.set $inside (i32.add (local.get $inside) (i32.const 1)))
          (br $value)))
      (local.set $p (call $skip_scalar (local.get $p) (local.get $c)))
      (if (i32.eqz (local.get $p)) (then (return (i32.const 0)))))
    (loop $after ;; leave what ends here, up to a comma
      (if (i32.eqz (local.get $inside)) (then (return (local.get $p))))
      (local.set $p (call $blanks (local.get $p)))
      (local.set $c (i32.load8_u (local.get $p)))
      (local.set $at_key (i32.wrap_i64 (i64.and (local.get $objects) (i64.const 1))))
      (if (i32.ne (local.get $c) (i32.const 0x2c))
        (then
          (if (i32.ne (local.get $c) (select (i32.const 0x7d) (i32.const 0x5d) (local.get $at_key)))
            (then (return (call $fail (local.get $p)))))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (local.set $objects (i64.shr_u (local.get $objects) (i64.const 1)))
          (local.set $inside (i32.sub (local.get $inside) (i32.const 1)))
          (br $after))))
    (local.set $p (call $blanks (i32.add (local.get $p) (i32.const 1))))
    (br $value))
  (unreachable))

;; skip_key steps over a key and its colon; 0 is a fault.
(func $skip_key (param $p i32) (result i32)
  (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x22)) (then (return (call $fail (local.get $p)))))
  (local.set $p (call $scan (i32.add (local.get $p) (i32.const 1))))
  (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))
  (local.set $p (call $blanks (i32.add (local.get $p) (i32.const 1))))
  (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x3a)) (then (return (call $fail (local.get $p)))))
  (call $blanks (i32.add (local.get $p) (i32.const 1))))

;; skip_scalar steps over a value that has nothing inside and begins with the byte c; 0 is a fault.
(func $skip_scalar (param $p i32) (param $c i32) (result i32)
  (local $w i32)
  (if (i32.eq (local.get $c) (i32.const 0x22))
    (then
      (local.set $p (call $scan (i32.add (local.get $p) (i32.const 1))))
      (return (select (i32.add (local.get $p) (i32.const 1)) (i32.const 0) (local.get $p)))))
  (if (i32.or (i32.eq (local.get $c) (i32.const 0x2d)) (call $is_digit (local.get $c)))
    (then (return (call $skip_number (local.get $p)))))
  (local.set $w (i32.load align=1 (local.get $p)))
  (if (i32.or
        (i32.eq (local.get $w) (i32.const 0x65757274))  ;; "true"
        (i32.eq (local.get $w) (i32.const 0x6c6c756e))) ;; "null"
    (then (return (i32.add (local.get $p) (i32.const 4)))))
  (if (i32.and
        (i32.eq (local.get $w) (i32.const 0x736c6166)) ;; "fals"
        (i32.eq (i32.load8_u offset=4 (local.get $p)) (i32.const 0x65)))
    (then (return (i32.add (local.get $p) (i32.const 5)))))
  (call $fail (local.get $p)))

;; skip_number steps over a number; 0 is a fault.
(func $skip_number (param $p i32) (result i32)
  (local $c i32)
  (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x2d)) (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
  (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x30)) ;; no digit follows a zero
    (then (local.set $p (i32.add (local.get $p) (i32.const 1))))
    (else
      (local.set $p (call $digits (local.get $p)))
      (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))))
  (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x2e)) ;; a fraction
    (then
      (local.set $p (call $digits (i32.add (local.get $p) (i32.const 1))))
      (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))))
  (if (i32.eq (i32.or (i32.load8_u (local.get $p)) (i32.const 0x20)) (i32.const 0x65)) ;; an exponent
    (then
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (local.set $c (i32.load8_u (local.get $p)))
      (if (i32.or (i32.eq (local.get $c) (i32.const 0x2b)) (i32.eq (local.get $c) (i32.const 0x2d)))
        (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
      (return (call $digits (local.get $p)))))
  (local.get $p))

;; digits steps over at least one digit; 0 is a fault.
(func $digits (param $p i32) (result i32)
  (if (i32.eqz (call $is_digit (i32.load8_u (local.get $p)))) (then (return (call $fail (local.get $p)))))
  (loop $more
    (local.set $p (i32.add (local.get $p) (i32.const 1)))
    (br_if $more (call $is_digit (i32.load8_u (local.get $p)))))
  (local.get $p))

;; ---- Texts and numbers --------------------------------------------------------------------------------------------------

(global $scratch (mut i32) (i32.const 0)) ;; TEXT_MAX bytes for $text

;; key_is compares the key's text with a name.
(func $key_is (param $name i64) (result i32)
  (if (global.get $key_escaped) (then (return (call $same (call $key_text) (local.get $name)))))
  (if (i32.ne (i32.wrap_i64 (global.get $key)) (i32.wrap_i64 (local.get $name))) (then (return (i32.const 0))))
  (call $same_bytes
    (i32.wrap_i64 (i64.shr_u (global.get $key) (i64.const 32)))
    (i32.wrap_i64 (i64.shr_u (local.get $name) (i64.const 32)))
    (i32.wrap_i64 (local.get $name))))

;; key_text is the key with its escapes resolved. It holds until the next call of $key_text or $text.
(func $key_text (result i64) (call $text (global.get $key) (global.get $key_escaped)))

;; text is a string's content with its escapes resolved: the content itself where it has none. It holds until the next call
;; of $text or $key_text. Content of more than TEXT_MAX bytes stays as it is written.
(func $text (param $content i64) (param $escaped i32) (result i64)
  (if (i32.or (i32.eqz (local.get $escaped)) (i32.gt_u (call $len_of (local.get $content)) (global.get $TEXT_MAX)))
    (then (return (local.get $content))))
  (if (i32.eqz (global.get $scratch)) (then (global.set $scratch (call $alloc (global.get $TEXT_MAX)))))
  (if (i32.eqz (global.get $scratch)) (then (return (local.get $content))))
  (call $decode (local.get $content) (global.get $scratch)))

;; decode writes the text of a string's raw content to `to`, which must have room for as many bytes, and returns it. Half a
;; surrogate pair becomes U+FFFD. The content must be what the reader found to be a string.
(func $decode (param $content i64) (param $to i32) (result i64)
  (local $p i32) (local $last i32) (local $w i32) (local $c i32)
  (local.set $p (call $ptr_of (local.get $content)))
  (local.set $last (i32.add (local.get $p) (call $len_of (local.get $content))))
  (local.set $w (local.get $to))
  (block $done
    (loop $more
      (br_if $done (i32.ge_u (local.get $p) (local.get $last)))
      (local.set $c (i32.load8_u (local.get $p)))
      (if (i32.ne (local.get $c) (i32.const 0x5c)) ;; no backslash
        (then
          (i32.store8 (local.get $w) (local.get $c))
          (local.set $w (i32.add (local.get $w) (i32.const 1)))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br $more)))
      (local.set $c (i32.load8_u offset=1 (local.get $p)))
      (if (i32.ne (local.get $c) (i32.const 0x75)) ;; \n and its like
        (then
          (i32.store8 (local.get $w) (call $simple (local.get $c)))
          (local.set $w (i32.add (local.get $w) (i32.const 1)))
          (local.set $p (i32.add (local.get $p) (i32.const 2)))
          (br $more)))
      (local.set $c (call $hex4 (i32.add (local.get $p) (i32.const 2)))) ;; \uxxxx
      (local.set $p (i32.add (local.get $p) (i32.const 6)))
      (if (i32.eq (i32.and (local.get $c) (i32.const 0xf800)) (i32.const 0xd800))
        (then
          (local.set $c (call $pair (local.get $c) (local.get $p) (local.get $last)))
          (if (i32.ge_u (local.get $c) (i32.const 0x10000)) (then (local.set $p (i32.add (local.get $p) (i32.const 6)))))))
      (local.set $w (call $put_rune (local.get $w) (local.get $c)))
      (br $more)))
  (call $between (local.get $to) (local.get $w)))

;; pair is the character that a first surrogate and the escape at p make, U+FFFD where they make none.
(func $pair (param $high i32) (param $p i32) (param $last i32) (result i32)
  (local $low i32)
  (if (i32.or
        (i32.and (local.get $high) (i32.const 0x400)) ;; it is a second one
        (i32.lt_u (i32.sub (local.get $last) (local.get $p)) (i32.const 6)))
    (then (return (i32.const 0xfffd))))
  (if (i32.ne (i32.load16_u align=1 (local.get $p)) (i32.const 0x755c)) (then (return (i32.const 0xfffd)))) ;; \u
  (local.set $low (call $hex4 (i32.add (local.get $p) (i32.const 2))))
  (if (i32.ne (i32.and (local.get $low) (i32.const 0xfc00)) (i32.const 0xdc00)) (then (return (i32.const 0xfffd))))
  (i32.add (i32.const 0x10000)
    (i32.or
      (i32.shl (i32.and (local.get $high) (i32.const 0x3ff)) (i32.const 10))
      (i32.and (local.get $low) (i32.const 0x3ff)))))

;; put_rune writes a character in UTF-8 and returns the address behind it.
(func $put_rune (param $w i32) (param $r i32) (result i32)
  (if (i32.lt_u (local.get $r) (i32.const 0x80))
    (then
      (i32.store8 (local.get $w) (local.get $r))
      (return (i32.add (local.get $w) (i32.const 1)))))
  (if (i32.lt_u (local.get $r) (i32.const 0x800))
    (then
      (i32.store8 (local.get $w) (i32.or (i32.const 0xc0) (i32.shr_u (local.get $r) (i32.const 6))))
      (i32.store8 offset=1 (local.get $w) (call $tail (local.get $r)))
      (return (i32.add (local.get $w) (i32.const 2)))))
  (if (i32.lt_u (local.get $r) (i32.const 0x10000))
    (then
      (i32.store8 (local.get $w) (i32.or (i32.const 0xe0) (i32.shr_u (local.get $r) (i32.const 12))))
      (i32.store8 offset=1 (local.get $w) (call $tail (i32.shr_u (local.get $r) (i32.const 6))))
      (i32.store8 offset=2 (local.get $w) (call $tail (local.get $r)))
      (return (i32.add (local.get $w) (i32.const 3)))))
  (i32.store8 (local.get $w) (i32.or (i32.const 0xf0) (i32.shr_u (local.get $r) (i32.const 18))))
  (i32.store8 offset=1 (local.get $w) (call $tail (i32.shr_u (local.get $r) (i32.const 12))))
  (i32.store8 offset=2 (local.get $w) (call $tail (i32.shr_u (local.get $r) (i32.const 6))))
  (i32.store8 offset=3 (local.get $w) (call $tail (local.get $r)))
  (i32.add (local.get $w) (i32.const 4)))

;; tail is a byte of UTF-8 behind the first, of the lowest six bits.
(func $tail (param $bits i32) (result i32)
  (i32.or (i32.const 0x80) (i32.and (local.get $bits) (i32.const 0x3f))))

;; integer reads a number's raw text as a whole number: the number, and 1; or 0 and 0 where it has a fraction or an
;; exponent, is no number, or does not fit. JSON has no leading zeros, so what fits has 19 digits at most, and those fit 64
;; bits unsigned.
(func $integer (param $number i64) (result i64 i32)
  (local $p i32) (local $last i32) (local $negative i64) (local $v i64) (local $d i32)
  (local.set $p (call $ptr_of (local.get $number)))
  (local.set $last (i32.add (local.get $p) (call $len_of (local.get $number))))
  (if (i32.and (i32.lt_u (local.get $p) (local.get $last)) (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x2d)))
    (then
      (local.set $negative (i64.const 1))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))))
  (if (i32.ge_u (i32.sub (i32.sub (local.get $last) (local.get $p)) (i32.const 1)) (i32.const 19)) ;; none, or too many
    (then (return (i64.const 0) (i32.const 0))))
  (loop $more
    (local.set $d (i32.sub (i32.load8_u (local.get $p)) (i32.const 0x30)))
    (if (i32.gt_u (local.get $d) (i32.const 9)) (then (return (i64.const 0) (i32.const 0))))
    (local.set $v (i64.add (i64.mul (local.get $v) (i64.const 10)) (i64.extend_i32_u (local.get $d))))
    (local.set $p (i32.add (local.get $p) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $p) (local.get $last))))
  (if (i64.gt_u (local.get $v) (i64.add (i64.const 0x7fff_ffff_ffff_ffff) (local.get $negative)))
    (then (return (i64.const 0) (i32.const 0))))
  (select (i64.sub (i64.const 0) (local.get $v)) (local.get $v) (i32.wrap_i64 (local.get $negative)))
  (i32.const 1))

;; integer_of reads the next value, whatever it is, and answers as $integer does.
(func $integer_of (result i64 i32)
  (if (i32.eqz (call $skip)) (then (return (i64.const 0) (i32.const 0))))
  (call $integer (global.get $raw)))

;; ---- Writer -------------------------------------------------------------------------------------------------------------
;;
;; An answer is written into one buffer that every call reuses and that grows when it must. Writing past OUTPUT_MAX, or past
;; the memory limit, loses nothing silently: $result is then ERROR number 1.

(global $out (mut i32) (i32.const 0))   ;; the buffer
(global $limit (mut i32) (i32.const 0)) ;; its end
(global $pos (mut i32) (i32.const 0))   ;; the next byte to write
(global $base (mut i32) (i32.const 0))  ;; where this answer begins in the buffer: behind the others of a batch
(global $full (mut i32) (i32.const 0))  ;; something did not fit

;; begin starts an answer. $ready does so before every hook, so this is for starting over.
(func $begin
  (global.set $pos (i32.add (global.get $out) (global.get $base)))
  (global.set $full (i32.const 0)))

;; mark is how much has been written; reset goes back there.
(func $mark (result i32) (i32.sub (i32.sub (global.get $pos) (global.get $out)) (global.get $base)))
(func $reset (param $mark i32)
  (global.set $pos (i32.add (i32.add (global.get $out) (global.get $base)) (local.get $mark))))

;; written is the span from a mark to here. It holds until the next put.
(func $written (param $mark i32) (result i64)
  (call $between (i32.add (i32.add (global.get $out) (global.get $base)) (local.get $mark)) (global.get $pos)))

;; room sees to it that n more bytes may be written; 0 where they may not.
(func $room (param $n i32) (result i32)
  (if (i32.and
        (i32.ne (global.get $out) (i32.const 0))
        (i32.le_u (local.get $n) (i32.sub (global.get $limit) (global.get $pos))))
    (then (return (i32.const 1))))
  (call $grow (local.get $n)))

;; grow makes the buffer larger. The old one is left behind, so its size doubles at least.
(func $grow (param $n i32) (result i32)
  (local $used i32) (local $size i32) (local $new i32)
  (local.set $used (i32.sub (global.get $pos) (global.get $out)))
  (block $refused
    (br_if $refused (global.get $full))
    (br_if $refused (i32.gt_u (local.get $n) (global.get $OUTPUT_MAX)))
    (br_if $refused (i32.gt_u (i32.add (local.get $used) (local.get $n)) (global.get $OUTPUT_MAX)))
    (local.set $size (select
      (i32.shl (i32.sub (global.get $limit) (global.get $out)) (i32.const 1))
      (i32.const 0x10000)
      (global.get $out)))
    (block $enough
      (loop $double
        (br_if $enough (i32.ge_u (local.get $size) (i32.add (local.get $used) (local.get $n))))
        (local.set $size (i32.shl (local.get $size) (i32.const 1)))
        (br $double)))
    (local.set $new (call $alloc (local.get $size)))
    (br_if $refused (i32.eqz (local.get $new)))
    (memory.copy (local.get $new) (global.get $out) (local.get $used))
    (global.set $out (local.get $new))
    (global.set $limit (i32.add (local.get $new) (local.get $size)))
    (global.set $pos (i32.add (local.get $new) (local.get $used)))
    (return (i32.const 1)))
  (global.set $full (i32.const 1))
  (i32.const 0))

;; put writes the bytes of a span as they are: short ones eight at a time, which may write up to seven bytes of slack.
(func $put (param $s i64)
  (local $from i32) (local $to i32) (local $n i32)
  (local.set $n (i32.wrap_i64 (local.get $s)))
  (if (i32.gt_u (local.get $n) (i32.sub (global.get $limit) (global.get $pos)))
    (then (if (i32.eqz (call $room (local.get $n))) (then (return)))))
  (local.set $from (i32.wrap_i64 (i64.shr_u (local.get $s) (i64.const 32))))
  (local.set $to (global.get $pos))
  (global.set $pos (i32.add (local.get $to) (local.get $n)))
  (if (i32.ge_u (i32.sub (local.get $n) (i32.const 1)) (i32.const 64)) ;; none, or many
    (then
      (memory.copy (local.get $to) (local.get $from) (local.get $n))
      (return)))
  (loop $eight
    (i64.store align=1 (local.get $to) (i64.load align=1 (local.get $from)))
    (local.set $from (i32.add (local.get $from) (i32.const 8)))
    (local.set $to (i32.add (local.get $to) (i32.const 8)))
    (br_if $eight (i32.lt_u (local.get $to) (global.get $pos)))))

;; put_byte writes one byte.
(func $put_byte (param $c i32)
  (if (i32.eqz (call $room (i32.const 1))) (then (return)))
  (i32.store8 (global.get $pos) (local.get $c))
  (global.set $pos (i32.add (global.get $pos) (i32.const 1))))

;; put_int writes a whole number in decimal, made from its end at 0x64 backwards.
(func $put_int (param $value i64)
  (local $v i64) (local $p i32)
  (local.set $v (select (i64.sub (i64.const 0) (local.get $value)) (local.get $value) (i64.lt_s (local.get $value) (i64.const 0))))
  (local.set $p (i32.const 0x64))
  (loop $digit
    (local.set $p (i32.sub (local.get $p) (i32.const 1)))
    (i32.store8 (local.get $p) (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $v) (i64.const 10)))))
    (local.set $v (i64.div_u (local.get $v) (i64.const 10)))
    (br_if $digit (i64.ne (local.get $v) (i64.const 0))))
  (if (i64.lt_s (local.get $value) (i64.const 0))
    (then
      (local.set $p (i32.sub (local.get $p) (i32.const 1)))
      (i32.store8 (local.get $p) (i32.const 0x2d))))
  (call $put (call $between (local.get $p) (i32.const 0x64))))

;; put_text writes plain text as the content of a JSON string, escaping what must be.
(func $put_text (param $text i64)
  (local $p i32) (local $last i32) (local $c i32)
  (local.set $p (call $ptr_of (local.get $text)))
  (local.set $last (i32.add (local.get $p) (call $len_of (local.get $text))))
  (block $done
    (loop $more
      (br_if $done (i32.ge_u (local.get $p) (local.get $last)))
      (local.set $c (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (if (i32.or (i32.eq (local.get $c) (i32.const 0x22)) (i32.eq (local.get $c) (i32.const 0x5c)))
        (then (call $put_byte (i32.const 0x5c))))
      (if (i32.lt_u (local.get $c) (i32.const 0x20))
        (then
          (call $put (global.get $U00))
          (call $put_byte (i32.add (i32.const 0x30) (i32.shr_u (local.get $c) (i32.const 4))))
          (local.set $c (i32.and (local.get $c) (i32.const 15)))
          (local.set $c (i32.add (local.get $c)
            (select (i32.const 0x57) (i32.const 0x30) (i32.gt_u (local.get $c) (i32.const 9)))))))
      (call $put_byte (local.get $c))
      (br $more))))

;; put_u32 writes four bytes, little endian; patch_u32 overwrites four bytes at a mark.
(func $put_u32 (param $v i32)
  (if (i32.eqz (call $room (i32.const 4))) (then (return)))
  (i32.store align=1 (global.get $pos) (local.get $v))
  (global.set $pos (i32.add (global.get $pos) (i32.const 4))))
(func $patch_u32 (param $mark i32) (param $v i32)
  (if (global.get $full) (then (return)))
  (i32.store align=1 (i32.add (i32.add (global.get $out) (global.get $base)) (local.get $mark)) (local.get $v)))

;; result is what a hook returns for the answer it has written: DATA, or an error where it did not fit.
(func $result (result i64)
  (if (i32.or (global.get $full) (i32.eqz (call $room (i32.const 0)))) (then (return (call $error_code (i32.const 1)))))
  (call $written (i32.const 0)))

;; failure is what a hook returns where what it has written is an error text.
(func $failure (result i64) (call $error (call $result)))
