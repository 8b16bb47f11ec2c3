;; A strategy that does what a tick's volume says (sdk/ABI.md, strategy), so that a scenario decides what a session does and when:
;;   1 a signal   2 buys 1   3 sells 1   4 traps   5 an indicator   6 buys for 1,000,000   7 an emergency exit
;;   8 cancels its last order   9 buys 1 at the limit 50   10 never ends   11 buys for 100   12 says that it has seen a signal
;; and of everything else nothing. A call consumes one tick. It refuses symbols that begin with REFUSED.
(module
  (memory (export "memory") 4)
  ;; what it says, each text with zeros behind it; the input is at 65536
  (data (i32.const 1024) "{\"consumed\":1,\"out\":[]}")
  (data (i32.const 1152) "{\"consumed\":1,\"out\":[{\"kind\":\"signal\",\"at\":0,\"type\":\"S1\",\"indicators\":{\"RSI\":25.5},\"confidence\":0.75}]}")
  (data (i32.const 1280) "{\"consumed\":1,\"out\":[{\"kind\":\"order\",\"at\":0,\"id\":\"o000\",\"side\":\"buy\",\"quantity\":1,\"order_type\":\"market\",\"reason\":\"told to\"}]}")
  (data (i32.const 1536) "{\"consumed\":1,\"out\":[{\"kind\":\"order\",\"at\":0,\"id\":\"o000\",\"side\":\"sell\",\"quantity\":1,\"order_type\":\"market\",\"reason\":\"told to\"}]}")
  (data (i32.const 1792) "{\"consumed\":1,\"out\":[{\"kind\":\"indicator\",\"at\":0,\"name\":\"RSI\",\"value\":42.5}]}")
  (data (i32.const 1920) "{\"consumed\":1,\"out\":[{\"kind\":\"order\",\"at\":0,\"id\":\"o000\",\"side\":\"buy\",\"notional\":1000000,\"order_type\":\"market\",\"reason\":\"told to\"}]}")
  (data (i32.const 2176) "{\"consumed\":1,\"out\":[{\"kind\":\"state\",\"at\":0,\"state\":\"emergency_exit\"}]}")
  (data (i32.const 2304) "{\"consumed\":1,\"out\":[{\"kind\":\"cancel\",\"at\":0,\"id\":\"o000\"}]}")
  (data (i32.const 2432) "{\"consumed\":1,\"out\":[{\"kind\":\"order\",\"at\":0,\"id\":\"o000\",\"side\":\"buy\",\"quantity\":1,\"order_type\":\"limit\",\"price\":50,\"reason\":\"told to\"}]}")
  (data (i32.const 2688) "{\"consumed\":1,\"out\":[{\"kind\":\"order\",\"at\":0,\"id\":\"o000\",\"side\":\"buy\",\"notional\":100,\"order_type\":\"market\",\"reason\":\"told to\"}]}")
  (data (i32.const 2944) "{\"consumed\":1,\"out\":[{\"kind\":\"state\",\"at\":0,\"state\":\"signal_detected\"}]}")
  (data (i32.const 3072) "this symbol is refused")
  (global $orders (mut i32) (i32.const 0))

  (func (export "wse_abi_v1") (result i32) (i32.const 0))
  (func (export "wse_buffer") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 131072))))

  ;; data is the text at an address: up to the first zero byte.
  (func $data (param $at i32) (result i64)
    (local $end i32)
    (local.set $end (local.get $at))
    (block $found (loop $next
      (br_if $found (i32.eqz (i32.load8_u (local.get $end))))
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br $next)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
            (i64.extend_i32_u (i32.sub (local.get $end) (local.get $at)))))

  ;; numbered is data whose id "o000" has the last order's number in it.
  (func $numbered (param $at i32) (result i64)
    (local $i i32)
    (local.set $i (local.get $at))
    (block $found (loop $next
      (br_if $found (i32.eq (i32.load (local.get $i)) (i32.const 0x3a226469))) ;; id":, before the text
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (i32.store8 offset=6 (local.get $i) (i32.add (i32.const 48) (i32.div_u (global.get $orders) (i32.const 100))))
    (i32.store8 offset=7 (local.get $i) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (global.get $orders) (i32.const 10)) (i32.const 10))))
    (i32.store8 offset=8 (local.get $i) (i32.add (i32.const 48) (i32.rem_u (global.get $orders) (i32.const 10))))
    (call $data (local.get $at)))

  (func $order (param $at i32) (result i64)
    (global.set $orders (i32.add (global.get $orders) (i32.const 1)))
    (call $numbered (local.get $at)))

  (func (export "wse_strategy_open") (param $len i32) (result i64)
    (local $i i32)
    (local.set $i (i32.const 65536))
    (block $none (loop $next
      (br_if $none (i32.ge_u (i32.add (local.get $i) (i32.const 8)) (i32.add (i32.const 65536) (local.get $len))))
      (if (i64.eq (i64.load (local.get $i)) (i64.const 0x4445535546455222)) ;; "REFUSED
        (then (return (i64.or (i64.const 0x8000000000000000) (call $data (i32.const 3072))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (i64.const 1))

  (func (export "wse_strategy_ticks") (param $len i32) (result i64)
    (local $volume f64)
    (local.set $volume (f64.load (i32.const 65560))) ;; 8 of the head, time and price
    (if (f64.eq (local.get $volume) (f64.const 1)) (then (return (call $data (i32.const 1152)))))
    (if (f64.eq (local.get $volume) (f64.const 2)) (then (return (call $order (i32.const 1280)))))
    (if (f64.eq (local.get $volume) (f64.const 3)) (then (return (call $order (i32.const 1536)))))
    (if (f64.eq (local.get $volume) (f64.const 4)) (then (unreachable)))
    (if (f64.eq (local.get $volume) (f64.const 5)) (then (return (call $data (i32.const 1792)))))
    (if (f64.eq (local.get $volume) (f64.const 6)) (then (return (call $order (i32.const 1920)))))
    (if (f64.eq (local.get $volume) (f64.const 7)) (then (return (call $data (i32.const 2176)))))
    (if (f64.eq (local.get $volume) (f64.const 8)) (then (return (call $numbered (i32.const 2304)))))
    (if (f64.eq (local.get $volume) (f64.const 9)) (then (return (call $order (i32.const 2432)))))
    (if (f64.eq (local.get $volume) (f64.const 10)) (then (loop $forever (br $forever))))
    (if (f64.eq (local.get $volume) (f64.const 11)) (then (return (call $order (i32.const 2688)))))
    (if (f64.eq (local.get $volume) (f64.const 12)) (then (return (call $data (i32.const 2944)))))
    (call $data (i32.const 1024)))

  (func (export "wse_strategy_update") (param $len i32) (result i64) (i64.const 0)))
