/** Choice of the build of LiteRT that this browser can run; the page and the service worker must agree. */

export type RuntimeName = "litert_wasm_internal" | "litert_wasm_compat_internal" | "litert_wasm_threaded_internal";

/** (module (func (result v128) i32.const 1 i8x16.splat i32.const 2 i8x16.splat i8x16.relaxed_swizzle)) */
const RELAXED_SIMD = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253,
  128, 2, 11,
]);

/** The build for one thread: Safari lacks relaxed SIMD, which makes float models faster. */
export function singleThreaded(): RuntimeName {
  return WebAssembly.validate(RELAXED_SIMD) ? "litert_wasm_internal" : "litert_wasm_compat_internal";
}

/** The build for several threads; undefined if the browser does not support them. */
export function multiThreaded(): RuntimeName | undefined {
  const possible = globalThis.crossOriginIsolated && WebAssembly.validate(RELAXED_SIMD);
  return possible ? "litert_wasm_threaded_internal" : undefined;
}
