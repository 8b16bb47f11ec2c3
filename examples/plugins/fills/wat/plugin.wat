;; fills: envelopes of the events of a trading desk. ../../README.md says what it answers.
;; wse.wat and batch.wat of the SDK stand behind this file in the module; what is called and not found here is theirs.

(import "wse" "log" (func $log (param $level i32) (param $ptr i32) (param $len i32)))
(import "wse" "metric" (func $metric (param $ptr i32) (param $len i32) (param $value f64)))

;; ---- Names of members and of types
(data (i32.const 0x400) "type")
(global $TYPE i64 (i64.const 0x0000_0400_0000_0004))
(data (i32.const 0x410) "user_id")
(global $USER_ID i64 (i64.const 0x0000_0410_0000_0007))
(data (i32.const 0x420) "payload")
(global $PAYLOAD i64 (i64.const 0x0000_0420_0000_0007))
(data (i32.const 0x430) "order_id")
(global $ORDER_ID i64 (i64.const 0x0000_0430_0000_0008))
(data (i32.const 0x440) "symbol")
(global $SYMBOL i64 (i64.const 0x0000_0440_0000_0006))
(data (i32.const 0x450) "quantity")
(global $QUANTITY i64 (i64.const 0x0000_0450_0000_0008))
(data (i32.const 0x460) "reason")
(global $REASON i64 (i64.const 0x0000_0460_0000_0006))
(data (i32.const 0x470) "large")
(global $LARGE i64 (i64.const 0x0000_0470_0000_0005))
(data (i32.const 0x480) "OrderFilled")
(global $ORDER_FILLED i64 (i64.const 0x0000_0480_0000_000b))
(data (i32.const 0x490) "OrderRejected")
(global $ORDER_REJECTED i64 (i64.const 0x0000_0490_0000_000d))
(data (i32.const 0x4a0) "Heartbeat")
(global $HEARTBEAT i64 (i64.const 0x0000_04a0_0000_0009))

;; ---- Pieces of envelopes
(data (i32.const 0x4b0) "{\"t\":\"order_update\",\"topic\":\"user:")
(global $UPDATE i64 (i64.const 0x0000_04b0_0000_0022))
(data (i32.const 0x4e0) ":order_events\",\"p\":{\"order_id\":\"")
(global $EVENTS i64 (i64.const 0x0000_04e0_0000_0020))
(data (i32.const 0x500) "\",\"symbol\":\"")
(global $AND_SYMBOL i64 (i64.const 0x0000_0500_0000_000c))
(data (i32.const 0x510) "\",\"status\":\"filled\",\"quantity\":")
(global $FILLED i64 (i64.const 0x0000_0510_0000_001f))
(data (i32.const 0x530) "},\"pri\":10},{\"t\":\"trade\",\"topic\":\"public:trades:")
(global $TRADE i64 (i64.const 0x0000_0530_0000_0030))
(data (i32.const 0x560) "\",\"p\":{\"symbol\":\"")
(global $TRADED i64 (i64.const 0x0000_0560_0000_0011))
(data (i32.const 0x580) "\",\"quantity\":")
(global $AND_QUANTITY i64 (i64.const 0x0000_0580_0000_000d))
(data (i32.const 0x590) ",\"large\":true")
(global $AND_LARGE i64 (i64.const 0x0000_0590_0000_000d))
(data (i32.const 0x5a0) "}}]")
(global $END_ALL i64 (i64.const 0x0000_05a0_0000_0003))
(data (i32.const 0x5b0) "\",\"status\":\"rejected\",\"reason\":\"")
(global $REJECTED i64 (i64.const 0x0000_05b0_0000_0020))
(data (i32.const 0x5d0) "\"},\"pri\":10}")
(global $END_REJECTED i64 (i64.const 0x0000_05d0_0000_000c))

