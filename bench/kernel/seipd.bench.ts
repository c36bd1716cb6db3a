/** Sealing and opening a chunk, with both ciphers and several sizes of chunks. */
import { randomBytes } from 'node:crypto'
import { test } from 'vitest'
import { TAG_BYTES } from '../../src/encrypt/segment-layout.ts'
import { deriveSegmentKey, openChunk, sealChunk } from '../../src/encrypt/seipd.ts'
import { KIB } from '../../src/units.ts'

for (const aead of ['ocb', 'gcm'] as const) {
  for (const [chunkOctet, bytes] of [
    [10, 64 * KIB],
    [12, 256 * KIB],
    [14, 1024 * KIB],
  ] as const) {
    const key = deriveSegmentKey(randomBytes(32), { aead, chunkOctet, salt: randomBytes(32) })
    const plain = randomBytes(bytes)
    const sealed = new Uint8Array(bytes + TAG_BYTES)
    const opened = new Uint8Array(bytes)
    sealChunk(key, { index: 7, input: plain, out: sealed })

    test(`${aead}, chunks of ${bytes / KIB} KiB`, async ({ bench }) => {
      await bench.compare(
        bench('seal', () => sealChunk(key, { index: 7, input: plain, out: sealed })),
        bench('open', () => openChunk(key, { index: 7, input: sealed, out: opened })),
      )
    })
  }
}
