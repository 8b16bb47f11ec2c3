;; {{.Name}} buys when the price rises above one limit, and sells when it falls below another.
;; wse.wat and strategy.wat of the SDK stand behind this file in the module; what is called and not found here is theirs. A span, a run
;; of bytes, is one i64: address in the high 32 bits, length in the low ones.

;; ---- Names of members, what is said, and the errors
(data (i32.const 0x400) "above")
(global $ABOVE i64 (i64.const 0x0000_0400_0000_0005))
(data (i32.const 0x410) "below")
(global $BELOW i64 (i64.const 0x0000_0410_0000_0005))
(data (i32.const 0x420) "notional")
(global $NOTIONAL i64 (i64.const 0x0000_0420_0000_0008))
(data (i32.const 0x430) "S1")
(global $S1 i64 (i64.const 0x0000_0430_0000_0002))
(data (i32.const 0x440) "price")
(global $PRICE i64 (i64.const 0x0000_0440_0000_0005))
(data (i32.const 0x450) "entry_evaluation")
(global $ENTRY i64 (i64.const 0x0000_0450_0000_0010))
(data (i32.const 0x460) "close_order_evaluation")
(global $CLOSING i64 (i64.const 0x0000_0460_0000_0016))
(data (i32.const 0x480) "position_active")
(global $ACTIVE i64 (i64.const 0x0000_0480_0000_000f))
(data (i32.const 0x490) "exited")
(global $EXITED i64 (i64.const 0x0000_0490_0000_0006))
(data (i32.const 0x4a0) "not an opening")
(global $NOT_AN_OPENING i64 (i64.const 0x0000_04a0_0000_000e))
(data (i32.const 0x4b0) "not a batch of ticks")
(global $NOT_TICKS i64 (i64.const 0x0000_04b0_0000_0014))
(data (i32.const 0x4d0) "not an update")
(global $NOT_AN_UPDATE i64 (i64.const 0x0000_04d0_0000_000d))
(data (i32.const 0x4e0) "this handle is not open")
(global $NOT_OPEN i64 (i64.const 0x0000_04e0_0000_0017))
(data (i32.const 0x500) "more than 64 handles")
(global $TOO_MANY i64 (i64.const 0x0000_0500_0000_0014))
(data (i32.const 0x520) "strategy_config: above and below must be numbers over 0, above the larger")
(global $LIMITS i64 (i64.const 0x0000_0520_0000_0049))

;; ---- What is kept for each handle, which is a symbol of the session: 64 bytes at 0x4000 and behind. 0 the handle, 4 whether an order is
;; out, 8 above, 16 below and 24 notional of the configuration, 32 the position as told last, 40 orders so far, 44 an order's id.
(global $all (mut i32) (i32.const 0)) ;; how many

;; find is the address of an open handle, or 0.
(func $find (param $handle i32) (result i32)
  (local $s i32)
  (local.set $s (i32.const 0x4000))
  (block $none
    (loop $each
      (br_if $none (i32.ge_u (local.get $s) (call $slot (global.get $all))))
      (if (i32.eq (i32.load (local.get $s)) (local.get $handle)) (then (return (local.get $s))))
      (local.set $s (i32.add (local.get $s) (i32.const 64)))
      (br $each)))
  (i32.const 0))

(func $slot (param $i i32) (result i32)
  (i32.add (i32.const 0x4000) (i32.shl (local.get $i) (i32.const 6))))

;; settings reads the configuration into s; 0 where it is none.
(func $settings (param $s i32) (result i32)
  (call $open (call $ptr_of (global.get $o_config)) (call $len_of (global.get $o_config)))
  (drop (call $object))
  (loop $members
    (if (call $member)
      (then
        (if (call $key_is (global.get $ABOVE)) (then (f64.store offset=8 (local.get $s) (call $float_of)) (br $members)))
        (if (call $key_is (global.get $BELOW)) (then (f64.store offset=16 (local.get $s) (call $float_of)) (br $members)))
        (if (call $key_is (global.get $NOTIONAL)) (then (f64.store offset=24 (local.get $s) (call $float_of)) (br $members)))
        (drop (call $skip))
        (br $members))))
  (i32.and (call $close)
    (i32.and
      (f64.gt (f64.load offset=16 (local.get $s)) (f64.const 0))
      (f64.gt (f64.load offset=8 (local.get $s)) (f64.load offset=16 (local.get $s))))))

