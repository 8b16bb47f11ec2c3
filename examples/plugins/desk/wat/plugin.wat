;; desk: who may read the topics of a trading desk. ../../README.md says what it answers.
;; wse.wat of the SDK stands behind this file in the module; what is called and not found here is its.

;; ---- Names of members, actions and topics
(data (i32.const 0x400) "action")
(global $ACTION i64 (i64.const 0x0000_0400_0000_0006))
(data (i32.const 0x410) "topic")
(global $TOPIC i64 (i64.const 0x0000_0410_0000_0005))
(data (i32.const 0x420) "identity")
(global $IDENTITY i64 (i64.const 0x0000_0420_0000_0008))
(data (i32.const 0x430) "user_id")
(global $USER_ID i64 (i64.const 0x0000_0430_0000_0007))
(data (i32.const 0x440) "claims")
(global $CLAIMS i64 (i64.const 0x0000_0440_0000_0006))
(data (i32.const 0x450) "desk")
(global $DESK i64 (i64.const 0x0000_0450_0000_0004))
(data (i32.const 0x460) "ttl_s")
(global $TTL_S i64 (i64.const 0x0000_0460_0000_0005))
(data (i32.const 0x470) "publish")
(global $PUBLISH i64 (i64.const 0x0000_0470_0000_0007))
(data (i32.const 0x480) "public:")
(global $PUBLIC i64 (i64.const 0x0000_0480_0000_0007))
(data (i32.const 0x490) "user:")
(global $USER i64 (i64.const 0x0000_0490_0000_0005))
(data (i32.const 0x4a0) "stream:market_data:")
(global $MARKET_DATA i64 (i64.const 0x0000_04a0_0000_0013))

;; ---- Pieces of answers, and errors
(data (i32.const 0x4c0) "{\"allow\":true")
(global $ALLOW i64 (i64.const 0x0000_04c0_0000_000d))
(data (i32.const 0x4d0) ",\"ttl_s\":")
(global $AND_TTL i64 (i64.const 0x0000_04d0_0000_0009))
(data (i32.const 0x4e0) "{\"allow\":false,\"reason\":\"desk ")
(global $REFUSE i64 (i64.const 0x0000_04e0_0000_001e))
(data (i32.const 0x500) " is not yours\"}")
(global $NOT_YOURS i64 (i64.const 0x0000_0500_0000_000f))
(data (i32.const 0x510) "not a request")
(global $NOT_A_REQUEST i64 (i64.const 0x0000_0510_0000_000d))
(data (i32.const 0x520) "config: not an object")
(global $NOT_AN_OBJECT i64 (i64.const 0x0000_0520_0000_0015))
(data (i32.const 0x540) "config: unknown field \"")
(global $UNKNOWN i64 (i64.const 0x0000_0540_0000_0017))
(data (i32.const 0x560) "config: ttl_s must be an integer from 0 to 86400")
(global $BAD_TTL i64 (i64.const 0x0000_0560_0000_0030))

;; ---- State. A span of 0 is missing or no string.
(global $ttl (mut i64) (i64.const 30)) ;; seconds that an answer is remembered; 0 is not at all
(global $action (mut i64) (i64.const 0))
(global $action_escaped (mut i32) (i32.const 0))
(global $topic (mut i64) (i64.const 0))
(global $topic_escaped (mut i32) (i32.const 0))
(global $has_topic (mut i32) (i32.const 0))
(global $user (mut i64) (i64.const 0))
(global $user_escaped (mut i32) (i32.const 0))
(global $claim (mut i64) (i64.const 0))
(global $claim_escaped (mut i32) (i32.const 0))

(global $TOPIC_BYTES_MAX i32 (i32.const 1024)) ;; as written
(global $DECODED i32 (i32.const 0x1000))       ;; so much room for a topic's text

;; ---- Reading

(func $claims
  (global.set $claim (i64.const 0))
  (if (i32.eqz (call $enter_or_skip)) (then (return)))
  (loop $members
    (if (i32.eqz (call $member)) (then (return)))
    (if (call $key_is (global.get $DESK))
      (then
        (global.set $claim (call $text_or_none))
        (global.set $claim_escaped (global.get $escaped))
        (br $members)))
    (drop (call $skip))
    (br $members)))

(func $identity
  (global.set $user (i64.const 0))
  (global.set $claim (i64.const 0))
  (if (i32.eqz (call $enter_or_skip)) (then (return)))
  (loop $members
    (if (i32.eqz (call $member)) (then (return)))
    (if (call $key_is (global.get $USER_ID))
      (then
        (global.set $user (call $text_or_none))
        (global.set $user_escaped (global.get $escaped))
        (br $members)))
    (if (call $key_is (global.get $CLAIMS)) (then (call $claims) (br $members)))
    (drop (call $skip))
    (br $members)))

