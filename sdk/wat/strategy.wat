;; strategy.wat: what a strategy needs beside wse.wat. Put it behind that (PARTS in the Makefile).
;;
;;   ticks     $ticks_of, then f64.load of $tick_at(i): offset 0 time, 8 price, 16 volume, 24 quote volume
;;   open      $opening_of, then the globals $o_…
;;   update    $update_of, then the globals $u_…, and $event until it says 0, each time the globals $e_…
;;   floats    $float, $float_of, $put_float, $put_rounded
;;   saying    $say_indicator, $say_signal with $say_value and $say_signal_end, $say_order, $say_cancel, $say_state; $must_stop; $said
;;
;; The host cuts ticks into batches as it likes, and what is said must not depend on that. In all that is said, $at is the tick's
;; index in the batch; in an update it is 0.
;;
;; MEMORY  0xc000–0xfb7f is this file's: a plugin with it has 0x400–0xbfff.

(data (i32.const 0xc000) "handle")
(global $S_HANDLE i64 (i64.const 0x0000_c000_0000_0006))
(data (i32.const 0xc010) "strategy_name")
(global $S_NAME i64 (i64.const 0x0000_c010_0000_000d))
(data (i32.const 0xc020) "symbol")
(global $S_SYMBOL i64 (i64.const 0x0000_c020_0000_0006))
(data (i32.const 0xc030) "session_type")
(global $S_SESSION i64 (i64.const 0x0000_c030_0000_000c))
(data (i32.const 0xc040) "strategy_config")
(global $S_CONFIG i64 (i64.const 0x0000_c040_0000_000f))
(data (i32.const 0xc050) "equity")
(global $S_EQUITY i64 (i64.const 0x0000_c050_0000_0006))
(data (i32.const 0xc060) "position")
(global $S_POSITION i64 (i64.const 0x0000_c060_0000_0008))
(data (i32.const 0xc070) "indicator_interval_ms")
(global $S_INTERVAL i64 (i64.const 0x0000_c070_0000_0015))
(data (i32.const 0xc090) "events")
(global $S_EVENTS i64 (i64.const 0x0000_c090_0000_0006))
(data (i32.const 0xc0a0) "kind")
(global $S_KIND i64 (i64.const 0x0000_c0a0_0000_0004))
(data (i32.const 0xc0b0) "id")
(global $S_ID i64 (i64.const 0x0000_c0b0_0000_0002))
(data (i32.const 0xc0c0) "reason")
(global $S_REASON i64 (i64.const 0x0000_c0c0_0000_0006))
(data (i32.const 0xc0d0) "quantity")
(global $S_QUANTITY i64 (i64.const 0x0000_c0d0_0000_0008))
(data (i32.const 0xc0e0) "price")
(global $S_PRICE i64 (i64.const 0x0000_c0e0_0000_0005))
(data (i32.const 0xc0f0) "fee")
(global $S_FEE i64 (i64.const 0x0000_c0f0_0000_0003))
(data (i32.const 0xc100) "fill")
(global $S_FILL i64 (i64.const 0x0000_c100_0000_0004))
(data (i32.const 0xc110) "reject")
(global $S_REJECT i64 (i64.const 0x0000_c110_0000_0006))
(data (i32.const 0xc120) "cancelled")
(global $S_CANCELLED i64 (i64.const 0x0000_c120_0000_0009))
(data (i32.const 0xc130) "null")
(global $S_NULL i64 (i64.const 0x0000_c130_0000_0004))
(data (i32.const 0xc140) "{\"out\":[")
(global $S_OUT i64 (i64.const 0x0000_c140_0000_0008))
(data (i32.const 0xc150) "{\"kind\":\"")
(global $S_ITEM i64 (i64.const 0x0000_c150_0000_0009))
(data (i32.const 0xc160) "\",\"at\":")
(global $S_AT i64 (i64.const 0x0000_c160_0000_0007))
(data (i32.const 0xc170) "indicator")
(global $S_K_INDICATOR i64 (i64.const 0x0000_c170_0000_0009))
(data (i32.const 0xc180) "signal")
(global $S_K_SIGNAL i64 (i64.const 0x0000_c180_0000_0006))
(data (i32.const 0xc190) "order")
(global $S_K_ORDER i64 (i64.const 0x0000_c190_0000_0005))
(data (i32.const 0xc1a0) "cancel")
(global $S_K_CANCEL i64 (i64.const 0x0000_c1a0_0000_0006))
(data (i32.const 0xc1b0) "state")
(global $S_K_STATE i64 (i64.const 0x0000_c1b0_0000_0005))
(data (i32.const 0xc1c0) ",\"name\":\"")
(global $S_NAME_IS i64 (i64.const 0x0000_c1c0_0000_0009))
(data (i32.const 0xc1d0) "\",\"value\":")
(global $S_VALUE_IS i64 (i64.const 0x0000_c1d0_0000_000a))
(data (i32.const 0xc1e0) ",\"type\":\"")
(global $S_TYPE_IS i64 (i64.const 0x0000_c1e0_0000_0009))
(data (i32.const 0xc1f0) ",\"confidence\":")
(global $S_CONFIDENCE_IS i64 (i64.const 0x0000_c1f0_0000_000e))
(data (i32.const 0xc200) ",\"indicators\":{")
(global $S_INDICATORS_ARE i64 (i64.const 0x0000_c200_0000_000f))
(data (i32.const 0xc210) "\":")
(global $S_COLON i64 (i64.const 0x0000_c210_0000_0002))
(data (i32.const 0xc220) "}}")
(global $S_ENDS i64 (i64.const 0x0000_c220_0000_0002))
(data (i32.const 0xc230) ",\"id\":\"")
(global $S_ID_IS i64 (i64.const 0x0000_c230_0000_0007))
(data (i32.const 0xc240) "\",\"side\":\"buy\"")
(global $S_BUY i64 (i64.const 0x0000_c240_0000_000e))
(data (i32.const 0xc250) "\",\"side\":\"sell\"")
(global $S_SELL i64 (i64.const 0x0000_c250_0000_000f))
(data (i32.const 0xc260) ",\"quantity\":")
(global $S_QUANTITY_IS i64 (i64.const 0x0000_c260_0000_000c))
(data (i32.const 0xc270) ",\"notional\":")
(global $S_NOTIONAL_IS i64 (i64.const 0x0000_c270_0000_000c))
(data (i32.const 0xc280) ",\"order_type\":\"market\"")
(global $S_MARKET i64 (i64.const 0x0000_c280_0000_0016))
(data (i32.const 0xc2a0) ",\"order_type\":\"limit\",\"price\":")
(global $S_LIMIT i64 (i64.const 0x0000_c2a0_0000_001e))
(data (i32.const 0xc2c0) ",\"reason\":\"")
(global $S_REASON_IS i64 (i64.const 0x0000_c2c0_0000_000b))
(data (i32.const 0xc2d0) "\"}")
(global $S_END i64 (i64.const 0x0000_c2d0_0000_0002))
(data (i32.const 0xc2e0) ",\"state\":\"")
(global $S_STATE_IS i64 (i64.const 0x0000_c2e0_0000_000a))
(data (i32.const 0xc2f0) "],\"consumed\":")
(global $S_CONSUMED i64 (i64.const 0x0000_c2f0_0000_000d))

;; ---- Ticks ------------------------------------------------------------------------------------------------------------

(global $ticks (mut i32) (i32.const 0))       ;; how many
(global $tick_handle (mut i32) (i32.const 0)) ;; what they are for
(global $first_tick (mut i32) (i32.const 0))

;; ticks_of reads a batch's head; 0 where the batch has not the length that its head tells.
(func $ticks_of (param $ptr i32) (param $len i32) (result i32)
  (if (i32.lt_u (local.get $len) (i32.const 8)) (then (return (i32.const 0))))
  (global.set $ticks (i32.load align=1 (local.get $ptr)))
  (global.set $tick_handle (i32.load offset=4 align=1 (local.get $ptr)))
  (global.set $first_tick (i32.add (local.get $ptr) (i32.const 8)))
  (i64.eq
    (i64.shl (i64.extend_i32_u (global.get $ticks)) (i64.const 5))
    (i64.extend_i32_u (i32.sub (local.get $len) (i32.const 8)))))

;; tick_at is the address of tick i, below $ticks.
(func $tick_at (param $i i32) (result i32)
  (i32.add (global.get $first_tick) (i32.shl (local.get $i) (i32.const 5))))

;; ---- Open -------------------------------------------------------------------------------------------------------------

(global $o_handle (mut i32) (i32.const 0))
(global $o_name (mut i64) (i64.const 0))    ;; of the strategy; it and the two that follow as they are written
(global $o_symbol (mut i64) (i64.const 0))
(global $o_session (mut i64) (i64.const 0)) ;; backtest, paper or live
(global $o_config (mut i64) (i64.const 0))  ;; the object, for $open; 0 where there is none
(global $o_equity (mut f64) (f64.const 0))
(global $o_position (mut f64) (f64.const 0))
(global $o_interval (mut f64) (f64.const 0)) ;; indicator_interval_ms
(global $bad (mut i32) (i32.const 0))        ;; a member that is JSON, and not what it should be

;; opening_of reads the document of wse_strategy_open; 0 where it is none.
(func $opening_of (param $ptr i32) (param $len i32) (result i32)
  (local $has i32)
  (global.set $o_name (i64.const 0))
  (global.set $o_symbol (i64.const 0))
  (global.set $o_session (i64.const 0))
  (global.set $o_config (i64.const 0))
  (global.set $o_equity (f64.const 0))
  (global.set $o_position (f64.const 0))
  (global.set $o_interval (f64.const 0))
  (global.set $bad (i32.const 0))
  (call $open (local.get $ptr) (local.get $len))
  (drop (call $object))
  (block $end
    (loop $members
      (br_if $end (i32.eqz (call $member)))
      (if (call $key_is (global.get $S_HANDLE))
        (then (global.set $o_handle (call $handle_of)) (local.set $has (i32.const 1)) (br $members)))
      (if (call $key_is (global.get $S_CONFIG))
        (then (global.set $o_config (call $value_of (global.get $OBJECT))) (br $members)))
      (if (call $key_is (global.get $S_EQUITY)) (then (global.set $o_equity (call $float_of)) (br $members)))
      (if (call $key_is (global.get $S_POSITION)) (then (global.set $o_position (call $float_of)) (br $members)))
      (if (call $key_is (global.get $S_INTERVAL)) (then (global.set $o_interval (call $float_of)) (br $members)))
      (if (call $key_is (global.get $S_NAME)) (then (global.set $o_name (call $content_of)) (br $members)))
      (if (call $key_is (global.get $S_SYMBOL)) (then (global.set $o_symbol (call $content_of)) (br $members)))
      (if (call $key_is (global.get $S_SESSION)) (then (global.set $o_session (call $content_of)) (br $members)))
      (drop (call $skip))
      (br $members)))
  (i32.and (call $close) (i32.and (local.get $has) (i32.eqz (global.get $bad)))))

;; handle_of reads the next value as a handle.
(func $handle_of (result i32)
  (local $v i64) (local $ok i32)
  (call $integer_of)
  (local.set $ok)
  (local.set $v)
  (if (i32.or (i32.eqz (local.get $ok)) (i64.gt_u (local.get $v) (i64.const 0xffff_ffff)))
    (then (global.set $bad (i32.const 1))))
  (i32.wrap_i64 (local.get $v)))

;; value_of reads the next value, which must be of a kind, and is all of it.
(func $value_of (param $kind i32) (result i64)
  (if (i32.ne (call $peek) (local.get $kind)) (then (global.set $bad (i32.const 1))))
  (if (i32.eqz (call $skip)) (then (return (i64.const 0))))
  (global.get $raw))

;; content_of reads the next value, which must be a string, as it is written between its quotes.
(func $content_of (result i64)
  (if (i32.eqz (call $string)) (then (return (i64.const 0))))
  (global.get $raw))

;; ---- Update -----------------------------------------------------------------------------------------------------------

(global $u_handle (mut i32) (i32.const 0))
(global $u_position (mut f64) (f64.const 0))
(global $u_equity (mut f64) (f64.const 0))
(global $u_events (mut i64) (i64.const 0)) ;; the list; 0 once all have been read

;; What became of an order: the values of $e_kind. 0 is another.
(global $FILL i32 (i32.const 1))
(global $REJECT i32 (i32.const 2))
(global $CANCELLED i32 (i32.const 3))
(global $e_kind (mut i32) (i32.const 0))
(global $e_id (mut i64) (i64.const 0)) ;; it and the reason as they are written
(global $e_reason (mut i64) (i64.const 0))
(global $e_quantity (mut f64) (f64.const 0))
(global $e_price (mut f64) (f64.const 0))
(global $e_fee (mut f64) (f64.const 0))

;; update_of reads the document of wse_strategy_update, and begins to read its events: $event must be called until it says 0. It is
;; 0 where the document is none.
(func $update_of (param $ptr i32) (param $len i32) (result i32)
  (local $has i32)
  (global.set $u_position (f64.const 0))
  (global.set $u_equity (f64.const 0))
  (global.set $u_events (i64.const 0))
  (global.set $bad (i32.const 0))
  (call $open (local.get $ptr) (local.get $len))
  (drop (call $object))
  (block $end
    (loop $members
      (br_if $end (i32.eqz (call $member)))
      (if (call $key_is (global.get $S_HANDLE))
        (then (global.set $u_handle (call $handle_of)) (local.set $has (i32.const 1)) (br $members)))
      (if (call $key_is (global.get $S_POSITION)) (then (global.set $u_position (call $float_of)) (br $members)))
      (if (call $key_is (global.get $S_EQUITY)) (then (global.set $u_equity (call $float_of)) (br $members)))
      (if (call $key_is (global.get $S_EVENTS))
        (then (global.set $u_events (call $value_of (global.get $ARRAY))) (br $members)))
      (drop (call $skip))
      (br $members)))
  (if (i32.eqz (i32.and (call $close) (i32.and (local.get $has) (i32.eqz (global.get $bad)))))
    (then (return (i32.const 0))))
  (if (i64.ne (global.get $u_events) (i64.const 0))
    (then
      (call $open (call $ptr_of (global.get $u_events)) (call $len_of (global.get $u_events)))
      (drop (call $array))))
  (i32.const 1))