;; ---- What is said beside them
(data (i32.const 0x5e0) "large fill: ")
(global $LARGE_FILL i64 (i64.const 0x0000_05e0_0000_000c))
(data (i32.const 0x5f0) "fills_total")
(global $FILLS_TOTAL i64 (i64.const 0x0000_05f0_0000_000b))
(data (i32.const 0x600) "not an event")
(global $NOT_AN_EVENT i64 (i64.const 0x0000_0600_0000_000c))
(data (i32.const 0x610) "OrderFilled: user_id is missing")
(global $NO_USER i64 (i64.const 0x0000_0610_0000_001f))
(data (i32.const 0x630) "OrderFilled: payload.order_id is missing")
(global $NO_ORDER i64 (i64.const 0x0000_0630_0000_0028))
(data (i32.const 0x660) "OrderFilled: payload.symbol is missing")
(global $NO_SYMBOL i64 (i64.const 0x0000_0660_0000_0026))
(data (i32.const 0x690) "OrderFilled: payload.quantity is missing")
(global $NO_QUANTITY i64 (i64.const 0x0000_0690_0000_0028))
(data (i32.const 0x6c0) "OrderRejected: user_id is missing")
(global $REJECTED_NO_USER i64 (i64.const 0x0000_06c0_0000_0021))
(data (i32.const 0x6f0) "OrderRejected: payload.order_id is missing")
(global $REJECTED_NO_ORDER i64 (i64.const 0x0000_06f0_0000_002a))
(data (i32.const 0x720) "config: not an object")
(global $NOT_AN_OBJECT i64 (i64.const 0x0000_0720_0000_0015))
(data (i32.const 0x740) "config: unknown field \"")
(global $UNKNOWN i64 (i64.const 0x0000_0740_0000_0017))
(data (i32.const 0x760) "config: large must be an integer of 1 or more")
(global $BAD_LARGE i64 (i64.const 0x0000_0760_0000_002d))

;; ---- State: of the configuration, and of the event that is read. A span of length 0 is missing or of another kind.
(global $large (mut i64) (i64.const 1000)) ;; a fill of so much is a large one
(global $type (mut i64) (i64.const 0))
(global $type_escaped (mut i32) (i32.const 0))
(global $typed (mut i32) (i32.const 0)) ;; the type is a string
(global $user (mut i64) (i64.const 0))
(global $order (mut i64) (i64.const 0))
(global $symbol (mut i64) (i64.const 0))
(global $reason (mut i64) (i64.const 0))
(global $quantity (mut i64) (i64.const 0)) ;; 0 is missing

;; ---- Reading

;; positive reads the next value: an integer of 1 or more, 0 for anything else.
(func $positive (result i64)
  (local $n i64) (local $ok i32)
  (call $integer_of)
  (local.set $ok)
  (local.set $n)
  (select (local.get $n) (i64.const 0) (i32.and (local.get $ok) (i64.gt_s (local.get $n) (i64.const 0)))))

;; payload reads the next value as the payload, of which the last one counts alone.
(func $payload
  (global.set $order (i64.const 0))
  (global.set $symbol (i64.const 0))
  (global.set $reason (i64.const 0))
  (global.set $quantity (i64.const 0))
  (if (i32.eqz (call $enter_or_skip)) (then (return)))
  (loop $members
    (if (i32.eqz (call $member)) (then (return)))
    (if (call $key_is (global.get $ORDER_ID)) (then (global.set $order (call $text_or_none)) (br $members)))
    (if (call $key_is (global.get $SYMBOL)) (then (global.set $symbol (call $text_or_none)) (br $members)))
    (if (call $key_is (global.get $QUANTITY)) (then (global.set $quantity (call $positive)) (br $members)))
    (if (call $key_is (global.get $REASON)) (then (global.set $reason (call $text_or_none)) (br $members)))
    (drop (call $skip))
    (br $members)))

;; read reads an event; 0 where it is none.
(func $read (param $ptr i32) (param $len i32) (result i32)
  (global.set $typed (i32.const 0))
  (global.set $user (i64.const 0))
  (global.set $order (i64.const 0))
  (global.set $symbol (i64.const 0))
  (global.set $reason (i64.const 0))
  (global.set $quantity (i64.const 0))
  (call $open (local.get $ptr) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $TYPE))
          (then
            (global.set $typed (i32.eq (call $peek) (global.get $STRING)))
            (global.set $type (call $text_or_none))
            (global.set $type_escaped (global.get $escaped))
            (br $members)))
        (if (call $key_is (global.get $USER_ID)) (then (global.set $user (call $text_or_none)) (br $members)))
        (if (call $key_is (global.get $PAYLOAD)) (then (call $payload) (br $members)))
        (drop (call $skip))
        (br $members))))
  (i32.and (call $close) (global.get $typed)))

