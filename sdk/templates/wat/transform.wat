;; {{.Name}} makes envelopes of events: of each Greeting one on public:greetings. Everything else is left to the next plugin.
;; wse.wat and batch.wat of the SDK stand behind this file in the module; what is called and not found here is theirs. A span, a
;; run of bytes, is one i64: address in the high 32 bits, length in the low ones.

(import "wse" "metric" (func $metric (param $ptr i32) (param $len i32) (param $value f64)))

;; ---- Names of members and of types
(data (i32.const 0x400) "type")
(global $TYPE i64 (i64.const 0x0000_0400_0000_0004))
(data (i32.const 0x410) "payload")
(global $PAYLOAD i64 (i64.const 0x0000_0410_0000_0007))
(data (i32.const 0x420) "text")
(global $TEXT i64 (i64.const 0x0000_0420_0000_0004))
(data (i32.const 0x430) "priority")
(global $PRIORITY i64 (i64.const 0x0000_0430_0000_0008))
(data (i32.const 0x440) "Greeting")
(global $GREETING i64 (i64.const 0x0000_0440_0000_0008))

;; ---- Pieces of the answer, and what is counted
(data (i32.const 0x450) "{\"t\":\"greeting\",\"topic\":\"public:greetings\",\"p\":{\"text\":\"")
(global $HEAD i64 (i64.const 0x0000_0450_0000_0038))
(data (i32.const 0x490) "\"},\"pri\":")
(global $PRI i64 (i64.const 0x0000_0490_0000_0009))
(data (i32.const 0x4a0) "greetings_total")
(global $COUNTER i64 (i64.const 0x0000_04a0_0000_000f))

;; ---- Errors
(data (i32.const 0x4b0) "not an event")
(global $NOT_AN_EVENT i64 (i64.const 0x0000_04b0_0000_000c))
(data (i32.const 0x4c0) "Greeting: payload.text is missing")
(global $NO_TEXT i64 (i64.const 0x0000_04c0_0000_0021))
(data (i32.const 0x4f0) "config: not an object")
(global $NOT_AN_OBJECT i64 (i64.const 0x0000_04f0_0000_0015))
(data (i32.const 0x510) "config: unknown field \"")
(global $UNKNOWN i64 (i64.const 0x0000_0510_0000_0017))
(data (i32.const 0x530) "config: priority must be an integer from 1 to 10")
(global $BAD_PRIORITY i64 (i64.const 0x0000_0530_0000_0030))

;; ---- State
(global $priority (mut i64) (i64.const 5)) ;; what the configuration sets
(global $words (mut i64) (i64.const 0))    ;; payload.text of the event that is read, as it is written
(global $typed (mut i32) (i32.const 0))    ;; it has a type that is a string
(global $greeting (mut i32) (i32.const 0)) ;; which is Greeting

;; payload reads the next value as the payload.
(func $payload
  (global.set $words (i64.const 0))
  (if (i32.eqz (call $enter_or_skip)) (then (return)))
  (loop $members
    (if (i32.eqz (call $member)) (then (return)))
    (if (call $key_is (global.get $TEXT)) (then (global.set $words (call $text_or_none)) (br $members)))
    (drop (call $skip))
    (br $members)))

;; read reads {"type":"Greeting","payload":{"text":"…"}}; 0 where it is no event.
(func $read (param $ptr i32) (param $len i32) (result i32)
  (local $name i64)
  (global.set $typed (i32.const 0))
  (global.set $greeting (i32.const 0))
  (global.set $words (i64.const 0))
  (call $open (local.get $ptr) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $TYPE))
          (then
            (global.set $typed (i32.eq (call $peek) (global.get $STRING)))
            (local.set $name (call $text_or_none))
            (global.set $greeting (call $same (call $text (local.get $name) (global.get $escaped)) (global.get $GREETING)))
            (br $members)))
        (if (call $key_is (global.get $PAYLOAD)) (then (call $payload) (br $members)))
        (drop (call $skip))
        (br $members))))
  (i32.and (call $close) (global.get $typed)))

;; transform answers one event. batch.wat calls it too.
(func $transform (param $ptr i32) (param $len i32) (result i64)
  (if (i32.eqz (call $read (local.get $ptr) (local.get $len))) (then (return (call $error (global.get $NOT_AN_EVENT)))))
  (if (i32.eqz (global.get $greeting)) (then (return (global.get $YES)))) ;; not mine, ask the next plugin
  (if (i32.eqz (call $len_of (global.get $words))) (then (return (call $error (global.get $NO_TEXT)))))
  (call $metric (call $ptr_of (global.get $COUNTER)) (call $len_of (global.get $COUNTER)) (f64.const 1))
  (call $put (global.get $HEAD))
  (call $put (global.get $words))
  (call $put (global.get $PRI))
  (call $put_int (global.get $priority))
  (call $put_byte (i32.const 0x7d)) ;; }
  (call $result))

(func (export "wse_transform") (param $len i32) (result i64)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (call $transform (global.get $input) (local.get $len)))

;; The configuration is {"priority":N}. The first unknown member is named in the error.
(func (export "wse_configure") (param $len i32) (result i64)
  (local $n i64) (local $ok i32)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (local.set $n (global.get $priority))
  (local.set $ok (i32.const 1))
  (call $open (global.get $input) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (i32.and (i32.eqz (call $key_is (global.get $PRIORITY))) (i32.eqz (call $mark)))
          (then
            (call $put (global.get $UNKNOWN))
            (call $put (call $key_text))
            (call $put_byte (i32.const 0x22)))) ;; "
        (call $integer_of)
        (local.set $ok)
        (local.set $n)
        (br $members))))
  (if (i32.eqz (call $close)) (then (return (call $error (global.get $NOT_AN_OBJECT)))))
  (if (call $mark) (then (return (call $failure))))
  (if (i32.eqz (local.get $ok)) (then (return (call $error (global.get $BAD_PRIORITY)))))
  (if (i64.gt_u (i64.sub (local.get $n) (i64.const 1)) (i64.const 9)) (then (return (call $error (global.get $BAD_PRIORITY)))))
  (global.set $priority (local.get $n))
  (global.get $YES))