;; event reads the next event of the update that was read last; 0 where there is none, or the next is none.
(func $event (result i32)
  (if (i64.eqz (global.get $u_events)) (then (return (i32.const 0))))
  (global.set $e_kind (i32.const 0))
  (global.set $e_id (i64.const 0))
  (global.set $e_reason (i64.const 0))
  (global.set $e_quantity (f64.const 0))
  (global.set $e_price (f64.const 0))
  (global.set $e_fee (f64.const 0))
  (block $none
    (br_if $none (i32.eqz (call $element)))
    (br_if $none (i32.eqz (call $object)))
    (block $end
      (loop $members
        (br_if $end (i32.eqz (call $member)))
        (if (call $key_is (global.get $S_KIND)) (then (global.set $e_kind (call $event_kind)) (br $members)))
        (if (call $key_is (global.get $S_ID)) (then (global.set $e_id (call $content_of)) (br $members)))
        (if (call $key_is (global.get $S_REASON)) (then (global.set $e_reason (call $content_of)) (br $members)))
        (if (call $key_is (global.get $S_QUANTITY)) (then (global.set $e_quantity (call $float_of)) (br $members)))
        (if (call $key_is (global.get $S_PRICE)) (then (global.set $e_price (call $float_of)) (br $members)))
        (if (call $key_is (global.get $S_FEE)) (then (global.set $e_fee (call $float_of)) (br $members)))
        (drop (call $skip))
        (br $members)))
    (br_if $none (i32.eqz (global.get $at)))
    (return (i32.const 1)))
  (drop (call $close)) ;; which puts back the byte behind the list
  (global.set $u_events (i64.const 0))
  (i32.const 0))

(func $event_kind (result i32)
  (local $kind i64)
  (if (i32.eqz (call $string)) (then (return (i32.const 0))))
  (local.set $kind (call $text (global.get $raw) (global.get $escaped)))
  (if (call $same (local.get $kind) (global.get $S_FILL)) (then (return (global.get $FILL))))
  (if (call $same (local.get $kind) (global.get $S_REJECT)) (then (return (global.get $REJECT))))
  (select (global.get $CANCELLED) (i32.const 0) (call $same (local.get $kind) (global.get $S_CANCELLED))))

;; ---- Floats -----------------------------------------------------------------------------------------------------------
;;
;; Numbers of 64 bits as decimal text and back. The method is Russ Cox's "unrounded scaling" (research.swtch.com/fp, 2026): a
;; product with a power of ten of 128 bits, of which two bits behind the point are kept, the second saying whether anything follows.

(global $HIDDEN i64 (i64.const 0x10_0000_0000_0000))
(global $INFINITY i64 (i64.const 0x7ff0_0000_0000_0000))

(func $mul_high (param $x i64) (param $y i64) (result i64)
  (local $x0 i64) (local $x1 i64) (local $y0 i64) (local $y1 i64) (local $w i64)
  (local.set $x0 (i64.and (local.get $x) (i64.const 0xffff_ffff)))
  (local.set $x1 (i64.shr_u (local.get $x) (i64.const 32)))
  (local.set $y0 (i64.and (local.get $y) (i64.const 0xffff_ffff)))
  (local.set $y1 (i64.shr_u (local.get $y) (i64.const 32)))
  (local.set $w (i64.add
    (i64.mul (local.get $x1) (local.get $y0))
    (i64.shr_u (i64.mul (local.get $x0) (local.get $y0)) (i64.const 32))))
  (i64.add
    (i64.add (i64.mul (local.get $x1) (local.get $y1)) (i64.shr_u (local.get $w) (i64.const 32)))
    (i64.shr_u
      (i64.add (i64.and (local.get $w) (i64.const 0xffff_ffff)) (i64.mul (local.get $x0) (local.get $y1)))
      (i64.const 32))))

;; scaled is x × 10^p × 2^-s, with the power's own exponent taken off: its whole part, a bit for the half, and one that says
;; whether anything follows.
(func $scaled (param $x i64) (param $p i32) (param $s i32) (result i64)
  (local $power i32) (local $mid i64) (local $mid2 i64) (local $hi i64) (local $sticky i64)
  (if (i32.ge_s (local.get $s) (i32.const 64)) (then (return (i64.const 1))))
  (local.set $power (i32.add (i32.const 0xd000) (i32.shl (i32.add (local.get $p) (i32.const 348)) (i32.const 4))))
  (local.set $mid (i64.mul (local.get $x) (i64.load (local.get $power))))
  (local.set $hi (call $mul_high (local.get $x) (i64.load (local.get $power))))
  (local.set $sticky (i64.const 1))
  (if (i64.eqz (i64.and (local.get $hi)
        (i64.sub (i64.shl (i64.const 1) (i64.extend_i32_s (local.get $s))) (i64.const 1))))
    (then
      (local.set $mid2 (call $mul_high (local.get $x) (i64.load offset=8 (local.get $power))))
      (local.set $sticky (i64.extend_i32_u (i64.gt_u (i64.sub (local.get $mid) (local.get $mid2)) (i64.const 1))))
      (local.set $hi (i64.sub (local.get $hi) (i64.extend_i32_u (i64.lt_u (local.get $mid) (local.get $mid2)))))))
  (i64.or (i64.shr_u (local.get $hi) (i64.extend_i32_s (local.get $s))) (local.get $sticky)))

(func $round (param $u i64) (result i64)
  (i64.shr_u
    (i64.add (i64.add (local.get $u) (i64.const 1)) (i64.and (i64.shr_u (local.get $u) (i64.const 2)) (i64.const 1)))
    (i64.const 2)))

(func $log2_pow10 (param $x i32) (result i32)
  (i32.shr_s (i32.mul (local.get $x) (i32.const 108853)) (i32.const 15)))

;; nearest is the bits of the double nearest to d × 10^p.
(func $nearest (param $d i64) (param $p i32) (result i64)
  (local $shift i32) (local $lp i32) (local $e i32) (local $u i64)
  (if (i32.or (i64.eqz (local.get $d)) (i32.lt_s (local.get $p) (i32.const -348))) (then (return (i64.const 0))))
  (if (i32.gt_s (local.get $p) (i32.const 347)) (then (return (global.get $INFINITY))))
  (local.set $shift (i32.wrap_i64 (i64.clz (local.get $d))))
  (local.set $lp (call $log2_pow10 (local.get $p)))
  (local.set $e (i32.sub (i32.sub (local.get $shift) (i32.const 11)) (local.get $lp))) ;; 53 - (64 - shift) - lp
  (if (i32.gt_s (local.get $e) (i32.const 1074)) (then (local.set $e (i32.const 1074))))
  (local.set $u (call $scaled
    (i64.shl (local.get $d) (i64.extend_i32_u (local.get $shift)))
    (local.get $p)
    (i32.sub (i32.sub (local.get $shift) (local.get $e)) (i32.add (local.get $lp) (i32.const 3)))))
  (if (i64.ge_u (local.get $u) (i64.sub (i64.shl (global.get $HIDDEN) (i64.const 3)) (i64.const 2)))
    (then ;; it rounds to 2^53 or more
      (local.set $u (i64.or (i64.shr_u (local.get $u) (i64.const 1)) (i64.and (local.get $u) (i64.const 1))))
      (local.set $e (i32.sub (local.get $e) (i32.const 1)))))
  (local.set $u (call $round (local.get $u)))
  (if (i64.lt_u (local.get $u) (global.get $HIDDEN)) (then (return (local.get $u))))
  (local.set $e (i32.sub (i32.const 1075) (local.get $e)))
  (if (i32.ge_s (local.get $e) (i32.const 2047)) (then (return (global.get $INFINITY))))
  (i64.or
    (i64.sub (local.get $u) (global.get $HIDDEN))
    (i64.shl (i64.extend_i32_u (local.get $e)) (i64.const 52))))

;; float reads a number's raw text as the double nearest to it, of more than 19 digits the first 19: (f64, 1), or (0, 0) where it
;; is no number or over the largest.
(func $float (param $number i64) (result f64 i32)
  (local $p i32) (local $last i32) (local $c i32) (local $negative i64) (local $point i32) (local $any i32)
  (local $d i64) (local $digits i32) (local $scale i32) (local $bits i64)
  (local.set $p (call $ptr_of (local.get $number)))
  (local.set $last (i32.add (local.get $p) (call $len_of (local.get $number))))
  (if (i32.lt_u (local.get $p) (local.get $last))
    (then
      (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x2d))
        (then
          (local.set $negative (i64.const 0x8000_0000_0000_0000))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))))))
  (block $end
    (loop $more
      (br_if $end (i32.ge_u (local.get $p) (local.get $last)))
      (local.set $c (i32.sub (i32.load8_u (local.get $p)) (i32.const 0x30)))
      (if (i32.gt_u (local.get $c) (i32.const 9))
        (then
          ;; a point, once
          (br_if $end (i32.or (i32.ne (local.get $c) (i32.const -2)) (local.get $point)))
          (local.set $point (i32.const 1)))
        (else
          (local.set $any (i32.const 1))
          (if (i32.lt_u (local.get $digits) (i32.const 19))
            (then
              (local.set $d (i64.add (i64.mul (local.get $d) (i64.const 10)) (i64.extend_i32_u (local.get $c))))
              (local.set $digits (i32.add (local.get $digits) (i64.ne (local.get $d) (i64.const 0))))
              (local.set $scale (i32.sub (local.get $scale) (local.get $point))))
            (else (local.set $scale (i32.add (local.get $scale) (i32.eqz (local.get $point))))))))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br $more)))
  (if (i32.eqz (local.get $any)) (then (return (f64.const 0) (i32.const 0))))
  (if (i32.lt_u (local.get $p) (local.get $last))
    (then
      (call $exponent (local.get $p) (local.get $last))
      (if (i32.eqz) (then (return (f64.const 0) (i32.const 0))))
      (local.set $scale (i32.add (local.get $scale) (global.get $exponent_is)))))
  (local.set $bits (call $nearest (local.get $d) (local.get $scale)))
  (if (i64.ge_u (local.get $bits) (global.get $INFINITY)) (then (return (f64.const 0) (i32.const 0))))
  (f64.reinterpret_i64 (i64.or (local.get $bits) (local.get $negative)))
  (i32.const 1))

(global $exponent_is (mut i32) (i32.const 0))