;; ---- Answering

;; lacks says whether a member is missing.
(func $lacks (param $text i64) (result i32) (i32.eqz (call $len_of (local.get $text))))

;; head writes what both kinds of order update begin with.
(func $head
  (call $put (global.get $UPDATE))
  (call $put (global.get $user))
  (call $put (global.get $EVENTS))
  (call $put (global.get $order)))

;; announce logs a large fill. The line is made where the answer goes, which is then started over.
(func $announce
  (call $put (global.get $LARGE_FILL))
  (call $put (global.get $order))
  (call $log (i32.const 2) (call $ptr_of (call $written (i32.const 0))) (call $mark))
  (call $begin))

(func $filled (result i64)
  (local $is_large i32)
  (if (call $lacks (global.get $user)) (then (return (call $error (global.get $NO_USER)))))
  (if (call $lacks (global.get $order)) (then (return (call $error (global.get $NO_ORDER)))))
  (if (call $lacks (global.get $symbol)) (then (return (call $error (global.get $NO_SYMBOL)))))
  (if (i64.eqz (global.get $quantity)) (then (return (call $error (global.get $NO_QUANTITY)))))
  (call $metric (call $ptr_of (global.get $FILLS_TOTAL)) (call $len_of (global.get $FILLS_TOTAL)) (f64.const 1))
  (local.set $is_large (i64.ge_s (global.get $quantity) (global.get $large)))
  (if (local.get $is_large) (then (call $announce)))
  (call $put_byte (i32.const 0x5b)) ;; [
  (call $head)
  (call $put (global.get $AND_SYMBOL))
  (call $put (global.get $symbol))
  (call $put (global.get $FILLED))
  (call $put_int (global.get $quantity))
  (call $put (global.get $TRADE))
  (call $put (global.get $symbol))
  (call $put (global.get $TRADED))
  (call $put (global.get $symbol))
  (call $put (global.get $AND_QUANTITY))
  (call $put_int (global.get $quantity))
  (if (local.get $is_large) (then (call $put (global.get $AND_LARGE))))
  (call $put (global.get $END_ALL))
  (call $result))

(func $rejected (result i64)
  (if (call $lacks (global.get $user)) (then (return (call $error (global.get $REJECTED_NO_USER)))))
  (if (call $lacks (global.get $order)) (then (return (call $error (global.get $REJECTED_NO_ORDER)))))
  (call $head)
  (call $put (global.get $REJECTED))
  (call $put (global.get $reason))
  (call $put (global.get $END_REJECTED))
  (call $result))

;; transform answers one event. batch.wat calls it too.
(func $transform (param $ptr i32) (param $len i32) (result i64)
  (local $name i64)
  (if (i32.eqz (call $read (local.get $ptr) (local.get $len))) (then (return (call $error (global.get $NOT_AN_EVENT)))))
  (local.set $name (call $text (global.get $type) (global.get $type_escaped)))
  (if (call $same (local.get $name) (global.get $ORDER_FILLED)) (then (return (call $filled))))
  (if (call $same (local.get $name) (global.get $ORDER_REJECTED)) (then (return (call $rejected))))
  (if (call $same (local.get $name) (global.get $HEARTBEAT)) (then (return (global.get $NO))))
  (global.get $YES))

(func (export "wse_transform") (param $len i32) (result i64)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (call $transform (global.get $input) (local.get $len)))

;; ---- Configuration: {"large":N}. The first unknown member is named, in what is written as the error text meanwhile.
(func (export "wse_configure") (param $len i32) (result i64)
  (local $wrong i32)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (call $open (global.get $input) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $LARGE))
          (then
            (global.set $large (call $positive))
            (local.set $wrong (i64.eqz (global.get $large)))
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
  (if (local.get $wrong) (then (return (call $error (global.get $BAD_LARGE)))))
  (global.get $YES))

