/**
 * BLAKE3, the digest of blocks, frames and index parts.
 *
 * 1. One place that loads the native package (CommonJS, so its names come at load time).
 * 2. Views of shared memory are taken as they are: nothing is copied.
 * 3. About 5 GiB a second and core; SHA-256 stays for what other tools compare.
 */
import { createRequire } from 'node:module'

const native: typeof import('@napi-rs/blake-hash') = createRequire(import.meta.url)(
  '@napi-rs/blake-hash',
)

/** 32 bytes; `bytes` may be a view of shared memory. */
export function blake3(bytes: Uint8Array): Buffer {
  return native.blake3(bytes)
}

/** The check sum in the header of `manifest.json.sig` and `keys.pgp`: 120 bits, in hex. */
export function memberChecksum(bytes: Uint8Array): string {
  return blake3(bytes).toString('hex').slice(0, 30)
}