;; read reads a request; 0 where it is none.
(func $read (param $len i32) (result i32)
  (global.set $action (i64.const 0))
  (global.set $has_topic (i32.const 0))
  (global.set $user (i64.const 0))
  (global.set $claim (i64.const 0))
  (call $open (global.get $input) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $TOPIC))
          (then
            (global.set $has_topic (i32.eq (call $peek) (global.get $STRING)))
            (global.set $topic (call $text_or_none))
            (global.set $topic_escaped (global.get $escaped))
            (br $members)))
        (if (call $key_is (global.get $ACTION))
          (then
            (global.set $action (call $text_or_none))
            (global.set $action_escaped (global.get $escaped))
            (br $members)))
        (if (call $key_is (global.get $IDENTITY)) (then (call $identity) (br $members)))
        (drop (call $skip))
        (br $members))))
  (i32.and (call $close) (global.get $has_topic)))

;; ---- Deciding

;; own answers for the topic "user:" and rest: the id is what stands before the next colon.
(func $own (param $rest i64) (result i64)
  (local $from i32) (local $p i32) (local $last i32)
  (local.set $from (call $ptr_of (local.get $rest)))
  (local.set $p (local.get $from))
  (local.set $last (i32.add (local.get $from) (call $len_of (local.get $rest))))
  (block $found
    (loop $more
      (br_if $found (i32.ge_u (local.get $p) (local.get $last)))
      (br_if $found (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x3a)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br $more)))
  (if (i32.eq (local.get $p) (local.get $from)) (then (return (global.get $NO))))
  (i64.extend_i32_u (call $same
    (call $text (global.get $user) (global.get $user_escaped))
    (call $between (local.get $from) (local.get $p)))))

;; desk answers for the topic of a desk's market data.
(func $desk (param $name i64) (result i64)
  (local $is_own i32)
  (if (i64.ne (global.get $claim) (i64.const 0))
    (then (local.set $is_own (call $same (call $text (global.get $claim) (global.get $claim_escaped)) (local.get $name)))))
  (if (local.get $is_own)
    (then
      (call $put (global.get $ALLOW))
      (if (i64.ne (global.get $ttl) (i64.const 0))
        (then
          (call $put (global.get $AND_TTL))
          (call $put_int (global.get $ttl))))
      (call $put_byte (i32.const 0x7d))) ;; }
    (else
      (call $put (global.get $REFUSE))
      (call $put_text (local.get $name))
      (call $put (global.get $NOT_YOURS))))
  (call $result))

(func (export "wse_authorize") (param $len i32) (result i64)
  (local $t i64)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $read (local.get $len))) (then (return (call $error (global.get $NOT_A_REQUEST)))))
  (if (call $same (call $text (global.get $action) (global.get $action_escaped)) (global.get $PUBLISH))
    (then (return (global.get $NO))))
  (if (i32.gt_u (call $len_of (global.get $topic)) (global.get $TOPIC_BYTES_MAX)) (then (return (global.get $NO))))
  (local.set $t (global.get $topic))
  (if (global.get $topic_escaped) (then (local.set $t (call $decode (local.get $t) (global.get $DECODED)))))
  (if (call $begins (local.get $t) (global.get $PUBLIC)) (then (return (global.get $YES))))
  (if (call $begins (local.get $t) (global.get $USER))
    (then (return (call $own (call $from (local.get $t) (call $len_of (global.get $USER)))))))
  (if (call $begins (local.get $t) (global.get $MARKET_DATA))
    (then
      (local.set $t (call $from (local.get $t) (call $len_of (global.get $MARKET_DATA))))
      (if (call $len_of (local.get $t)) (then (return (call $desk (local.get $t)))))))
  (global.get $NO))

;; ---- Configuration: {"ttl_s":N}. The first unknown member is named, in what is written as the error text meanwhile.
(func (export "wse_configure") (param $len i32) (result i64)
  (local $ok i32) (local $wrong i32)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (call $open (global.get $input) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $TTL_S))
          (then
            (call $integer_of)
            (local.set $ok)
            (global.set $ttl)
            (local.set $wrong (i32.or (i32.eqz (local.get $ok)) (i64.gt_u (global.get $ttl) (i64.const 86400))))
            (br $members)))
        (if (i32.eqz (call $mark))
          (then
            (call $put (global.get $UNKNOWN))
            (call $put (call $key_text))
            (call $put_byte (i32.const 0x22))))
        (drop (call $skip))
        (br $members))))
  (if (i32.eqz (call $close)) (then (return (call $error (global.get $NOT_AN_OBJECT)))))
  (if (call $mark) (then (return (call $failure))))
  (if (local.get $wrong) (then (return (call $error (global.get $BAD_TTL)))))
  (global.get $YES))