;; exponent reads e+12 up to the end into $exponent_is; 0 where it is none. A large one is cut where it no longer matters.
(func $exponent (param $p i32) (param $last i32) (result i32)
  (local $c i32) (local $e i32) (local $down i32)
  (if (i32.ne (i32.or (i32.load8_u (local.get $p)) (i32.const 0x20)) (i32.const 0x65)) (then (return (i32.const 0))))
  (local.set $p (i32.add (local.get $p) (i32.const 1)))
  (if (i32.ge_u (local.get $p) (local.get $last)) (then (return (i32.const 0))))
  (local.set $c (i32.load8_u (local.get $p)))
  (local.set $down (i32.eq (local.get $c) (i32.const 0x2d)))
  (if (i32.or (local.get $down) (i32.eq (local.get $c) (i32.const 0x2b)))
    (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
  (if (i32.ge_u (local.get $p) (local.get $last)) (then (return (i32.const 0))))
  (loop $more
    (local.set $c (i32.sub (i32.load8_u (local.get $p)) (i32.const 0x30)))
    (if (i32.gt_u (local.get $c) (i32.const 9)) (then (return (i32.const 0))))
    (if (i32.lt_s (local.get $e) (i32.const 100_000_000))
      (then (local.set $e (i32.add (i32.mul (local.get $e) (i32.const 10)) (local.get $c)))))
    (local.set $p (i32.add (local.get $p) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $p) (local.get $last))))
  (global.set $exponent_is (select (i32.sub (i32.const 0) (local.get $e)) (local.get $e) (local.get $down)))
  (i32.const 1))

;; float_of reads the next value, which must be a number; another is a fault.
(func $float_of (result f64)
  (local $v f64) (local $ok i32) (local $from i32)
  (local.set $from (global.get $at))
  (if (i32.eqz (call $skip)) (then (return (f64.const 0))))
  (call $float (global.get $raw))
  (local.set $ok)
  (local.set $v)
  (if (i32.eqz (local.get $ok)) (then (drop (call $fail (local.get $from)))))
  (local.get $v))

;; shortest is the shortest decimal that reads back as the same double (bits without the sign, finite, not 0), of several the
;; nearest: its digits, and the power of ten that they are times.
(func $shortest (param $bits i64) (result i64 i32)
  (local $m i64) (local $e i32) (local $shift i32) (local $z i32) (local $p i32) (local $low i64) (local $high i64) (local $odd i64)
  (local $s i32) (local $from i64) (local $up_to i64) (local $d i64)
  (local.set $m (i64.and (local.get $bits) (i64.sub (global.get $HIDDEN) (i64.const 1))))
  (local.set $e (i32.wrap_i64 (i64.shr_u (local.get $bits) (i64.const 52))))
  (if (local.get $e)
    (then (local.set $m (i64.or (local.get $m) (global.get $HIDDEN))))
    (else (local.set $e (i32.const 1))))
  (local.set $shift (i32.wrap_i64 (i64.clz (local.get $m))))
  (local.set $m (i64.shl (local.get $m) (i64.extend_i32_u (local.get $shift))))
  (local.set $e (i32.sub (local.get $e) (i32.add (i32.const 1075) (local.get $shift))))
  (local.set $z (i32.const 11))
  ;; -1085 is the exponent of the smallest normal number, and of what is smaller if it were normal
  (if (i32.and (i64.eq (local.get $m) (i64.const 0x8000_0000_0000_0000)) (i32.gt_s (local.get $e) (i32.const -1085)))
    (then ;; below a power of two numbers are twice as close
      (local.set $p (i32.sub (i32.const 0) (i32.shr_s
        (i32.sub (i32.mul (i32.add (local.get $e) (local.get $z)) (i32.const 631305)) (i32.const 261663))
        (i32.const 21))))
      (local.set $low (i64.sub (local.get $m) (i64.const 0x200))))
    (else
      (if (i32.lt_s (local.get $e) (i32.const -1085))
        (then (local.set $z (i32.sub (i32.const -1074) (local.get $e)))))
      (local.set $p (i32.sub (i32.const 0) (i32.shr_s
        (i32.mul (i32.add (local.get $e) (local.get $z)) (i32.const 78913))
        (i32.const 18))))
      (local.set $low (i64.sub (local.get $m) (i64.shl (i64.const 1) (i64.extend_i32_u (i32.sub (local.get $z) (i32.const 1))))))))
  (local.set $high (i64.add (local.get $m) (i64.shl (i64.const 1) (i64.extend_i32_u (i32.sub (local.get $z) (i32.const 1))))))
  (local.set $odd (i64.and (i64.shr_u (local.get $m) (i64.extend_i32_u (local.get $z))) (i64.const 1)))
  (local.set $s (i32.sub (i32.const -3) (i32.add (local.get $e) (call $log2_pow10 (local.get $p)))))
  (local.set $from (i64.shr_u
    (i64.add (i64.add (call $scaled (local.get $low) (local.get $p) (local.get $s)) (local.get $odd)) (i64.const 3))
    (i64.const 2)))
  (local.set $up_to (i64.shr_u
    (i64.sub (call $scaled (local.get $high) (local.get $p) (local.get $s)) (local.get $odd))
    (i64.const 2)))
  (local.set $d (i64.div_u (local.get $up_to) (i64.const 10)))
  (if (i64.ge_u (i64.mul (local.get $d) (i64.const 10)) (local.get $from))
    (then (return (call $trimmed (local.get $d) (i32.sub (i32.const 1) (local.get $p))))))
  (select
    (call $round (call $scaled (local.get $m) (local.get $p) (local.get $s)))
    (local.get $from)
    (i64.lt_u (local.get $from) (local.get $up_to)))
  (i32.sub (i32.const 0) (local.get $p)))

;; trimmed is digits × 10^power without zeros at the end.
(func $trimmed (param $digits i64) (param $power i32) (result i64 i32)
  (if (i64.eqz (local.get $digits)) (then (return (i64.const 0) (i32.const 0))))
  (block $done
    (loop $zero
      (br_if $done (i64.ne (i64.rem_u (local.get $digits) (i64.const 10)) (i64.const 0)))
      (local.set $digits (i64.div_u (local.get $digits) (i64.const 10)))
      (local.set $power (i32.add (local.get $power) (i32.const 1)))
      (br $zero)))
  (local.get $digits)
  (local.get $power))

;; put_float writes the shortest text that reads back as the same number, as JSON.stringify does: null for what JSON has no number
;; for.
(func $put_float (param $v f64)
  (call $put_rounded (local.get $v) (i32.const 400)))

;; put_rounded writes a number with at most so many decimals, from 0 on: what $put_float would write, rounded half away from zero.
;; Zeros at the end are left out.
(func $put_rounded (param $v f64) (param $decimals i32)
  (local $bits i64) (local $digits i64) (local $power i32) (local $last i64)
  (local.set $bits (i64.and (i64.reinterpret_f64 (local.get $v)) (i64.const 0x7fff_ffff_ffff_ffff)))
  (if (i64.ge_u (local.get $bits) (global.get $INFINITY)) (then (call $put (global.get $S_NULL)) (return)))
  (if (i64.ne (local.get $bits) (i64.const 0))
    (then
      (call $shortest (local.get $bits))
      (local.set $power)
      (local.set $digits)))
  (local.set $decimals (i32.sub (i32.const 0) (local.get $decimals))) ;; as a power of ten
  (if (i32.lt_s (local.get $power) (local.get $decimals))
    (then
      (block $enough
        (loop $drop
          (br_if $enough (i64.eqz (local.get $digits)))
          (br_if $enough (i32.ge_s (local.get $power) (local.get $decimals)))
          (local.set $last (i64.rem_u (local.get $digits) (i64.const 10)))
          (local.set $digits (i64.div_u (local.get $digits) (i64.const 10)))
          (local.set $power (i32.add (local.get $power) (i32.const 1)))
          (br $drop)))
      (if (i32.and (i32.ge_s (local.get $power) (local.get $decimals)) (i64.ge_u (local.get $last) (i64.const 5)))
        (then (local.set $digits (i64.add (local.get $digits) (i64.const 1)))))
      (call $trimmed (local.get $digits) (local.get $power))
      (local.set $power)
      (local.set $digits)))
  (if (i32.and (f64.lt (local.get $v) (f64.const 0)) (i64.ne (local.get $digits) (i64.const 0)))
    (then (call $put_byte (i32.const 0x2d))))
  (call $put_decimal (local.get $digits) (local.get $power)))

;; put_decimal lays digits out: plainly from 10^-6 up to below 10^21, else with an exponent.
(func $put_decimal (param $digits i64) (param $power i32)
  (local $n i32) (local $rest i64) (local $point i32)
  (local.set $rest (local.get $digits))
  (loop $count
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
    (br_if $count (i64.ne (local.get $rest) (i64.const 0))))
  (local.set $point (i32.add (local.get $n) (local.get $power))) ;; where the point stands, counted from before the first digit
  (if (i32.gt_u (i32.add (local.get $point) (i32.const 5)) (i32.const 26)) ;; below -5 or above 21
    (then
      (call $put_digits (local.get $digits) (local.get $n) (i32.const 1))
      (call $put_byte (i32.const 0x65))
      (local.set $point (i32.sub (local.get $point) (i32.const 1)))
      (if (i32.gt_s (local.get $point) (i32.const 0)) (then (call $put_byte (i32.const 0x2b))))
      (call $put_int (i64.extend_i32_s (local.get $point)))
      (return)))
  (if (i32.le_s (local.get $point) (i32.const 0))
    (then
      (call $put_byte (i32.const 0x30))
      (call $put_byte (i32.const 0x2e))
      (block $done
        (loop $zero
          (br_if $done (i32.eqz (local.get $point)))
          (call $put_byte (i32.const 0x30))
          (local.set $point (i32.add (local.get $point) (i32.const 1)))
          (br $zero)))
      (call $put_digits (local.get $digits) (local.get $n) (local.get $n))
      (return)))
  (call $put_digits (local.get $digits) (local.get $n) (local.get $point))
  (block $done
    (loop $zero
      (br_if $done (i32.le_s (local.get $power) (i32.const 0)))
      (call $put_byte (i32.const 0x30))
      (local.set $power (i32.sub (local.get $power) (i32.const 1)))
      (br $zero))))

;; put_digits writes n digits, and a point behind as many of them as $point says where more follow.
(func $put_digits (param $digits i64) (param $n i32) (param $point i32)
  (local $p i32)
  (if (i32.eqz (call $room (i32.const 24))) (then (return)))
  (local.set $p (i32.add (global.get $pos) (i32.add (local.get $n) (i32.lt_s (local.get $point) (local.get $n)))))
  (global.set $pos (local.get $p))
  (loop $digit
    (local.set $p (i32.sub (local.get $p) (i32.const 1)))
    (i32.store8 (local.get $p) (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $digits) (i64.const 10)))))
    (local.set $digits (i64.div_u (local.get $digits) (i64.const 10)))
    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
    (if (i32.and (i32.eq (local.get $n) (local.get $point)) (i32.gt_s (local.get $n) (i32.const 0)))
      (then
        (local.set $p (i32.sub (local.get $p) (i32.const 1)))
        (i32.store8 (local.get $p) (i32.const 0x2e))))
    (br_if $digit (local.get $n))))

;; is_number reports whether a value is neither NaN nor infinite.
(func $is_number (param $v f64) (result i32)
  (f64.eq (f64.sub (local.get $v) (local.get $v)) (f64.const 0)))

;; ---- Saying -----------------------------------------------------------------------------------------------------------

(global $items (mut i32) (i32.const 0))     ;; in this answer
(global $signal_values (mut i32) (i32.const 0))    ;; in this signal
(global $ITEMS_MAX i32 (i32.const 3500))    ;; what an answer may hold is bounded by the host; a strategy stops a little earlier,
(global $SAID_MAX i32 (i32.const 0xc0000))  ;; so that one tick's items always fit

;; item begins an item.
(func $item (param $kind i64) (param $at i32)
  (if (i32.eqz (call $mark))
    (then
      (global.set $items (i32.const 0))
      (call $put (global.get $S_OUT))))
  (if (global.get $items) (then (call $put_byte (i32.const 0x2c))))
  (global.set $items (i32.add (global.get $items) (i32.const 1)))
  (call $put (global.get $S_ITEM))
  (call $put (local.get $kind))
  (call $put (global.get $S_AT))
  (call $put_int (i64.extend_i32_u (local.get $at))))

(func $number_member (param $before i64) (param $v f64)
  (call $put (local.get $before))
  (call $put_float (local.get $v)))

;; say_indicator reports a value under a name. One that is not ready (NaN) or infinite is left out.
(func $say_indicator (param $at i32) (param $name i64) (param $value f64)
  (if (i32.eqz (call $is_number (local.get $value))) (then (return)))
  (call $item (global.get $S_K_INDICATOR) (local.get $at))
  (call $put (global.get $S_NAME_IS))
  (call $put_text (local.get $name))
  (call $number_member (global.get $S_VALUE_IS) (local.get $value))
  (call $put_byte (i32.const 0x7d)))

;; say_signal begins to report a signal; a confidence below 0 is none. $say_value adds the values that it was made of, of which those
;; that are no number are left out, and $say_signal_end ends it.
(func $say_signal (param $at i32) (param $type i64) (param $confidence f64)
  (call $item (global.get $S_K_SIGNAL) (local.get $at))
  (call $put (global.get $S_TYPE_IS))
  (call $put_text (local.get $type))
  (call $put_byte (i32.const 0x22))
  (if (f64.ge (local.get $confidence) (f64.const 0))
    (then (call $number_member (global.get $S_CONFIDENCE_IS) (local.get $confidence))))
  (call $put (global.get $S_INDICATORS_ARE))
  (global.set $signal_values (i32.const 0)))

(func $say_value (param $name i64) (param $value f64)
  (if (i32.eqz (call $is_number (local.get $value))) (then (return)))
  (if (global.get $signal_values) (then (call $put_byte (i32.const 0x2c))))
  (global.set $signal_values (i32.const 1))
  (call $put_byte (i32.const 0x22))
  (call $put_text (local.get $name))
  (call $number_member (global.get $S_COLON) (local.get $value)))

(func $say_signal_end (call $put (global.get $S_ENDS)))

;; say_order orders a quantity in base currency or, where that is 0, a notional in quote currency; a price of 0 makes it a market
;; order. The id is the plugin's own, used once in the handle. The strategy must stop at this tick: return $said of at + 1.
(func $say_order (param $at i32) (param $id i64) (param $sell i32) (param $quantity f64) (param $notional f64) (param $price f64) (param $reason i64)
  (call $item (global.get $S_K_ORDER) (local.get $at))
  (call $put (global.get $S_ID_IS))
  (call $put_text (local.get $id))
  (call $put (select (global.get $S_SELL) (global.get $S_BUY) (local.get $sell)))
  (if (f64.gt (local.get $quantity) (f64.const 0))
    (then (call $number_member (global.get $S_QUANTITY_IS) (local.get $quantity)))
    (else (call $number_member (global.get $S_NOTIONAL_IS) (local.get $notional))))
  (if (f64.gt (local.get $price) (f64.const 0))
    (then (call $number_member (global.get $S_LIMIT) (local.get $price)))
    (else (call $put (global.get $S_MARKET))))
  (call $put (global.get $S_REASON_IS))
  (call $put_text (local.get $reason))
  (call $put (global.get $S_END)))

;; say_cancel asks for an order to be cancelled. The strategy must stop at this tick.
(func $say_cancel (param $at i32) (param $id i64)
  (call $item (global.get $S_K_CANCEL) (local.get $at))
  (call $put (global.get $S_ID_IS))
  (call $put_text (local.get $id))
  (call $put (global.get $S_END)))

;; say_state tells the state that the handle is in from here on; sdk/ABI.md lists them.
(func $say_state (param $at i32) (param $state i64)
  (call $item (global.get $S_K_STATE) (local.get $at))
  (call $put (global.get $S_STATE_IS))
  (call $put_text (local.get $state))
  (call $put (global.get $S_END)))

;; must_stop reports whether so much has been said that the next tick belongs into another call.
(func $must_stop (result i32)
  (if (i32.eqz (call $mark)) (then (return (i32.const 0))))
  (i32.or
    (i32.ge_u (global.get $items) (global.get $ITEMS_MAX))
    (i32.ge_u (call $mark) (global.get $SAID_MAX))))

;; said is what the hook returns: the first $consumed of $n ticks are done with. In an update both are 0.
(func $said (param $consumed i32) (param $n i32) (result i64)
  (if (i32.eqz (call $mark))
    (then
      (if (i32.eq (local.get $consumed) (local.get $n)) (then (return (global.get $NO))))
      (call $put (global.get $S_OUT))))
  (call $put (global.get $S_CONSUMED))
  (call $put_int (i64.extend_i32_u (local.get $consumed)))
  (call $put_byte (i32.const 0x7d))
  (call $result))