;; wse_strategy_open reads {"handle":1,"strategy_config":{"above":N,"below":N,"notional":N}, …}. What is opened stands behind the last
;; handle until it is known to be good.
(func (export "wse_strategy_open") (param $len i32) (result i64)
  (local $s i32) (local $old i32)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $opening_of (global.get $input) (local.get $len))) (then (return (call $error (global.get $NOT_AN_OPENING)))))
  (if (i64.eqz (global.get $o_config)) (then (return (call $error (global.get $NOT_AN_OPENING)))))
  (local.set $s (call $slot (global.get $all)))
  (memory.fill (local.get $s) (i32.const 0) (i32.const 64))
  (i32.store (local.get $s) (global.get $o_handle))
  (f64.store offset=24 (local.get $s) (f64.const 1000))
  (f64.store offset=32 (local.get $s) (global.get $o_position))
  (if (i32.eqz (call $settings (local.get $s))) (then (return (call $error (global.get $LIMITS)))))
  (local.set $old (call $find (global.get $o_handle)))
  (if (local.get $old)
    (then (memory.copy (local.get $old) (local.get $s) (i32.const 64)))
    (else
      (if (i32.eq (global.get $all) (i32.const 64)) (then (return (call $error (global.get $TOO_MANY)))))
      (global.set $all (i32.add (global.get $all) (i32.const 1)))))
  (global.get $YES))

(func (export "wse_strategy_ticks") (param $len i32) (result i64)
  (local $s i32) (local $i i32) (local $ordered i32)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $ticks_of (global.get $input) (local.get $len))) (then (return (call $error (global.get $NOT_TICKS)))))
  (local.set $s (call $find (global.get $tick_handle)))
  (if (i32.eqz (local.get $s)) (then (return (call $error (global.get $NOT_OPEN)))))
  (block $end
    (loop $tick
      (br_if $end (i32.ge_u (local.get $i) (global.get $ticks)))
      (br_if $end (i32.or (local.get $ordered) (call $must_stop))) ;; the engine tells what became of it, and goes on with the rest
      (local.set $ordered (call $step (local.get $s) (local.get $i) (f64.load offset=8 align=1 (call $tick_at (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $tick)))
  (call $said (local.get $i) (global.get $ticks)))

;; step takes one tick and says whether it ordered.
(func $step (param $s i32) (param $at i32) (param $price f64) (result i32)
  (local $position f64)
  (if (i32.load offset=4 (local.get $s)) (then (return (i32.const 0))))
  (local.set $position (f64.load offset=32 (local.get $s)))
  (if (f64.le (local.get $position) (f64.const 0))
    (then
      (if (f64.le (local.get $price) (f64.load offset=8 (local.get $s))) (then (return (i32.const 0))))
      (call $say_signal (local.get $at) (global.get $S1) (f64.const -1))
      (call $say_value (global.get $PRICE) (local.get $price))
      (call $say_signal_end)
      (call $say_state (local.get $at) (global.get $ENTRY))
      (call $say_order (local.get $at) (call $order_id (local.get $s)) (i32.const 0)
        (f64.const 0) (f64.load offset=24 (local.get $s)) (f64.const 0) (global.get $ABOVE))
      (return (i32.const 1))))
  (if (f64.ge (local.get $price) (f64.load offset=16 (local.get $s))) (then (return (i32.const 0))))
  (call $say_state (local.get $at) (global.get $CLOSING))
  (call $say_order (local.get $at) (call $order_id (local.get $s)) (i32.const 1)
    (local.get $position) (f64.const 0) (f64.const 0) (global.get $BELOW))
  (i32.const 1))

;; order_id is o1, o2, …, made from its end backwards; what becomes of the order is told by update.
(func $order_id (param $s i32) (result i64)
  (local $p i32) (local $last i32) (local $rest i32)
  (i32.store offset=4 (local.get $s) (i32.const 1))
  (local.set $rest (i32.add (i32.load offset=40 (local.get $s)) (i32.const 1)))
  (i32.store offset=40 (local.get $s) (local.get $rest))
  (local.set $last (i32.add (local.get $s) (i32.const 60)))
  (local.set $p (local.get $last))
  (loop $digit
    (local.set $p (i32.sub (local.get $p) (i32.const 1)))
    (i32.store8 (local.get $p) (i32.add (i32.const 0x30) (i32.rem_u (local.get $rest) (i32.const 10))))
    (local.set $rest (i32.div_u (local.get $rest) (i32.const 10)))
    (br_if $digit (local.get $rest)))
  (local.set $p (i32.sub (local.get $p) (i32.const 1)))
  (i32.store8 (local.get $p) (i32.const 0x6f)) ;; o
  (call $between (local.get $p) (local.get $last)))

;; wse_strategy_update is told what became of orders, and what is held now.
(func (export "wse_strategy_update") (param $len i32) (result i64)
  (local $s i32)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $update_of (global.get $input) (local.get $len))) (then (return (call $error (global.get $NOT_AN_UPDATE)))))
  (local.set $s (call $find (global.get $u_handle)))
  (if (i32.eqz (local.get $s)) (then (return (call $error (global.get $NOT_OPEN)))))
  (f64.store offset=32 (local.get $s) (global.get $u_position))
  (loop $events
    (if (call $event)
      (then
        (i32.store offset=4 (local.get $s) (i32.const 0))
        (call $say_state (i32.const 0)
          (select (global.get $ACTIVE) (global.get $EXITED) (f64.gt (global.get $u_position) (f64.const 0))))
        (br $events))))
  (call $said (i32.const 0) (i32.const 0)))
