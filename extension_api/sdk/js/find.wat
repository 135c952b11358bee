;; `find` of prelude.js: where a byte lies in the frame, sixteen bytes at a time. JavaScript has no such instructions, and
;; four bytes at a time is the most that it can look at. scripts/generate_sdk.py puts the assembled bytes into the prelude.
(module
  (import "frame" "memory" (memory 1 256 shared)) ;; longer than any item by the area of the result: 15 bytes behind are there
  (func (export "find") (param $at i32) (param $stop i32) (param $byte i32) (result i32)
    (local $wanted v128) (local $found i32)
    (local.set $wanted (i8x16.splat (local.get $byte)))
    (loop $next
      (if (i32.ge_s (local.get $at) (local.get $stop)) (then (return (i32.const -1))))
      (local.set $found (i8x16.bitmask (i8x16.eq (v128.load align=1 (local.get $at)) (local.get $wanted))))
      (if (local.get $found) (then
        (local.set $at (i32.add (local.get $at) (i32.ctz (local.get $found))))
        (return (select (local.get $at) (i32.const -1) (i32.lt_s (local.get $at) (local.get $stop))))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br $next))
    (unreachable)))