;; ---- Powers of ten -----------------------------------------------------------------------------------------------------
;;
;; From 10^-348 to 10^347. Each is scaled to at least 2^127 and less than 2^128, rounded up, and written as two halves a and b, little
;; endian, of which it is a × 2^64 - b. TestPowersOfTenInTheSDKsAreWhatTheySay checks them.
(data (i32.const 0xd000)
  "\89\02\1c\08\a0\d5\8f\fa\ac\1b\9f\32\96\37\cd\e8\96\81\11\05\84\e5\99\9c\4b\71\a3\df\bd\42\80\f1"
  "\fb\e1\55\06\e5\5e\c0\c3\9e\4d\8c\57\6d\53\e0\ad\79\5a\eb\47\9e\76\b0\f4\06\61\6f\ad\48\68\58\19"
  "\8c\18\f3\ec\22\4a\ee\98\a3\9c\65\6c\2d\41\d7\6f\af\de\2f\a8\ab\dc\29\bf\cc\03\7f\c7\78\11\cd\8b"
  "\5b\d6\3b\92\d6\53\f4\ee\c0\c4\5e\f9\d6\55\c0\ee\f9\65\65\1b\66\b4\58\95\f8\3a\db\5b\a6\35\38\b5"
  "\77\bf\3e\a2\7f\e1\ae\ba\b6\09\d2\f2\0f\43\86\a2\54\6f\ce\8a\df\99\5a\e9\23\8c\86\ef\d3\d3\27\0b"
  "\95\05\c1\b6\2b\a0\d8\91\96\17\b4\75\64\e4\f8\86\fa\46\71\a4\36\c8\4e\b6\7b\1d\21\93\7d\1d\b7\68"
  "\b8\98\8d\4d\44\7a\e2\e3\da\64\e9\f7\dc\e4\e4\02\73\7f\78\b0\6a\8c\6d\8e\08\df\f1\1a\0a\0f\cf\01"
  "\50\9f\96\5c\85\ef\08\b2\ca\56\ae\a1\cc\d2\42\42\24\47\bc\b3\66\2b\8b\de\7d\ec\19\ca\7f\87\d3\52"
  "\77\ac\55\30\20\fb\16\8b\ce\33\50\de\af\34\c4\b3\94\17\6b\3c\e8\b9\dc\ad\c2\40\e4\d5\db\41\b5\20"
  "\79\dd\85\4b\62\e8\53\d9\f2\50\5d\cb\52\92\e2\28\6c\aa\33\6f\3d\71\d4\87\97\52\1a\bf\73\9b\8d\79"
  "\07\95\00\cb\8c\8d\c9\a9\3d\e7\e0\ae\50\02\f1\97\49\ba\c0\fd\ef\f0\3b\d4\0d\21\99\da\e4\42\ed\fd"
  "\6e\74\98\fe\95\76\a5\84\a8\b4\9f\08\cf\49\b4\fe\89\91\3e\7e\3b\d4\ce\a5\d2\a1\c7\ca\42\5c\61\be"
  "\eb\35\ce\5d\4a\89\42\cf\46\8a\79\7d\53\b3\f9\ad\b3\e1\a0\7a\ce\95\89\81\6c\f6\6b\2e\14\10\bc\8c"
  "\20\1a\49\19\42\fb\eb\a1\07\f4\06\3a\19\14\eb\ef\a7\60\9b\9f\12\fa\66\ca\09\b1\88\88\1f\d9\e5\2b"
  "\d1\38\82\47\97\b8\00\fd\4b\dd\aa\6a\67\4f\df\76\83\63\b1\8c\5e\73\20\9e\4f\ca\aa\a2\a0\91\4b\aa"
  "\63\bc\dd\2f\36\90\a8\c5\e2\7c\55\cb\08\76\de\14\7c\2b\d5\bb\43\b4\12\f7\1b\dc\2a\fe\8a\13\16\5a"
  "\2e\3b\65\55\aa\b0\6b\9a\91\c9\da\de\36\cc\4d\b8\f9\89\be\ea\d4\9c\06\c1\f5\7b\91\96\44\3f\61\66"
  "\77\2c\6e\25\0a\44\48\f1\f2\da\35\bc\15\8f\f9\3f\cb\db\64\57\86\2a\cd\96\d7\a8\a1\95\6d\f9\fb\c7"
  "\bd\12\3e\ed\27\75\80\bc\0d\13\0a\fb\c8\f7\fa\39\6c\97\8d\e8\71\92\a0\eb\d1\97\cc\39\bb\b5\79\08"
  "\a4\7e\58\31\87\5b\44\93\e2\de\1f\04\95\11\4c\85\4d\9e\ae\fd\68\72\15\b8\9b\d6\27\45\fa\15\9f\a6"
  "\e0\45\1a\3d\03\cf\1a\e6\42\cc\71\d6\78\db\46\90\ac\6b\30\06\62\c1\d0\8f\a9\1f\07\86\2b\49\2c\5a"
  "\97\86\bc\87\ba\f1\c4\b3\93\e7\88\67\76\5b\b7\70\3d\a8\ab\29\29\2e\b6\e0\78\21\6b\01\54\32\e5\cc"
  "\26\49\0b\ba\d9\dc\71\8c\eb\f4\e2\80\74\3f\0f\60\70\1b\8e\28\10\54\8e\af\26\b2\1b\a1\51\0f\13\f8"
  "\4b\a2\b1\32\14\e9\71\db\af\9e\62\09\26\d3\17\36\6f\05\af\9f\ac\31\27\89\2d\a3\dd\c5\f7\e3\ce\41"
  "\cb\c6\9a\c7\17\fe\70\ab\f9\0b\55\b7\f5\9c\42\92\7e\78\81\b9\9d\3d\4d\d6\f7\4e\2a\25\33\44\d3\f6"
  "\4f\eb\f0\93\82\46\f0\85\5a\71\3a\f7\9f\0a\44\da\22\26\ed\38\23\58\6c\a7\b1\0d\09\f5\47\0d\d5\50"
  "\ab\6f\28\07\2c\6e\47\d1\1e\51\4b\f2\99\50\0a\e5\cb\45\79\84\db\a4\cc\82\b2\12\6f\37\60\72\26\af"
  "\3d\97\97\65\12\ce\7f\a3\5f\d7\4a\45\f8\0e\f0\1a\0d\7d\fd\fe\96\c1\5f\cc\37\8d\9d\56\b6\12\ac\e1"
  "\50\dc\bc\be\fc\b1\77\ff\85\f0\44\ec\63\17\17\da\b2\09\36\f7\3d\cf\aa\9f\53\16\ab\73\9e\6e\4e\88"
  "\1e\8c\03\75\0d\83\95\c7\e8\db\95\10\46\0a\62\2a\26\6f\44\d2\d0\e3\7a\f9\e2\52\bb\94\d7\8c\fa\b4"
  "\78\c5\6a\83\62\ce\ec\9b\cd\13\f5\bc\06\98\1c\b1\d6\76\45\24\fb\01\e8\c2\c0\58\32\6c\08\be\63\dd"
  "\8b\d4\56\ed\79\02\a2\f3\f0\ee\3e\87\8a\ad\bc\94\d7\44\56\34\8c\41\45\98\56\55\87\94\76\ec\f5\7c"
  "\0d\d6\6b\41\ef\91\56\be\ac\2a\a9\39\94\67\33\dc\90\cb\c6\11\6b\36\ec\ed\57\75\13\48\79\41\40\d3"
  "\3a\3f\1c\eb\02\a2\b3\94\56\29\0c\cd\eb\28\08\84\08\4f\e3\a5\83\8a\e0\b9\ac\33\4f\c0\26\33\0a\25"
  "\ca\22\5c\8f\24\ad\58\e8\97\00\63\70\f0\bf\4c\2e\bf\95\99\d9\36\6c\37\91\5e\e0\3d\46\f6\f7\ef\dc"
  "\2e\fb\ff\8f\44\47\85\b5\75\58\cd\d7\f3\f5\2b\54\fa\f9\ff\b3\15\99\e6\e2\93\ae\c0\cd\70\f3\36\e9"
  "\3c\fc\7f\90\ad\1f\d0\8d\1c\6d\98\80\26\58\c2\51\4b\fb\9f\f4\98\27\44\b1\63\88\be\20\30\ee\32\66"
  "\1e\fa\c7\31\7f\31\95\dd\7c\2a\ee\28\bc\a9\bf\bf\53\fc\1c\7f\ef\3e\7d\8a\8d\da\94\99\15\ca\d7\b7"
  "\67\3b\e4\5e\ab\8e\1c\ad\30\11\fa\ff\9a\bc\cd\25\41\4a\9d\36\56\b2\63\d8\7d\95\f8\bf\c1\2b\41\6f"
  "\69\4e\22\e2\75\4f\3e\87\6e\5d\fb\17\59\bb\88\a5\03\e2\aa\5a\53\e3\0d\a9\c9\34\fa\5d\2f\ea\ea\8e"
  "\84\9a\55\31\28\5c\51\d3\fc\c1\78\35\bb\a4\a5\f2\92\80\d5\1e\99\d9\12\84\3d\79\6b\01\f5\86\a7\17"
  "\b7\e0\8a\66\ff\8f\17\a5\8d\57\c6\41\b2\68\91\9d\e4\98\2d\40\ff\73\5d\ce\70\ed\37\d2\de\c2\f5\04"
  "\8f\7f\1c\88\7f\68\fa\80\66\f4\62\43\cb\99\19\83\73\9f\23\6a\9f\02\39\a1\7f\b1\3b\14\3e\00\e0\e3"
  "\4f\87\ac\44\47\43\87\c9\df\9d\4a\99\4d\00\d8\5c\23\a9\d7\15\19\14\e9\fb\57\45\9d\ff\60\00\0e\b4"
  "\b6\c9\a6\ad\8f\ac\71\9d\56\4b\c2\9f\3c\c0\88\90\23\7c\10\99\b3\17\ce\c4\2c\de\b2\c7\4b\f0\aa\34"
  "\2c\9b\54\7f\a0\9d\01\f6\b7\95\9f\b9\5e\ac\d5\81\fc\e0\94\4f\84\02\c1\99\92\bd\03\34\bb\8b\25\d1"
  "\3a\19\7a\63\25\43\31\c0\f7\ac\04\01\aa\ee\6e\05\89\9f\58\bc\ee\93\3d\f0\35\d8\45\81\54\aa\ca\86"
  "\b6\63\b7\35\75\7c\26\96\21\a7\cb\d0\74\aa\3e\b4\a3\3c\25\83\92\1b\b0\bb\e9\90\fe\04\12\55\4e\61"
  "\cc\8b\ee\23\77\22\9c\ea\23\35\3e\86\56\ea\a1\b9\60\17\75\76\8a\95\a1\92\36\e1\e6\13\76\32\05\f4"
  "\37\5d\12\14\ed\fa\49\b7\84\99\e0\98\13\7f\06\31\85\f4\16\59\a8\79\1c\e5\e5\bf\18\7f\d8\1e\48\7d"
  "\d3\58\ae\37\09\cc\31\8f\ef\77\6f\4f\47\13\4d\2e\08\ef\99\85\0b\3f\fe\b2\ea\55\4b\23\19\58\e0\79"
  "\ca\6a\00\67\ce\ce\bd\df\65\2b\1e\6c\1f\6e\58\98\be\42\60\00\41\a1\d6\8b\1f\db\92\a3\d3\44\37\1f"
  "\6e\53\78\40\91\49\cc\ae\e7\91\77\8c\08\16\05\a7\49\68\96\90\f5\5b\7f\da\61\76\95\af\8a\5b\c6\50"
  "\2e\01\5e\7a\79\99\8f\88\fc\69\bd\ad\36\f9\7b\92\79\81\f5\d8\d7\7f\b3\aa\7c\c4\2c\59\84\f7\1a\37"
  "\d7\e1\32\cf\cd\5f\60\d5\9b\f5\77\6f\65\b5\e1\04\27\cd\7f\a1\e0\3b\5c\85\80\f9\aa\65\5f\11\0d\a3"
  "\70\c0\df\c9\d8\4a\b3\a6\e1\b7\15\3f\b7\55\d0\0b\8c\b0\57\fc\8e\1d\60\d0\d9\25\db\0e\25\6b\c4\0e"
  "\58\ce\b6\5d\79\12\3c\82\a7\f7\48\29\f7\c2\3a\89\ee\81\24\b5\17\17\cb\a2\91\35\9b\f3\b4\73\89\ab"
  "\69\a2\6d\a2\dd\dc\7d\cb\f6\02\82\30\a2\d0\6b\56\03\0b\09\0b\15\54\5d\fe\b3\83\a2\bc\ca\c4\06\2c"
  "\e2\a6\e5\26\8d\54\fa\9e\50\92\e5\b5\fe\3a\84\3b\9b\10\9f\70\b0\e9\b8\c6\e4\f6\5e\63\be\49\65\ca"
  "\c1\d4\c6\8c\1c\24\67\f8\9d\b4\36\fc\2d\9c\fe\3c\f9\44\fc\d7\91\76\40\9b\e2\30\a2\bd\9c\21\1f\86"
  "\37\56\fb\4d\36\94\10\c2\1b\bd\0a\ed\03\ea\a6\67\c5\2b\7a\e1\43\b9\94\f2\62\6c\4d\e8\84\a4\90\c1"
  "\5b\5b\ec\6c\ca\f3\9c\97\bd\63\30\11\d3\66\fa\58\32\72\27\08\bd\30\84\bd\ac\7c\7c\d5\87\00\39\af"
  "\be\4e\31\4a\ec\3c\e5\ec\d7\9b\db\ca\a9\40\07\5b\37\d1\5e\ae\13\46\0f\94\66\41\c9\1e\6a\88\e4\78"
  "\85\85\f6\99\98\17\13\b9\c0\91\7b\a6\84\aa\1d\d7\e6\26\74\c0\7e\dd\57\e7\30\76\1a\d0\25\15\e5\cc"
  "\50\98\48\38\6f\ea\96\90\de\89\10\a2\37\2d\0f\c0\64\be\5a\06\0b\a5\bc\b4\56\ac\94\8a\85\f8\12\f0"
  "\fc\6d\f1\c7\4d\ce\eb\e1\6b\d7\39\ed\a6\b6\17\2c\be\e4\f6\9c\f0\60\33\8d\a3\26\44\54\28\d2\8e\9b"
  "\ed\9d\34\c4\2c\39\80\b0\4c\30\55\69\b2\86\72\42\68\c5\41\f5\77\47\a0\dc\5f\7c\aa\03\5f\28\0f\13"
  "\61\1b\49\f9\aa\2c\e4\89\bb\8d\4a\62\3b\79\e9\0b\3a\62\9b\b7\d5\37\5d\ac\2a\31\dd\3a\8a\d7\e3\ce"
  "\c8\3a\82\25\cb\85\74\d7\74\7d\94\c9\6c\cd\9c\82\bd\64\71\f7\9e\d3\a8\86\68\ce\fc\fd\63\00\a2\51"
  "\ec\bd\4d\b5\86\08\53\a8\03\02\7c\fd\7c\80\0a\26\67\2d\a1\62\a8\ca\67\d2\84\02\db\3c\9c\20\8d\2f"
  "\61\bc\a4\3d\a9\de\80\83\92\e1\08\a6\61\34\b8\bd\79\eb\0d\8d\53\16\61\a4\f7\19\8b\0f\7a\41\26\ad"
  "\57\66\51\70\e8\5b\79\cd\74\e0\6d\93\d8\d1\6f\98\f7\df\32\46\71\d9\6b\80\49\ac\24\5c\27\e3\45\ff"
  "\f4\97\bf\97\cd\cf\86\a0\5b\d7\2d\33\f1\5b\17\7f\f1\7d\af\fd\c0\83\a8\c8\32\4d\f9\7f\ed\32\dd\9e"
  "\6d\5d\1b\3d\b1\a4\d2\fa\7e\a0\f7\df\a8\7f\94\86\64\1a\31\c6\ee\a6\c3\9c\4f\c4\fa\8b\c9\cf\1c\34"
  "\fd\60\bd\77\aa\90\f4\c3\63\75\f9\ee\bb\03\24\41\3c\b9\ac\15\d5\b4\f1\f4\bb\d2\b7\ea\aa\04\6d\11"
  "\c6\f3\8b\2d\05\11\17\99\b5\e3\b2\d2\ea\22\e4\8a\b7\f0\ee\78\46\d5\5c\bf\a2\9c\5f\87\a5\2b\9d\2d"
  "\e5\ac\2a\17\98\0a\34\ef\cb\83\37\e9\8e\76\04\79\0f\ac\7a\0e\9f\86\80\95\5f\b2\c2\51\19\ca\a2\2b"
  "\13\57\19\d2\46\a8\e0\ba\f6\5e\33\a6\9f\7c\8b\76\d8\ac\9f\86\58\d2\98\e9\b4\36\c0\8f\c7\5b\2e\d4"
  "\07\cc\23\54\77\83\ff\91\30\22\d8\b9\5c\f9\9c\84\09\bf\2c\29\55\64\7f\b6\bd\2a\4e\e8\b3\37\c4\e5"
  "\cb\ee\77\73\6a\3d\1f\e4\6c\b5\61\e2\a0\45\35\df\3f\f5\2a\88\62\86\93\8e\63\11\7d\8d\84\4b\81\ab"
  "\8e\b2\35\2a\fb\67\38\b2\bc\55\dc\b0\65\9e\61\16\32\1f\c3\f4\f9\81\c6\de\2b\6b\13\1d\ff\05\fa\9b"
  "\7f\f3\f9\38\3c\11\3c\8b\fb\22\2c\72\bf\43\7c\21\5f\70\38\47\8b\15\0b\ae\ba\2b\b7\4e\af\54\db\69"
  "\77\8c\06\19\ee\da\8d\d9\a8\f6\64\22\db\29\52\c4\ca\17\a4\cf\d4\a8\f8\87\29\1a\7f\f5\28\5a\b3\1a"
  "\bd\1d\8d\03\0a\d3\f6\a9\b3\e0\de\32\b3\30\60\a1\2c\65\70\84\cc\87\74\d4\e0\98\96\ff\df\3c\b8\89"
  "\3c\3f\c6\d2\df\d4\c8\84\8c\1f\be\ff\0b\26\13\d6\0a\cf\77\c7\17\0a\fb\a5\6f\a7\ad\ff\8e\ef\97\0b"
  "\cd\c2\55\b9\9d\cc\79\cf\4b\11\99\bf\72\eb\7d\8e\c0\99\d5\93\e2\1f\ac\81\cf\aa\bf\b7\27\b3\0e\39"
  "\30\00\cb\38\db\27\17\a2\83\95\af\a5\f1\5f\52\47\3c\c0\fd\06\d2\f1\9c\ca\e3\7a\1b\0f\ee\f7\26\59"
  "\4b\30\bd\88\46\2e\44\fd\9c\59\e2\92\e9\b5\70\6f\2f\3e\76\15\ec\9c\4a\9e\01\78\cd\fb\b1\71\a6\65"
  "\bb\cd\d3\1a\27\44\dd\c5\02\d6\c0\7a\1e\0e\10\bf\29\c1\88\e1\30\95\54\f7\83\0b\71\19\a6\11\d4\2e"
  "\ba\78\f5\8c\3e\dd\94\9a\31\a7\e6\cf\07\8b\44\7d\e8\d6\32\30\8e\14\3a\c1\fe\50\e0\c3\c9\ad\95\1c"
  "\a2\8c\3f\bc\b1\99\88\f1\3e\65\d8\34\3c\19\bb\23\e6\b7\a7\15\0f\60\f5\96\46\3f\07\a1\c5\ef\54\d6"
  "\df\a5\11\db\12\b8\b2\bc\18\0f\49\09\b7\2b\ea\8b\57\0f\d6\91\17\66\df\eb\de\52\9b\cb\a4\b6\e4\ee"
  "\96\c9\25\bb\ce\9f\6b\93\cb\13\41\ff\26\f2\4e\35\fc\3b\ef\69\c2\87\46\b8\bd\58\11\bf\b0\ae\a2\c2"
  "\fb\0a\6b\04\b3\29\58\e6\ed\ae\d5\ee\5c\5a\4b\f3\dd\e6\c2\e2\0f\1a\f7\8f\54\8d\45\15\7a\18\0f\b8"
  "\94\a0\73\db\93\e0\f4\b3\a9\f0\96\9a\98\de\12\a6\b9\88\50\d2\b8\18\f2\e0\d3\ac\3c\c1\3e\96\97\cf"
  "\74\55\72\83\73\4f\97\8c\04\ec\c5\38\e7\bd\be\e1\d0\ea\4e\64\50\23\bd\af\05\67\f7\06\61\6d\2e\1a"
  "\84\a5\62\7d\24\6c\ac\db\c6\40\b5\48\b9\08\ba\20\73\a7\5d\ce\96\c3\4b\89\7c\48\71\cd\73\45\74\94"
  "\50\11\f5\81\7c\b4\9e\ab\9b\9a\cd\c0\d0\56\91\f9\a3\55\72\a2\9b\61\86\d6\42\01\01\f1\84\ac\f5\37"
  "\86\75\87\45\01\fd\13\86\c9\a0\a0\16\d3\8b\f9\42\e8\52\e9\96\41\fc\98\a7\fb\c8\48\dc\c7\ee\b7\d3"
  "\a1\a7\a3\fc\51\3b\7f\d1\3a\fb\5a\d3\79\ea\a5\08\c5\48\e6\3d\13\85\ef\82\04\dd\18\24\8c\b2\67\65"
  "\f6\da\5f\0d\58\66\ab\a3\45\14\1f\2d\2f\9f\c1\3e\b4\d1\b7\10\ee\3f\96\cc\57\d9\66\f8\fa\06\72\ce"
  "\20\c6\e5\94\e9\cf\bb\ff\ad\8f\80\b6\b9\88\0e\02\d4\9b\0f\fd\f1\61\d5\9f\cc\59\10\12\74\15\49\01"
  "\c9\82\53\7c\6e\ba\ca\c7\3f\70\94\16\d1\5a\9b\01\7c\63\68\1b\0a\69\bd\f9\4f\8c\39\5c\85\31\02\c2"
  "\2e\3e\21\51\a6\61\16\9c\b1\f7\a3\59\f3\5e\41\f9\b9\8d\69\e5\0f\fa\1b\c3\9d\f5\0c\30\b0\b6\91\b7"
  "\27\f1\c3\de\93\f8\e2\f3\05\33\10\3c\5c\24\76\a5\b8\76\3a\6b\5c\db\6d\98\e3\1f\8a\a5\b9\d6\69\07"
  "\66\14\09\86\33\52\89\be\dc\a7\ec\0e\68\4c\44\09\80\59\8b\67\c0\a6\2b\ee\d3\d1\a7\12\82\5f\95\8b"
  "\f0\17\b7\40\38\48\db\94\23\e3\a8\4b\b1\5b\3d\57\ec\dd\e4\50\46\1a\12\ba\ec\1b\93\9e\9d\b2\0c\6d"
  "\67\15\1e\e5\d7\a0\96\e8\e8\e2\37\06\45\df\4f\88\61\cd\32\ef\86\24\5e\91\d1\ed\e2\23\8b\eb\31\f5"
  "\b9\80\ff\aa\a8\ad\b5\b5\45\a9\db\ec\6d\66\7e\f2\e7\60\bf\d5\12\19\23\e3\96\93\12\68\09\00\1e\ef"
  "\90\9c\97\c5\ab\ef\f5\8d\3e\9c\0b\e1\05\c0\72\35\b4\83\fd\b6\96\6b\73\b1\4d\83\4e\59\07\70\cf\42"
  "\a1\e4\bc\64\7c\46\d0\dd\21\24\a2\2f\09\4c\83\53\e5\0e\f6\be\0d\2c\a2\8a\94\56\c5\bd\85\0f\32\94"
  "\9e\92\b3\2e\11\b7\4a\ad\39\ac\36\2d\67\93\3e\79\45\77\60\7a\d5\64\9d\d8\48\57\84\f8\40\38\8e\17"
  "\8c\4a\7c\6c\05\5f\62\87\8d\b6\52\9b\28\e3\b8\ee\2e\5d\9b\c7\c6\f6\3a\a9\30\64\27\c2\f2\1b\67\2a"
  "\7a\34\82\79\78\b4\89\d3\3c\3d\b1\72\ef\e2\00\b5\cc\60\f1\4b\cb\10\36\84\45\c6\ae\a7\d5\8d\20\31"
  "\ff\b8\ed\1e\fe\94\43\a5\d7\77\9a\11\4b\b1\68\3d\3f\27\a9\a6\3d\7a\94\ce\cd\15\01\d6\9d\dd\c2\8c"
  "\88\b8\29\88\66\cc\1c\81\a0\ad\c0\a5\82\ca\f9\f7\a9\26\34\2a\80\ff\63\a1\08\d9\30\4f\23\3d\f8\35"
  "\53\30\c1\34\60\ff\bc\c9\4a\0f\fd\22\6c\4c\76\03\68\7c\f1\41\38\3f\2c\fc\1d\53\bc\2b\87\df\53\44"
  "\c1\ed\36\29\83\a7\9b\9d\f2\b3\55\7b\b4\6b\b4\2a\32\a9\84\f3\63\91\02\c5\ee\20\2b\9a\a1\86\61\f5"
  "\7e\d3\65\f0\bc\35\43\f6\2a\e9\b5\00\4a\e8\b9\b2\2f\a4\3f\16\96\01\ea\99\ba\b1\71\40\2e\31\b4\af"
  "\3a\8d\cf\9b\fb\81\64\c0\29\1e\8e\d0\79\3d\a1\1b\89\70\c3\82\7a\a2\7d\f0\b3\a5\b1\44\d8\8c\89\a2"
  "\56\26\ba\91\8c\85\4e\96\90\07\ef\2a\07\f8\95\c5\eb\af\28\b6\ef\26\e2\bb\74\c9\aa\f5\08\76\fb\76"
  "\e6\db\b2\a3\ab\b0\da\ea\d1\7b\15\33\8b\53\ba\d4\70\c9\4f\46\6b\ae\c8\92\62\6d\ed\ff\36\74\f4\c4"
  "\cc\bb\e3\17\06\da\7a\b7\bb\c8\e8\bf\44\91\31\f6\be\aa\dc\9d\87\90\59\e5\ea\fa\e2\ef\95\f5\bd\33"
  "\b7\ea\a9\c2\54\fa\57\8f\d2\dc\ed\b5\7d\b9\56\60\65\65\54\f3\e9\f8\2d\b3\06\54\69\23\dd\67\6c\b8"
  "\be\7e\29\70\24\77\f9\df\08\a9\43\6c\d4\81\87\a6\37\ef\19\c6\76\ea\fb\8b\a5\49\aa\c3\24\b1\14\a8"
  "\04\6b\a0\77\14\e5\fa\ae\0e\dc\94\f4\6d\dd\19\12\c5\85\88\95\59\9e\b9\da\12\13\ba\71\c9\54\a0\16"
  "\9c\53\75\fd\f7\02\b4\88\eb\4b\14\e7\fd\34\24\ee\82\a8\d2\fc\b5\03\e1\aa\e6\5e\d9\60\3d\42\ad\29"
  "\a3\52\07\7c\a3\44\99\d5\a0\b6\0f\b9\cc\92\18\b4\a6\93\84\2d\e6\ca\7f\85\24\d2\a9\f3\bf\5b\8f\90"
  "\8f\b8\e5\b8\9f\bd\df\a6\ad\46\94\f0\af\32\b3\34\b3\26\1f\a7\07\ad\97\d0\58\58\b9\ec\5b\ff\df\81"
  "\30\78\73\c8\24\cc\5e\82\37\d7\f3\73\99\ff\2b\71\3c\56\90\fa\2d\7f\f6\a2\05\cd\f0\d0\7f\ff\76\8d"
  "\cb\6b\34\79\f9\1e\b4\cb\46\00\2d\c5\5f\bf\d4\b0\bd\86\81\d7\b7\26\a1\fe\57\40\78\b6\37\ef\09\1d"
  "\37\f4\b0\e6\32\b8\24\9f\36\28\0b\d2\82\35\26\f2\44\31\5d\a0\3f\e6\ed\c6\44\f2\8d\86\e3\c2\af\6e"
  "\95\7d\74\88\cf\5f\a9\f8\d5\6e\31\68\9c\b3\5b\8a\7d\ce\48\b5\e1\db\69\9b\45\e5\1e\c1\41\50\79\36"
  "\1c\02\9b\22\da\52\44\c2\97\9e\66\31\52\a4\17\04\a3\c2\41\ab\90\67\d5\f2\3c\46\c0\bd\66\8d\1d\05"
  "\a6\19\09\6b\ba\60\c5\97\e5\2b\98\36\60\78\32\23\10\60\cb\05\e9\b8\b6\bd\df\36\3e\44\78\16\ff\ab"
  "\14\38\3e\47\23\67\24\ed\97\c4\4d\55\16\dc\fe\d6\0c\e3\86\0c\76\c0\36\94\de\9a\50\f5\8d\49\5f\06"
  "\cf\9b\a8\8f\93\70\44\b9\96\c1\a4\72\f1\1b\f7\07\c3\c2\92\73\b8\8c\95\e7\fb\f1\4d\cf\ed\e2\f4\49"
  "\ba\b9\3b\48\f3\77\bd\90\3d\b7\90\a1\d4\0d\39\4e\29\a8\4a\1a\f0\d5\ec\b4\0c\e5\f4\c9\49\51\c7\e1"
  "\33\52\dd\20\6c\0b\28\e2\4f\1e\72\3c\9c\25\39\da\60\53\8a\94\23\07\59\8d\f1\52\c7\a5\81\b7\63\a8"
  "\38\e8\ac\79\ec\48\af\b0\ae\27\39\0f\62\a5\7c\d2\45\22\18\98\27\1b\db\dc\9a\71\07\93\ba\ce\1b\07"
  "\6c\15\0f\bf\f8\f0\08\8a\00\a7\e4\9b\34\61\71\e4\c6\da\d2\ee\36\2d\8b\ac\c0\d0\dd\c2\81\b9\8d\1d"
  "\78\91\87\aa\84\f8\ad\d7\f0\44\95\33\e2\27\f1\a4\eb\ba\94\ea\52\bb\cc\86\16\4b\3d\60\ed\b8\16\67"
  "\a6\e9\39\a5\27\ea\7f\a8\db\9d\4c\b8\28\67\dc\c0\0f\64\88\8e\b1\e4\9f\d2\52\c5\5f\e6\f2\80\13\71"
  "\8a\3e\15\f9\ee\ee\a3\83\53\db\fb\cf\97\30\ac\e6\2c\8e\5a\b7\aa\ea\8c\a4\28\d2\fa\c3\bd\3c\57\a0"
  "\b7\31\31\65\55\25\b0\cd\b2\86\f9\34\ed\0b\6d\c8\12\bf\3e\5f\55\17\8e\80\2f\f4\1b\41\74\27\44\1d"
  "\d7\6e\0e\b7\2a\9d\b1\a0\3b\f1\62\51\51\31\95\a4\8c\0a\d2\64\75\04\de\c8\8a\ad\bb\a5\a5\7d\ba\0d"
  "\2f\8d\06\be\92\85\15\fb\ed\98\2a\0f\0f\1d\29\11\3e\18\c4\b6\7b\73\ed\9c\94\9f\7a\69\29\b2\b9\aa"
  "\4d\1e\75\a4\5a\d0\28\c4\79\47\d9\c3\b3\1e\68\55\e0\65\92\4d\71\04\33\f5\57\99\cf\b4\60\26\c2\2a"
  "\ac\7f\7b\d0\c6\e2\3f\99\d6\bf\01\71\fc\57\b9\1a\97\5f\9a\84\78\db\8f\bf\cc\2f\42\8d\fb\ad\67\21"
  "\7d\f7\c0\a5\56\d2\73\ef\bf\bb\92\70\7a\99\c1\69\ae\9a\98\27\76\63\a8\95\57\b5\5b\86\ec\ff\18\22"
  "\5a\c1\7e\b1\53\7c\12\bb\ad\a2\f2\a7\e7\3f\9f\aa\b0\71\de\9d\68\1b\d7\e9\59\4b\ef\91\e1\0f\47\55"
  "\0e\07\ab\62\21\71\26\92\17\8f\35\fb\ec\69\4c\35\d2\c8\55\bb\69\0d\b0\b6\dd\f2\02\3a\68\84\9f\c2"
  "\06\3b\2b\2a\c4\10\5c\e4\95\af\83\48\82\65\47\73\e4\04\5b\9a\7a\8a\b9\8e\bd\4d\52\6d\71\9f\0c\88"
  "\1d\c6\f1\40\19\ed\67\b2\2c\e1\a6\c8\4d\c7\0f\aa\a4\37\2e\91\5f\e8\01\df\77\99\d0\3a\21\b9\93\94"
  "\c7\e2\bc\ba\3b\31\61\8b\ea\5f\c2\c4\b4\53\dc\dc\78\1b\6c\a9\8a\7d\39\ae\e5\f7\f2\f5\a1\68\13\54"
  "\56\22\c7\53\ed\dc\c7\d9\de\b5\6f\73\ca\42\18\69\76\75\5c\54\14\ea\1c\88\ab\d1\25\88\be\29\af\81"
  "\d3\92\73\69\99\24\24\aa\16\46\2f\2a\2e\f4\1a\22\88\77\d0\c3\bf\2d\ad\d4\9b\17\bb\b4\39\b1\a1\6a"
  "\b5\4a\62\da\97\3c\ec\84\c1\ee\f4\10\c4\0e\a5\42\62\dd\fa\d0\bd\4b\27\a6\71\2a\32\15\75\52\4e\13"
  "\bb\94\39\45\ad\1e\b1\cf\0d\b5\7e\5a\12\e7\21\98\f5\fc\43\4b\2c\b3\ce\81\28\31\8f\78\6b\30\15\7f"
  "\32\fc\14\5e\f7\5f\42\a2\72\fd\b2\56\86\7c\da\5e\3f\3b\9a\35\f5\f7\d2\ca\cf\bc\5f\ec\a7\1b\91\f6"
  "\0e\ca\00\83\f2\b5\87\fd\03\ac\77\e7\91\62\35\74\49\7e\e0\91\b7\d1\74\9e\82\cb\aa\30\9b\5d\a1\88"
  "\db\9d\58\76\25\06\12\c6\62\7e\d5\fc\01\b5\c9\6a\52\c5\ee\d3\ae\87\96\f7\fb\dd\0a\7c\42\22\7c\c5"
  "\53\3b\75\44\cd\14\be\9a\bd\ca\86\8d\69\95\6d\3b\28\8a\92\95\00\9a\6d\c1\6c\7d\e8\f0\c3\fa\48\8a"
  "\b2\2c\f7\ba\80\00\c9\f1\c7\9c\22\ed\74\39\db\ac\ef\7b\da\74\50\a0\1d\97\fc\a1\35\14\e9\03\09\2c"
  "\eb\1a\11\92\64\08\e5\bc\7b\0a\43\59\e3\44\0b\77\a6\61\95\b6\7d\4a\1e\ec\1a\cd\93\2f\1c\16\ce\d4"
  "\08\5d\1d\92\8e\ee\92\93\30\60\bc\9d\d1\cd\00\c5\4a\b4\a4\36\32\aa\77\b8\3d\78\2b\05\46\01\41\f6"
  "\5c\e1\4d\c4\be\94\95\e6\4c\56\76\86\97\41\d1\b3\da\ac\b0\3a\f7\7c\1d\90\ef\f5\09\b4\fe\c8\62\f0"
  "\10\d8\5c\09\35\dc\24\b4\6b\73\0c\61\3e\7b\7b\ac\14\0e\b4\4b\42\13\2e\e1\46\90\4f\f9\0d\5a\9a\d7"
  "\cc\88\50\6f\09\cc\bc\8c\2c\ba\d1\bb\48\78\c0\06\ff\aa\24\cb\0b\ff\eb\af\b7\28\c6\ea\5a\96\70\08"
  "\bf\d5\ed\bd\ce\fe\e6\db\e4\b2\77\a5\f1\bb\8c\4a\98\a5\b4\36\41\5f\70\89\cf\cf\6a\07\77\f5\97\ce"
  "\fd\ce\61\84\11\77\cc\ab\c2\83\45\c9\d4\f2\3d\02\bd\42\7a\e5\d5\94\bf\d6\b3\e4\96\fb\89\6f\cd\c2"
  "\b6\69\6c\af\05\bd\37\86\f0\4e\3e\3d\b6\65\c0\59\24\84\47\1b\47\ac\c5\a7\ac\e2\8d\cc\23\7f\30\f0"
  "\2c\65\19\e2\58\17\b7\d1\57\5b\b1\bf\ec\9e\3c\2c\3c\df\4f\8d\97\6e\12\83\16\d9\ce\f7\53\e3\a5\9b"
  "\0b\d7\a3\70\3d\0a\d7\a3\5c\8f\c2\f5\28\5c\8f\c2\cd\cc\cc\cc\cc\cc\cc\cc\33\33\33\33\33\33\33\33"
  "\00\00\00\00\00\00\00\80\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\a0\00\00\00\00\00\00\00\00"
  "\00\00\00\00\00\00\00\c8\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\fa\00\00\00\00\00\00\00\00"
  "\00\00\00\00\00\00\40\9c\00\00\00\00\00\00\00\00\00\00\00\00\00\00\50\c3\00\00\00\00\00\00\00\00"
  "\00\00\00\00\00\00\24\f4\00\00\00\00\00\00\00\00\00\00\00\00\00\80\96\98\00\00\00\00\00\00\00\00"
  "\00\00\00\00\00\20\bc\be\00\00\00\00\00\00\00\00\00\00\00\00\00\28\6b\ee\00\00\00\00\00\00\00\00"
  "\00\00\00\00\00\f9\02\95\00\00\00\00\00\00\00\00\00\00\00\00\40\b7\43\ba\00\00\00\00\00\00\00\00"
  "\00\00\00\00\10\a5\d4\e8\00\00\00\00\00\00\00\00\00\00\00\00\2a\e7\84\91\00\00\00\00\00\00\00\00"
  "\00\00\00\80\f4\20\e6\b5\00\00\00\00\00\00\00\00\00\00\00\a0\31\a9\5f\e3\00\00\00\00\00\00\00\00"
  "\00\00\00\04\bf\c9\1b\8e\00\00\00\00\00\00\00\00\00\00\00\c5\2e\bc\a2\b1\00\00\00\00\00\00\00\00"
  "\00\00\40\76\3a\6b\0b\de\00\00\00\00\00\00\00\00\00\00\e8\89\04\23\c7\8a\00\00\00\00\00\00\00\00"
  "\00\00\62\ac\c5\eb\78\ad\00\00\00\00\00\00\00\00\00\80\7a\17\b7\26\d7\d8\00\00\00\00\00\00\00\00"
  "\00\90\ac\6e\32\78\86\87\00\00\00\00\00\00\00\00\00\b4\57\0a\3f\16\68\a9\00\00\00\00\00\00\00\00"
  "\00\a1\ed\cc\ce\1b\c2\d3\00\00\00\00\00\00\00\00\a0\84\14\40\61\51\59\84\00\00\00\00\00\00\00\00"
  "\c8\a5\19\90\b9\a5\6f\a5\00\00\00\00\00\00\00\00\3a\0f\20\f4\27\8f\cb\ce\00\00\00\00\00\00\00\00"
  "\85\09\94\f8\78\39\3f\81\00\00\00\00\00\00\00\c0\e6\0b\b9\36\d7\07\8f\a1\00\00\00\00\00\00\00\b0"
  "\df\4e\67\04\cd\c9\f2\c9\00\00\00\00\00\00\00\5c\97\22\81\45\40\7c\6f\fc\00\00\00\00\00\00\00\b3"
  "\9e\b5\70\2b\a8\ad\c5\9d\00\00\00\00\00\00\e0\0f\06\e3\4c\36\12\19\37\c5\00\00\00\00\00\00\d8\93"
  "\c7\1b\e0\c3\56\df\84\f6\00\00\00\00\00\00\ce\38\5d\11\6c\3a\96\0b\13\9a\00\00\00\00\00\c0\80\c3"
  "\b4\15\07\c9\7b\ce\97\c0\00\00\00\00\00\f0\60\b4\21\db\48\bb\1a\c2\bd\f0\00\00\00\00\00\2c\79\e1"
  "\f5\88\0d\b5\50\99\76\96\00\00\00\00\80\bb\eb\ec\32\eb\50\e2\a4\3f\14\bc\00\00\00\00\60\aa\26\e8"
  "\fe\25\e5\1a\8e\4f\19\eb\00\00\00\00\f8\54\30\a2\bf\37\cf\d0\b8\d1\ef\92\00\00\00\00\1b\35\5e\a5"
  "\ae\05\03\05\27\c6\ab\b7\00\00\00\c0\61\c2\b5\0e\1a\c7\43\c6\b0\b7\96\e5\00\00\00\30\fa\32\63\92"
  "\70\5c\ea\7b\ce\32\7e\8f\00\00\00\5e\dc\ff\7d\1b\8c\f3\e4\1a\82\bf\5d\b3\00\00\80\75\d3\7f\5d\22"
  "\6f\30\9e\a1\62\2f\35\e0\00\00\e0\52\c8\df\f4\2a\46\de\02\a5\9d\3d\21\8c\00\00\cc\33\dd\0b\d9\ba"
  "\d7\95\43\0e\05\8d\29\af\00\00\bf\80\d4\4e\8f\69\4d\7b\d4\51\46\f0\f3\da\00\c0\ee\a0\89\22\f3\c3"
  "\10\cd\24\f3\2b\76\d8\88\00\38\95\04\96\f5\77\5a\54\00\ee\ef\b6\93\0e\ab\00\86\ba\85\fb\f2\15\71"
  "\69\80\e9\ab\a4\38\d2\d5\80\27\29\67\ba\6f\5b\8d\42\f0\71\eb\66\63\a3\85\b0\b8\79\80\d4\25\59\b8"
  "\52\6c\4e\a6\40\3c\0c\a7\dc\26\98\a0\49\6f\6f\66\66\07\e2\cf\50\4b\cf\d0\93\30\be\08\1c\4b\0b\00"
  "\a0\44\ed\81\12\8f\81\82\5b\de\76\85\f1\0e\07\40\c8\95\68\22\d7\f2\21\a3\f2\95\d4\e6\ad\d2\08\50"
  "\3a\bb\02\eb\8c\6f\ea\cb\6f\bb\89\60\59\07\0b\64\09\6a\c3\25\70\0b\e5\fe\4b\2a\ac\b8\2f\c9\0d\fd"
  "\46\22\9a\17\26\27\4f\9f\6f\9a\6b\d3\bd\9d\28\fe\d7\aa\80\9d\ef\f0\22\c7\0a\81\46\48\2d\c5\b2\bd"
  "\8c\d5\e0\84\2b\ad\eb\f8\4d\21\58\9a\78\76\1f\2d\78\85\0c\33\3b\4c\93\9b\d0\14\77\60\0b\aa\33\9c"
  "\d6\a6\cf\ff\49\1f\78\c2\04\da\94\38\8e\94\40\c3\8b\90\c3\7f\1c\27\16\f3\85\10\ba\c6\b1\b9\10\74"
  "\57\3a\da\cf\71\d8\ed\97\53\4a\34\1c\0f\74\8a\68\ed\c8\d0\43\8e\4e\e9\bd\e8\5c\41\e3\12\11\ad\c2"
  "\28\fb\c4\d4\31\a2\63\ed\22\b4\11\9c\57\55\58\b3\f9\1c\fb\24\5f\45\5e\94\95\10\8b\c1\56\35\17\70"
  "\37\e4\39\ee\b6\d6\75\b9\bb\d4\ed\71\ac\02\1d\4c\45\5d\c8\a9\64\4c\d3\e7\e9\49\69\8e\57\43\24\9f"
  "\4b\3a\1d\ea\be\0f\e4\90\32\ce\01\b9\16\aa\76\43\de\88\a4\a4\ae\13\1d\b5\be\41\42\67\9c\54\54\94"
  "\15\ab\cd\4d\9a\58\64\e2\2e\d2\12\81\c3\69\69\39\ed\8a\a0\70\60\b7\7e\8d\5d\c3\ab\30\1a\e2\e1\03"
  "\a9\ad\c8\8c\38\65\de\b0\34\b4\d6\bc\a0\5a\da\c4\13\d9\fa\af\86\fe\15\dd\41\61\0c\ec\48\f1\10\b6"
  "\ac\c7\fc\2d\14\bf\2d\8a\c8\bc\87\93\cd\96\ca\91\97\f9\7b\39\d9\2e\b9\ac\fb\ab\69\f8\80\3c\3d\b6"
  "\fc\f7\da\87\8f\7a\e7\d7\f9\16\84\36\a1\8b\cc\23\fe\da\e8\b4\99\ac\f0\86\5c\8e\12\c2\44\d7\5f\96"
  "\bd\11\23\22\c0\d7\ac\a8\f3\31\97\f2\15\cd\f7\3b\2c\d6\ab\2a\b0\0d\d8\d2\6f\fe\3c\6f\5b\c0\f5\0a"
  "\dc\65\ab\1a\8e\08\c7\83\05\1f\86\25\39\98\d9\86\53\3f\56\a1\b1\ca\b8\a4\c7\a6\e7\6e\47\fe\8f\a8"
  "\27\cf\ab\09\5e\fd\e6\cd\79\90\a1\4a\d9\fd\b3\12\79\61\0b\c6\5a\5e\b0\80\4b\fa\a4\ce\a7\7e\b0\ab"
  "\d7\39\8e\77\f1\75\dc\a0\de\38\4e\c2\51\9e\9c\96\4d\c8\71\d5\6d\93\13\c9\16\c7\e1\32\e6\c5\43\fc"
  "\60\3a\ce\4a\49\78\58\fb\dc\38\9a\bf\5f\b7\54\fb\7c\e4\c0\ce\2d\4b\17\9d\89\63\c0\d7\9b\f2\14\9d"
  "\9b\1d\71\42\f9\1d\5d\c4\6b\7c\b0\cd\42\2f\5a\c4\01\65\0d\93\77\65\74\f5\86\9b\1c\81\13\bb\70\35"
  "\21\5f\e8\bb\6a\bf\68\99\34\e1\b1\30\ec\74\66\81\e9\76\e2\6a\45\ef\c2\bf\81\59\de\3c\27\12\c0\61"
  "\a3\14\9b\c5\16\ab\b3\ef\e1\ef\15\0c\b1\16\30\3a\e6\ec\80\3b\ee\4a\d0\95\ed\b5\8d\a7\2e\0e\5e\44"
  "\20\28\61\ca\a9\5d\44\bb\68\23\71\51\ba\91\75\d5\27\72\f9\3c\14\75\15\ea\42\6c\cd\e5\28\f6\d2\0a"
  "\59\e7\1b\a6\2c\69\4d\92\a9\63\a0\8f\d9\d9\c3\a6\2f\e1\a2\cf\77\c3\e0\b6\93\7c\88\f3\4f\d0\74\90"
  "\7b\99\8b\c3\55\f4\98\e4\b8\9b\6a\f0\63\04\92\f4\ed\3f\37\9a\b5\98\df\8e\53\a1\42\76\be\42\db\b8"
  "\e8\0f\c5\00\e3\7e\97\b2\a8\49\d3\13\6e\13\12\a7\e2\53\f6\c0\9b\5e\3d\df\12\1c\c8\98\49\98\d6\d0"
  "\6d\f4\99\58\21\5b\86\8b\8b\11\7d\ff\2d\1f\86\42\88\71\c0\ae\e9\f1\67\ae\ee\55\5c\7f\f9\a6\27\13"
  "\ea\8d\70\1a\64\ee\01\da\6a\6b\33\df\b7\90\f1\17\b3\58\86\90\fe\34\41\88\22\23\80\eb\72\fa\f6\ce"
  "\df\ee\a7\34\3e\82\51\aa\ea\2b\60\a6\0f\b9\b4\42\97\ea\d1\c1\cd\e2\e5\d4\e5\36\f8\8f\53\e7\61\93"
  "\9f\32\23\99\c0\ad\0f\85\4f\22\fb\39\94\30\1d\fc\46\ff\6b\bf\30\99\53\a6\e3\ea\79\48\b9\7c\24\7b"
  "\17\ff\46\ef\7c\7f\e8\cf\9c\65\98\9a\e7\9b\ed\19\6f\5f\8c\15\ae\4f\f1\81\81\3f\9f\c0\70\81\34\b0"
  "\4a\77\ef\9a\99\a3\6d\a2\62\0f\c7\f0\cc\a1\41\1c\1d\55\ab\01\80\0c\09\cb\3a\d3\f8\2c\40\0a\52\a3"
  "\64\2a\16\02\a0\4f\cb\fd\09\08\37\38\d0\8c\26\8c\7f\da\4d\01\c4\11\9f\9e\05\65\22\23\02\18\98\d7"
  "\1e\51\a1\01\35\d6\46\c6\47\fe\ea\ab\02\1e\7e\4d\66\a5\09\42\c2\8b\d8\f7\d9\bd\e5\56\83\a5\dd\e0"
  "\60\07\46\69\59\57\e7\9a\a7\96\4f\16\72\87\8a\cc\38\89\97\c3\2f\2d\a1\c1\51\7c\e3\9b\4e\29\ad\ff"
  "\85\6b\7d\b4\7b\78\09\f2\65\5b\dc\42\a2\73\98\3f\33\63\ce\50\4d\eb\45\97\1f\b9\c9\69\45\48\bf\07"
  "\00\fc\01\a5\20\66\17\bd\67\27\3c\c4\56\1a\af\49\00\7b\42\ce\a8\3f\5d\ec\41\31\4b\75\ec\e0\1a\5c"
  "\e0\8c\e9\80\c9\47\ba\93\c8\fe\4e\c9\93\cc\90\39\18\f0\23\e1\bb\d9\a8\b8\7b\be\a2\bb\b8\ff\f4\47"
  "\1e\ec\6c\d9\2a\10\d3\e6\1a\6e\8b\ea\a6\3f\f2\59\93\13\e4\c7\1a\ea\43\90\d0\24\97\52\c8\67\37\78"
  "\78\18\dd\79\a1\e4\54\b4\04\ee\3c\67\ba\41\45\d6\95\5e\54\d8\c9\1d\6a\e1\85\29\0c\01\29\92\d6\0b"
  "\1e\bb\34\27\9e\52\e2\8c\f3\99\a7\a0\59\1b\66\e7\e5\e9\01\b1\45\e7\1a\b0\70\80\d1\08\30\a2\3f\a1"
  "\5e\64\42\1d\17\a1\21\dc\8c\e0\05\0b\bc\8a\8f\89\bb\7e\49\72\ae\04\95\89\57\ac\e3\86\b5\b6\f9\95"
  "\6a\de\db\0e\da\45\fa\ab\6d\97\9c\e8\62\24\78\fb\04\d6\92\92\50\d7\f8\d6\49\bd\c3\a2\7b\2d\56\ba"
  "\c3\c5\9b\5b\92\86\5b\86\4d\56\ba\45\6d\dc\75\f4\33\b7\82\f2\36\68\f2\a7\e1\eb\28\97\88\53\93\71"
  "\00\65\23\af\44\02\ef\d1\d9\26\f3\bc\6a\28\f8\cd\20\1f\76\ed\6a\61\35\83\47\f8\17\b6\42\19\bb\80"
  "\e8\a6\d3\a8\c5\b9\02\a4\59\f6\9d\63\93\df\e9\a0\a2\90\08\13\37\68\03\cd\f0\73\85\3c\78\57\24\c9"
  "\65\5a\e5\6b\22\21\22\80\76\68\d3\25\ab\b6\b6\3d\fe\b0\de\06\6b\a9\2a\a0\93\42\48\ef\55\64\24\0d"
  "\3e\5d\96\c8\c5\53\35\c8\38\53\1a\6b\6b\7d\6d\90\8d\f4\bb\3a\b7\a8\42\fa\06\e8\e0\45\c6\dc\88\34"
  "\d8\78\b5\84\72\a9\69\9c\04\91\ac\eb\fb\89\d5\00\0e\d7\e2\25\cf\13\84\c3\45\b5\97\e6\7a\ec\0a\01"
  "\d2\8c\5b\ef\c2\18\65\f4\96\a2\3d\a0\99\a7\4d\81\03\38\99\d5\79\2f\bf\98\9e\85\26\04\c0\88\d0\10"
  "\04\86\ff\4a\58\fb\ee\be\05\27\30\05\f0\aa\04\55\85\67\bf\5d\2e\ba\aa\ee\c7\30\7c\06\ac\d5\45\6a"
  "\b3\a0\97\fa\5c\b4\2a\95\7c\9e\0d\84\8b\a5\6b\22\e0\88\3d\39\74\61\75\ba\1b\06\11\65\ee\8e\06\6b"
  "\18\eb\8c\47\d1\b9\12\e9\a2\47\55\fe\a9\32\c8\85\ef\12\b8\cc\22\b4\ab\91\c5\4c\f5\3e\aa\1f\9d\53"
  "\ab\17\e6\7f\2b\a1\16\b6\f6\9f\b2\ce\94\67\84\a8\95\9d\df\5f\76\49\9c\e3\f4\47\5f\02\7a\81\a5\12"
  "\7e\c2\eb\fb\e9\ad\41\8e\f8\8c\7b\41\ec\70\a7\eb\1d\b3\e6\7a\64\19\d2\b1\37\70\da\51\27\4d\91\a6"
  "\e4\5f\a0\99\bd\9f\46\de\44\0c\51\26\71\a0\35\90\ef\3b\04\80\d6\23\ec\8a\ab\a7\f2\b7\46\84\21\da"
  "\ea\4a\05\20\cc\2c\a7\ad\95\51\ef\65\58\e5\a9\50\a5\9d\06\28\ff\f7\10\d9\fb\25\6b\7f\ae\5e\d4\e4"
  "\87\22\04\79\ff\9a\aa\87\bd\f7\a2\0f\2d\bb\04\6f\29\2b\45\57\bf\41\95\a9\ac\b5\8b\53\f8\e9\c5\ca"
  "\f3\75\16\2d\2f\92\fa\d3\17\a3\6e\68\76\64\77\bd\b8\09\2e\7c\5d\9b\7c\84\ee\25\45\01\ca\9e\6a\96"
  "\26\8c\39\db\34\c2\9b\a5\6a\6f\96\81\7c\46\05\bc\2f\ef\07\12\c2\b2\02\cf\44\0b\fc\a1\1b\98\06\6b"
  "\7e\f5\44\4b\b9\af\61\81\0a\87\3d\45\11\1f\e4\e2\dd\32\16\9e\a7\1b\ba\a1\cd\e8\8c\96\d5\26\9d\9b"
  "\94\bf\9b\85\91\a2\28\ca\01\23\30\fc\8a\70\84\82\79\af\02\e7\35\cb\b2\fc\c1\2b\3c\bb\ad\8c\25\a3"
  "\ac\ad\61\b0\01\bf\ef\9d\58\9b\05\95\ec\77\f7\c5\17\19\7a\1c\c2\ae\6b\c5\2f\02\47\ba\e7\55\75\f7"
  "\5c\9f\98\a3\72\9a\c6\f6\ba\c2\d8\a8\61\ab\52\75\9a\63\3f\a6\87\20\3c\9a\b4\79\87\09\1d\ab\53\c9"
  "\80\3c\cf\8f\a9\28\cb\c0\22\58\e9\4b\e4\95\a8\7b\a0\0b\c3\f3\d3\f2\fd\f0\2a\ae\e3\5e\5d\bb\92\9a"
  "\44\e7\59\78\c4\b7\9e\96\da\4c\4e\5b\1a\b5\9b\60\15\61\70\96\b5\65\46\bc\11\e0\21\f2\60\a2\c2\78"
  "\5a\79\0c\fc\22\ff\57\eb\15\58\aa\2e\f9\4a\f3\56\d9\cb\87\dd\75\ff\16\93\0d\77\2a\bd\db\0e\58\f6"
  "\cf\be\e9\54\53\bf\dc\b7\d0\14\75\ac\92\12\ee\f3\82\2e\24\2a\28\ef\d3\e5\05\5a\92\57\37\97\e9\70"
  "\11\9d\56\1a\79\75\a4\8f\43\78\bb\96\82\fe\91\06\56\44\ec\60\d7\92\8d\b3\53\56\6a\3c\23\7e\36\c8"
  "\6b\55\27\39\8d\f7\70\e0\e8\eb\84\0b\ac\1d\44\7a\63\95\b8\43\b8\9a\46\8c\71\13\33\87\8b\92\6a\6c"
  "\bc\ba\a6\54\66\41\58\af\4d\d8\ff\68\2e\37\85\c7\6b\69\d0\e9\bf\51\2e\db\61\ce\3f\03\fa\84\66\f9"
  "\e3\41\22\f2\17\f3\fc\88\fc\e0\07\42\1c\13\e0\bb\5b\d2\aa\ee\dd\2f\3c\ab\3c\d9\89\52\e3\17\d8\2a"
  "\f2\86\55\6a\d5\3b\0b\d6\8b\4f\2c\27\dc\1d\8e\75\57\74\75\62\65\05\c7\85\b6\b1\7b\98\a9\d2\78\09"
  "\6d\d1\12\bb\be\c6\38\a7\24\9e\9a\fe\53\07\d7\4b\c8\85\d7\69\6e\f8\06\d1\ad\45\41\fe\28\c9\cc\1e"
  "\9d\b3\26\02\45\5b\a4\82\8c\cb\e8\9e\b9\fd\3f\13\85\60\b0\42\16\72\4d\a3\6f\fe\a2\06\28\fd\0f\d8"
  "\a6\78\5c\d3\9b\ce\20\cc\0b\be\4b\08\72\fc\13\ce\cf\96\33\c8\42\02\29\ff\8e\ad\5e\8a\8e\fb\98\81"
  "\42\3e\20\bd\69\a1\79\9f\79\2c\7b\16\39\9d\ff\f0\d2\4d\68\2c\c4\09\58\c7\97\f7\19\5c\87\84\3f\ad"
  "\46\61\82\37\35\0c\2e\f9\7d\75\20\33\a9\65\8f\58\cc\7c\b1\42\a1\c7\bc\9b\6e\49\f4\bf\89\9f\59\77"
  "\ff\db\5d\93\89\f9\ab\c2\ca\5b\f1\2f\6c\07\30\95\ff\52\35\f8\eb\f7\56\f3\bc\b2\ed\3b\47\09\7c\fa"
  "\df\53\21\7b\f3\5a\16\98\b5\8f\74\85\cc\85\8d\3c\d7\a8\e9\59\b0\f1\1b\be\a3\b3\d1\a6\3f\e7\b0\8b"
  "\0d\13\64\70\1c\ee\a2\ed\8c\20\86\90\0f\21\9d\ee\e8\8b\3e\c6\d1\d4\85\94\57\d4\53\ba\a9\34\22\75"
  "\e2\2e\ce\37\06\4a\a7\b9\6d\c9\e8\28\d4\c1\6a\92\9a\ba\c1\c5\87\1c\11\e8\c8\fb\22\33\49\72\05\37"
  "\a1\14\99\db\d4\b1\0a\91\5d\dd\f5\bf\6d\67\63\e2\c9\59\7f\12\4a\5e\4d\b5\b4\54\f3\2f\49\41\fc\da"
  "\3b\30\1f\97\dc\b5\a0\e2\e2\29\f0\7b\9b\51\bb\d1\25\7e\73\de\a9\71\a4\8d\2d\1a\76\2d\01\13\15\a3"
  "\ae\5d\10\56\14\8e\0d\b1\b8\a0\d3\78\c1\57\da\8b\19\75\94\6b\99\f1\50\dd\e6\88\08\d7\b1\ed\d0\2e"
  "\30\c9\3c\e3\ff\96\52\8a\90\55\65\26\8f\94\42\7d\7c\fb\0b\dc\bf\3c\e7\ac\f4\aa\fe\ef\b2\39\93\9c"
  "\5b\fa\0e\d3\ef\0b\21\d8\b1\55\fe\ab\1f\08\b8\c3\79\5c\e9\e3\75\a7\14\87\8e\f5\7e\cb\13\05\53\9a"
  "\97\b3\e3\5c\53\d1\d9\a8\f2\b2\5e\be\58\c6\e7\80\7d\a0\1c\34\a8\45\10\d3\af\5f\f6\ed\ee\b7\21\e1"
  "\4e\e4\91\20\89\2b\ea\83\cd\fb\b9\54\f5\12\b5\6c\61\5d\b6\68\6b\b6\e4\a4\c0\7a\e8\a9\b2\57\e2\07"
  "\ba\f4\e3\42\06\e4\1d\ce\71\99\62\54\9f\ed\da\c9\f4\78\ce\e9\83\ae\d2\80\e6\9f\bd\94\83\d4\28\3e"
  "\31\17\42\e4\24\5a\07\a1\e0\07\ed\79\a4\09\b3\4d\fd\9c\52\1d\ae\30\49\c9\d8\49\68\98\0d\cc\1f\21"
  "\3d\44\a7\a4\d9\7c\9b\fb\4e\5c\82\fe\10\bf\67\e9\a6\8a\e8\06\08\2e\41\9d\b1\79\11\9f\6a\d7\e0\71"
  "\4f\ad\a2\08\8a\79\91\c4\1d\d8\d5\46\45\0d\59\0e\a3\58\cb\8a\ec\d7\b5\f5\24\4e\8b\98\96\50\ef\51"
  "\66\17\bf\d6\f3\a6\91\99\d6\10\57\1f\5e\92\35\53\40\dd\6e\cc\b0\10\f6\bf\0c\d5\2c\a7\f5\f6\02\e8"
  "\8f\94\8a\ff\dc\94\f3\ef\4f\0a\f8\10\b3\b4\03\22\da\9c\b6\1f\0a\3d\f8\95\71\06\9b\ea\ef\50\42\b5"
  "\10\44\a4\a7\4c\4c\76\bb\0e\c8\41\e5\2b\e5\92\62\14\55\8d\d1\5f\df\53\ea\12\3a\92\de\76\9e\37\7b"
  "\2d\55\f8\e2\9b\6b\74\92\4b\64\1b\4b\0a\c3\02\cd\78\6a\b6\db\82\86\11\b7\5e\3d\e2\dd\cc\73\43\c0"
  "\16\05\a4\92\23\e8\d5\e4\b5\cc\5a\15\c0\50\54\f0\2e\83\a6\3b\16\b1\05\8f\f1\bf\58\0d\78\b2\34\d6"
  "\f9\23\90\ca\5b\1d\c7\b2\ed\ef\ae\10\16\df\c1\8b\f7\2c\34\bd\b2\e4\78\df\e9\ab\da\94\db\56\b2\6e"
  "\1b\9c\40\b6\ef\8e\ab\8b\71\ab\08\3d\49\76\2f\e5\21\c3\d0\a3\ab\72\96\ae\4e\d6\4a\8c\db\53\7b\5e"
  "\e9\f3\c4\8c\56\0f\3c\da\e1\8b\5d\6f\d2\28\1a\36\72\18\fb\17\96\89\65\88\6d\77\9a\85\83\59\d0\81"
  "\8e\de\f9\9d\fb\eb\7e\aa\48\15\01\67\e4\6f\44\22\32\56\78\85\fa\a6\1e\d5\9a\5a\c1\80\dd\8b\d5\aa"
  "\df\35\6b\93\5c\28\33\85\a0\d8\78\70\6a\77\c5\2a\57\03\46\b8\73\f2\7f\a6\c8\0e\97\0c\45\d5\76\75"
  "\2d\84\57\a6\10\ef\1f\d0\7a\d2\bc\4f\96\8a\d4\d2\9c\b2\f6\67\6a\f5\13\82\8c\03\d6\f1\9d\d6\c4\63"
  "\43\5f\f4\01\c5\f2\98\a2\70\84\4b\6e\45\0c\b6\7c\14\77\71\42\76\2f\3f\cb\8c\65\de\c9\56\8f\e3\db"
  "\d8\d4\0d\d3\53\fb\0e\fe\ef\fe\55\7c\2c\73\dc\12\07\a5\e8\63\14\5d\c9\9e\55\bf\b5\cd\fb\c7\c9\0b"
  "\49\ce\e2\7c\59\b4\7b\c6\2a\2f\23\c1\fa\39\bc\4e\db\81\1b\dc\6f\a1\1a\f8\f5\fa\6b\71\79\48\6b\22"
  "\29\31\91\e9\e5\a4\10\9b\d9\7c\e3\e6\4b\0d\83\35\73\7d\f5\63\1f\ce\d4\c1\0f\5c\9c\e0\9e\d0\e3\02"
  "\d0\dc\f2\3c\a7\01\4a\f2\13\73\c3\98\c6\c4\9c\43\02\ca\17\86\08\41\6e\97\ec\27\7a\1f\fc\fa\41\2a"
  "\83\bc\9d\a7\4a\d1\49\bd\e7\b1\58\27\bb\79\d2\b4\a3\2b\85\51\9d\45\9c\ec\61\de\2e\f1\29\18\07\22"
  "\46\3b\f3\52\82\ab\e1\93\fc\4a\bd\36\1a\6f\44\35\18\0a\b0\e7\62\16\da\b8\bc\9d\6c\c4\e0\8a\95\c2"
  "\9e\0c\9c\a1\fb\9b\10\e7\2b\c5\87\f5\98\ed\3a\f3\e3\87\01\45\7d\61\6a\90\3a\db\74\99\7f\d4\04\d8"
  "\db\e9\41\96\dc\f9\84\b4\09\12\d2\7f\9f\09\06\4e\52\64\d2\bb\53\38\a6\e1\8c\96\c6\5f\07\8c\87\a1"
  "\b3\7e\63\55\34\e3\07\8d\17\1e\dc\9b\84\b7\f4\24\60\5e\bc\6a\01\dc\49\b0\9d\25\d3\c2\65\e5\31\6e"
  "\f8\75\6b\c5\01\53\5c\dc\04\ef\87\33\bf\5e\be\89\bb\29\63\1b\e1\b3\b9\89\62\f5\34\80\37\fb\16\56"
  "\2a\f4\3b\62\d9\20\28\ac\bb\32\42\60\05\ba\9c\ab\34\f1\ca\ba\0f\29\32\d7\6a\bf\52\b8\86\e8\83\56"
  "\c1\d6\be\d4\a9\59\7f\86\a2\b7\33\33\54\71\12\b6\71\8c\ee\49\14\30\1f\a8\8b\a5\00\40\a9\0d\97\a3"
  "\8d\2f\6a\5c\19\fc\26\d2\ee\ce\00\90\13\d1\7c\8c\b8\5d\c2\d9\8f\5d\58\83\54\81\00\3a\ac\02\ce\37"
  "\26\f5\32\d0\f3\74\2e\a4\aa\a1\80\48\57\83\c1\45\70\b2\3f\c4\30\12\3a\cd\14\ca\a0\1a\2d\e4\31\d7"
  "\86\cf\a7\7a\5e\4b\44\80\4c\7e\a4\30\9c\2e\7f\86\67\c3\51\19\36\5e\55\a0\e0\9d\cd\3c\43\fa\1e\28"
  "\41\34\a6\9f\c3\b5\6a\c8\58\05\01\0c\d4\b8\26\72\51\c1\8f\87\34\63\85\fa\ae\46\01\0f\09\67\b0\4e"
  "\d3\d8\b9\d4\00\5e\93\9c\2c\cc\60\a9\65\40\2e\91\08\4f\e8\09\81\35\b8\c3\37\ff\b8\13\7f\d0\79\f5"
  "\c9\62\62\4c\e1\42\a6\f4\05\3f\a7\d8\9e\44\d8\32\be\7d\bd\cf\cc\e9\e7\98\63\87\68\47\e3\2a\c7\7f"
  "\2d\dd\ac\03\40\e4\21\bf\3c\a9\42\19\9c\f5\b8\1f\79\14\98\04\50\5d\ea\ee\8b\53\93\1f\03\33\a7\e7"
  "\cc\0c\df\02\52\7a\52\95\37\14\bc\f3\e1\7f\c8\f0\fe\cf\96\83\e6\18\a7\ba\45\19\ab\70\da\9f\fa\2c"
  "\fe\83\7c\24\20\df\50\e9\96\df\d5\0c\d1\47\39\b8\7f\d2\cd\16\74\8b\d2\91\be\ab\05\a8\e2\cc\23\b3"
  "\1e\47\81\1c\51\2e\47\b6\ad\16\07\52\1b\c0\ec\1f\e6\98\a1\63\e5\f9\d8\e3\59\dc\88\26\22\f0\e7\a7"
  "\90\ff\44\5e\2f\9c\67\8e\b7\89\15\58\15\f6\f0\a8\74\3f\d6\35\3b\83\01\b2\25\ec\1a\ae\9a\33\2d\d3"
  "\50\cf\4b\03\0a\e4\81\de\2e\a7\a1\59\81\80\f8\07\92\61\0f\42\86\2e\11\8b\7d\08\05\d8\50\50\fb\04"
  "\f7\39\93\d2\27\7a\d5\ad\9c\4a\06\0e\65\24\3a\86\75\08\38\c7\b1\d8\4a\d9\43\dd\87\51\7e\ad\c8\e7"
  "\49\05\83\1c\6f\c7\ce\87\4a\ea\f4\f2\6e\6c\dd\70\9b\c6\a3\e3\4a\79\c2\a9\dd\24\b2\af\8a\c7\14\4d"
  "\42\b8\8c\9c\9d\17\33\d4\14\ae\9e\5b\6d\f9\59\a0\29\f3\d7\81\c2\ee\9f\84\cc\2c\43\59\e4\3b\38\24"
  "\f4\ef\4d\22\73\ea\c7\a5\ff\f7\93\6f\dd\4a\46\ed\f0\6b\e1\ea\0f\e5\39\cf\ff\f5\78\cb\94\dd\97\28"
  "\76\e3\cc\f2\29\2f\84\81\bf\99\2b\ff\7c\ea\5e\19\54\1c\80\6f\f4\3a\e5\a1\2f\80\f6\3e\1c\a5\b6\9f"
  "\69\23\60\8b\b1\89\5e\ca\3b\20\b4\4e\63\4e\a4\c7\43\2c\38\ee\1d\2c\f6\fc\4a\28\61\22\fc\61\8d\b9"
  "\aa\1b\e3\b4\92\db\19\9e\2e\b9\7c\95\3d\5d\f8\93\94\e2\1b\62\77\52\a0\c5\7a\e7\db\fa\8c\74\f6\38"
  "\39\db\a2\3a\15\67\08\f7\58\e1\92\39\b0\11\34\47\04\c9\a5\44\6d\40\65\9a\d7\cc\fb\23\0e\8b\80\8c"
  "\45\3b\cf\95\88\90\fe\c0\0d\c0\fa\ac\d1\ad\a0\af\16\0a\43\bb\aa\34\3e\f1\10\70\39\18\46\d9\88\9b"
  "\4e\e6\09\b5\ea\e0\c6\96\0a\e6\23\cf\cb\87\35\a1\e1\5f\4c\62\25\99\78\bc\8d\df\ec\c2\be\e9\82\49"
  "\d9\77\df\ba\6e\bf\96\eb\70\17\a8\73\2e\a4\e3\1b\e8\aa\cb\34\a5\37\3e\93\a6\0e\49\08\9d\46\6e\71"
  "\a2\95\fe\81\8e\c5\0d\b8\4f\52\5b\4a\44\d8\c9\8d\0a\3b\7e\22\f2\36\11\e6\e3\26\f2\5c\55\4e\3c\31"
  "\e7\e4\8e\55\57\c2\ca\8f\4e\58\17\5a\f5\b0\c5\de\20\9e\f2\2a\ed\72\bd\b3\62\2e\9d\b0\32\1d\77\56"
  "\a8\45\af\75\a8\cf\ac\e0\fa\79\c4\5c\7f\e4\14\6c\89\8b\8d\49\c9\01\6c\8c\3c\cc\fa\99\cf\0e\8d\43"
  "\6b\ee\f0\9b\3b\02\87\af\4b\7f\79\80\83\52\70\14\06\2a\ed\82\ca\c2\68\db\1e\df\97\60\24\67\8c\59"
  "\44\3a\d4\91\be\79\21\89\73\eb\5e\bc\76\c0\f7\77\d5\48\49\36\2e\d8\69\ab\4f\a6\76\6b\94\b0\f5\95"
  "\0a\9b\db\c3\39\4e\44\d6\e3\4f\54\86\b9\1c\73\7b\e6\40\69\1a\e4\b0\ea\85\ee\b1\f4\f3\f3\f1\27\0d"
  "\20\91\03\21\1d\5d\65\a7\6a\de\f1\f0\70\ee\71\90\68\75\44\69\64\b4\3e\d1\04\56\2e\2d\0d\6a\8e\b4"
)
