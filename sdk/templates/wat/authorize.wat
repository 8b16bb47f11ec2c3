;; {{.Name}} decides who may use a topic: public:… everybody, user:ID:… the user with that id.
;; wse.wat of the SDK stands behind this file in the module; what is called and not found here is its. A span, a run of bytes,
;; is one i64: address in the high 32 bits, length in the low ones.

;; ---- Names of members, beginnings of topics, and the error
(data (i32.const 0x400) "topic")
(global $TOPIC i64 (i64.const 0x0000_0400_0000_0005))
(data (i32.const 0x410) "identity")
(global $IDENTITY i64 (i64.const 0x0000_0410_0000_0008))
(data (i32.const 0x420) "user_id")
(global $USER_ID i64 (i64.const 0x0000_0420_0000_0007))
(data (i32.const 0x430) "public:")
(global $PUBLIC i64 (i64.const 0x0000_0430_0000_0007))
(data (i32.const 0x440) "user:")
(global $USER i64 (i64.const 0x0000_0440_0000_0005))
(data (i32.const 0x450) "not a request")
(global $NOT_A_REQUEST i64 (i64.const 0x0000_0450_0000_000d))

;; ---- The request that is read, its texts as they are written: the engine's topics and user ids have no character that
;; needs an escape. 0 is missing.
(global $topic (mut i64) (i64.const 0))
(global $user (mut i64) (i64.const 0))

(func $identity
  (global.set $user (i64.const 0))
  (if (i32.eqz (call $enter_or_skip)) (then (return)))
  (loop $members
    (if (i32.eqz (call $member)) (then (return)))
    (if (call $key_is (global.get $USER_ID)) (then (global.set $user (call $text_or_none)) (br $members)))
    (drop (call $skip))
    (br $members)))

;; read reads {"action":"…","topic":"…","identity":{"user_id":"…",…},…}; 0 where it is no request.
(func $read (param $len i32) (result i32)
  (global.set $topic (i64.const 0))
  (global.set $user (i64.const 0))
  (call $open (global.get $input) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $TOPIC)) (then (global.set $topic (call $text_or_none)) (br $members)))
        (if (call $key_is (global.get $IDENTITY)) (then (call $identity) (br $members)))
        (drop (call $skip))
        (br $members))))
  (i32.and (call $close) (i32.ne (call $len_of (global.get $topic)) (i32.const 0))))

;; own answers for what stands behind "user:" in a topic.
(func $own (param $rest i64) (result i64)
  (if (i32.eqz (call $len_of (global.get $user))) (then (return (global.get $NO))))
  (if (i32.eqz (call $begins (local.get $rest) (global.get $user))) (then (return (global.get $NO))))
  (local.set $rest (call $from (local.get $rest) (call $len_of (global.get $user))))
  (if (i32.lt_u (call $len_of (local.get $rest)) (i32.const 2)) (then (return (global.get $NO))))
  (i64.extend_i32_u (i32.eq (i32.load8_u (call $ptr_of (local.get $rest))) (i32.const 0x3a)))) ;; a colon: YES is 1

(func (export "wse_authorize") (param $len i32) (result i64)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $read (local.get $len))) (then (return (call $error (global.get $NOT_A_REQUEST)))))
  (if (call $begins (global.get $topic) (global.get $PUBLIC)) (then (return (global.get $YES))))
  (if (call $begins (global.get $topic) (global.get $USER))
    (then (return (call $own (call $from (global.get $topic) (call $len_of (global.get $USER)))))))
  (global.get $NO))
