;; Spin's key-value store where there is none: no store can be opened, and so none can be used.
(component
  (core module $module
    (memory (export "memory") 1)
    ;; Nothing of what is written here is ever read.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    ;; At 16 lies the error: its tag, and that of `no-such-store`.
    (data (i32.const 16) "\01\00\00\00\01\00\00\00")
    (func (export "open") (param i32 i32) (result i32) (i32.const 16))
    (func (export "get") (param i32 i32 i32) (result i32) unreachable)
    (func (export "set") (param i32 i32 i32 i32 i32) (result i32) unreachable))
  (core instance $core (instantiate $module))
  (alias core export $core "memory" (core memory $memory))
  (alias core export $core "realloc" (core func $realloc))

  (type $store (resource (rep i32)))
  (type $error (variant (case "store-table-full") (case "no-such-store") (case "access-denied")
    (case "other" string)))
  (func $open async (param "label" string) (result (result (own $store) (error $error)))
    (canon lift (core func $core "open") (memory $memory) (realloc $realloc)))
  (func $get async (param "self" (borrow $store)) (param "key" string)
    (result (result (option (list u8)) (error $error)))
    (canon lift (core func $core "get") (memory $memory) (realloc $realloc)))
  (func $set async (param "self" (borrow $store)) (param "key" string) (param "value" (list u8))
    (result (result (error $error)))
    (canon lift (core func $core "set") (memory $memory) (realloc $realloc)))

  ;; A component has to export its types under names; the inner component gives them theirs.
  (component $names
    (import "t-store" (type $store (sub resource)))
    (type $e (variant (case "store-table-full") (case "no-such-store") (case "access-denied")
      (case "other" string)))
    (import "t-error" (type $error (eq $e)))
    (import "f-open" (func $open async (param "label" string)
      (result (result (own $store) (error $error)))))
    (import "f-get" (func $get async (param "self" (borrow $store)) (param "key" string)
      (result (result (option (list u8)) (error $error)))))
    (import "f-set" (func $set async (param "self" (borrow $store)) (param "key" string)
      (param "value" (list u8)) (result (result (error $error)))))
    (export $store' "store" (type $store))
    (export $error' "error" (type $error))
    (export "[static]store.open" (func $open) (func async (param "label" string)
      (result (result (own $store') (error $error')))))
    (export "[method]store.get" (func $get) (func async (param "self" (borrow $store'))
      (param "key" string) (result (result (option (list u8)) (error $error')))))
    (export "[method]store.set" (func $set) (func async (param "self" (borrow $store'))
      (param "key" string) (param "value" (list u8)) (result (result (error $error'))))))
  (instance $key-value (instantiate $names
    (with "t-store" (type $store))
    (with "t-error" (type $error))
    (with "f-open" (func $open))
    (with "f-get" (func $get))
    (with "f-set" (func $set))))
  (export "spin:key-value/key-value@3.0.0" (instance $key-value)))
