;; {{.Name}} checks the configuration of a strategy: a symbol and a quantity.
;; wse.wat of the SDK stands behind this file in the module; what is called and not found here is its. A span, a run of bytes,
;; is one i64: address in the high 32 bits, length in the low ones.

;; ---- Names of members, pieces of the answer, and the error
(data (i32.const 0x400) "strategy_config")
(global $CONFIG i64 (i64.const 0x0000_0400_0000_000f))
(data (i32.const 0x410) "symbol")
(global $SYMBOL i64 (i64.const 0x0000_0410_0000_0006))
(data (i32.const 0x420) "quantity")
(global $QUANTITY i64 (i64.const 0x0000_0420_0000_0008))
(data (i32.const 0x430) "{\"valid\":false,\"errors\":[")
(global $HEAD i64 (i64.const 0x0000_0430_0000_0019))
(data (i32.const 0x450) "{\"path\":\"symbol\",\"message\":\"must be a string that is not empty\"}")
(global $NO_SYMBOL i64 (i64.const 0x0000_0450_0000_0040))
(data (i32.const 0x490) "{\"path\":\"quantity\",\"message\":\"must be an integer of 1 or more\"}")
(global $NO_QUANTITY i64 (i64.const 0x0000_0490_0000_003f))
(data (i32.const 0x4d0) "],\"warnings\":[]}")
(global $TAIL i64 (i64.const 0x0000_04d0_0000_0010))
(data (i32.const 0x4e0) "not a request")
(global $NOT_A_REQUEST i64 (i64.const 0x0000_04e0_0000_000d))

;; ---- The request that is read: what is there, and as it must be.
(global $found (mut i32) (i32.const 0))
(global $symbol (mut i32) (i32.const 0))
(global $quantity (mut i32) (i32.const 0))

;; strategy reads the next value as the configuration.
(func $strategy
  (local $n i64) (local $ok i32)
  (if (i32.eqz (call $enter_or_skip)) (then (return)))
  (global.set $found (i32.const 1))
  (loop $members
    (if (i32.eqz (call $member)) (then (return)))
    (if (call $key_is (global.get $SYMBOL))
      (then
        (global.set $symbol (i32.ne (call $len_of (call $text_or_none)) (i32.const 0)))
        (br $members)))
    (if (call $key_is (global.get $QUANTITY))
      (then
        (call $integer_of)
        (local.set $ok)
        (local.set $n)
        (global.set $quantity (i32.and (local.get $ok) (i64.gt_s (local.get $n) (i64.const 0))))
        (br $members)))
    (drop (call $skip))
    (br $members)))

;; read reads {"strategy_config":{"symbol":"…","quantity":N}}; 0 where it is no request.
(func $read (param $len i32) (result i32)
  (global.set $found (i32.const 0))
  (global.set $symbol (i32.const 0))
  (global.set $quantity (i32.const 0))
  (call $open (global.get $input) (local.get $len))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $CONFIG)) (then (call $strategy) (br $members)))
        (drop (call $skip))
        (br $members))))
  (i32.and (call $close) (global.get $found)))

(func (export "wse_validate") (param $len i32) (result i64)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $read (local.get $len))) (then (return (call $error (global.get $NOT_A_REQUEST)))))
  (if (i32.and (global.get $symbol) (global.get $quantity)) (then (return (global.get $YES))))
  (call $put (global.get $HEAD))
  (if (i32.eqz (global.get $symbol)) (then (call $put (global.get $NO_SYMBOL))))
  (if (i32.eqz (i32.or (global.get $symbol) (global.get $quantity))) (then (call $put_byte (i32.const 0x2c)))) ;; ,
  (if (i32.eqz (global.get $quantity)) (then (call $put (global.get $NO_QUANTITY))))
  (call $put (global.get $TAIL))
  (call $result))
