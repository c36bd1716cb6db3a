/** Digesting and decompressing one frame of the default size, of text that is on every machine. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'vitest'
import { makeCompressor, makeDecompressor, packedBound } from '../../src/format/codec.ts'
import { blake3 } from '../../src/format/digest.ts'
import { MIB } from '../../src/units.ts'

/** Real program text, repeated to the size of a frame. */
const sample = readFileSync(process.execPath).subarray(0, MIB)
const raw = Buffer.concat([sample, sample, sample, sample])
const blocks = randomBytes(MIB)

test('digest of 1 MiB', async ({ bench }) => {
  await bench('blake3', () => void blake3(blocks)).run()
})

test('decode of a frame of 4 MiB', async ({ bench }) => {
  const out = new Uint8Array(raw.length)
  const decoders = (
    [
      ['zstd', 3],
      ['zstd', 19],
      ['xz', 6],
    ] as const
  ).map(([codec, level]) => {
    const packed = new Uint8Array(packedBound(raw.length))
    const length = makeCompressor(codec, level).compress(raw, packed)
    const decoder = makeDecompressor(codec)
    return bench(`${codec} ${level}`, () => decoder.decompress(packed.subarray(0, length), out))
  })
  await bench.compare(...decoders)
})
