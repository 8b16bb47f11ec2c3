;; batch.wat: wse_transform_batch, made of the plugin's (func $transform (param $ptr i32) (param $len i32) (result i64)).
;;
;;   in   u32 n, then n × {u32 length, bytes}
;;   out  u32 n, then n × {u32 tag, u32 length, bytes}; tags 0 NO, 1 YES, 2 DATA, 3 ERROR
;;
;; Each answer is written where it stays: $base moves on, so that to $transform every answer begins at 0.

(func $wse_transform_batch (export "wse_transform_batch") (param $len i32) (result i64)
  (local $p i32) (local $n i32) (local $size i32) (local $head i32) (local $answer i64)
  (if (i32.eqz (call $ready (local.get $len))) (then (return (call $error_code (i32.const 2)))))
  (if (i32.eqz (call $batch_is_whole (global.get $input) (local.get $len))) (then (return (global.get $CUT_SHORT))))
  (local.set $n (i32.load align=1 (global.get $input)))
  (local.set $p (i32.add (global.get $input) (i32.const 4)))
  (call $put_u32 (local.get $n))
  (block $done
    (loop $event
      (br_if $done (i32.eqz (local.get $n)))
      ;; the event's length, and the event
      (local.set $size (i32.load align=1 (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      ;; room for the tag and the length of its answer, and then the answer
      (local.set $head (call $mark))
      (call $put_u32 (i32.const 0))
      (call $put_u32 (i32.const 0))
      (br_if $done (global.get $full))
      (global.set $base (call $mark))
      (local.set $answer (call $transform (local.get $p) (local.get $size)))
      (if (i32.eqz (call $settle (local.get $head) (local.get $answer))) (then (return (local.get $answer))))
      (br_if $done (global.get $full)) ;; the batch as a whole: one by one, each answer may fit
      (local.set $p (i32.add (local.get $p) (local.get $size)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $event)))
  (call $result))

;; batch_is_whole says whether the lengths in a batch are those of whole documents. All are looked at before the first is
;; served, so that half a batch leaves no trace.
(func $batch_is_whole (param $p i32) (param $left i32) (result i32)
  (local $n i32) (local $size i32)
  (if (i32.lt_u (local.get $left) (i32.const 4)) (then (return (i32.const 0))))
  (local.set $n (i32.load align=1 (local.get $p)))
  (local.set $p (i32.add (local.get $p) (i32.const 4)))
  (local.set $left (i32.sub (local.get $left) (i32.const 4)))
  (block $counted
    (loop $document
      (br_if $counted (i32.eqz (local.get $n)))
      (if (i32.lt_u (local.get $left) (i32.const 4)) (then (return (i32.const 0))))
      (local.set $size (i32.load align=1 (local.get $p)))
      (local.set $left (i32.sub (local.get $left) (i32.const 4)))
      (if (i32.lt_u (local.get $left) (local.get $size)) (then (return (i32.const 0))))
      (local.set $p (i32.add (i32.add (local.get $p) (i32.const 4)) (local.get $size)))
      (local.set $left (i32.sub (local.get $left) (local.get $size)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $document)))
  (i32.eqz (local.get $left)))

;; settle makes an answer what has been written since $base, and its tag and length the head at the mark `head`; 0 where it
;; is no answer.
(func $settle (param $head i32) (param $answer i64) (result i32)
  (local $tag i32) (local $len i32) (local $ptr i32)
  (local.set $len (i32.wrap_i64 (local.get $answer)))
  (local.set $ptr (i32.and (call $ptr_of (local.get $answer)) (i32.const 0x7fff_ffff)))
  (local.set $tag (select (i32.const 3) (i32.const 2) (i64.lt_s (local.get $answer) (i64.const 0))))
  (block $settled
    (if (i64.le_u (local.get $answer) (global.get $YES)) ;; NO and YES have no bytes, and themselves for a tag
      (then
        (local.set $tag (local.get $len))
        (local.set $len (i32.const 0))
        (call $reset (i32.const 0))
        (br $settled)))
    (if (i32.eqz (local.get $ptr)) ;; an error's number becomes a text
      (then
        (if (i32.ne (local.get $tag) (i32.const 3)) (then (return (i32.const 0))))
        (call $reset (i32.const 0))
        (call $put (global.get $ERROR_))
        (call $put_int (i64.extend_i32_u (local.get $len)))
        (local.set $len (call $mark))
        (br $settled)))
    (call $reset (i32.const 0))
    (br_if $settled (i32.eqz (call $room (local.get $len))))
    (if (i32.ne (local.get $ptr) (global.get $pos)) ;; else it lies where it belongs
      (then (memory.copy (global.get $pos) (local.get $ptr) (local.get $len))))
    (call $reset (local.get $len)))
  (global.set $base (i32.const 0))
  (call $patch_u32 (local.get $head) (local.get $tag))
  (call $patch_u32 (i32.add (local.get $head) (i32.const 4)) (local.get $len))
  (i32.const 1))
