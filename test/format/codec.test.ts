/** Both codecs: every size, and every frame that is not exactly one frame of the right size. */

import { describe, expect, it } from 'vitest'
import { compress as zstd } from 'zstd-napi'
import { makeCompressor, makeDecompressor, packedBound } from '../../src/format/codec.ts'
import { CODEC_LEVELS } from '../../src/format/codec-levels.ts'
import { outlineXz } from '../../src/format/xz-stream.ts'
import { run } from '../../src/system/run.ts'
import { MIB } from '../../src/units.ts'
import { handMade, pattern } from '../vectors/cases.ts'

const CODECS = ['zstd', 'xz'] as const

function pack(codec: (typeof CODECS)[number], raw: Uint8Array, level?: number): Uint8Array {
  const out = new Uint8Array(packedBound(raw.length))
  const length = makeCompressor(codec, level ?? CODEC_LEVELS[codec].default).compress(raw, out)
  return out.subarray(0, length)
}

function unpack(codec: (typeof CODECS)[number], packed: Uint8Array, bytes: number): Buffer {
  const out = Buffer.alloc(bytes)
  makeDecompressor(codec).decompress(packed, out)
  return out
}

describe.each(CODECS)('%s', (codec) => {
  it.each([1, 255, 256, 257, 65_535, 65_791, 65_792, MIB + 1, 4 * MIB])(
    'gives %i bytes back, noise and zeros',
    (bytes) => {
      for (const raw of [pattern(bytes, 1), Buffer.alloc(bytes)]) {
        const packed = pack(codec, raw)
        expect(packed.length).toBeLessThanOrEqual(packedBound(bytes))
        expect(unpack(codec, packed, bytes).equals(raw)).toBe(true)
      }
    },
  )

  it('is what the tool of that name reads', async () => {
    const raw = pattern(100_000, 2)
    const argv = [codec, '-d', '-c'] as const
    const { stdout } = await run([...argv], {
      stdin: pack(codec, Buffer.from(raw.toString('hex'))),
    })
    expect(stdout).toBe(raw.toString('hex'))
  })

  it.each([
    ['a size too small', 999],
    ['a size too large', 1_001],
  ])('refuses %s', (_, bytes) => {
    expect(() => unpack(codec, pack(codec, pattern(1_000, 1)), bytes)).toThrow(
      /decompressing a frame/,
    )
  })

  it.each([
    ['bytes behind it', (one: Buffer) => Buffer.concat([one, Buffer.alloc(4)])],
    ['one byte behind it', (one: Buffer) => Buffer.concat([one, Buffer.alloc(1)])],
    ['the end cut off', (one: Buffer) => one.subarray(0, -4)],
    ['nothing at all', () => Buffer.alloc(0)],
    ['a few bytes', (one: Buffer) => one.subarray(0, 5)],
    ['another start', (one: Buffer) => one.fill(0, 0, 1)],
  ])('refuses a frame with %s', (_, bend) => {
    const packed = Buffer.from(pack(codec, pattern(1_000, 1)))
    expect(() => unpack(codec, bend(packed), 1_000)).toThrow(/decompressing a frame/)
  })

  it('refuses two frames that give the right size together', () => {
    const raw = pattern(1_000, 1)
    const two = Buffer.concat([pack(codec, raw.subarray(0, 400)), pack(codec, raw.subarray(400))])
    expect(() => unpack(codec, two, 1_000)).toThrow(/decompressing a frame/)
  })

  it('works again after a failure', () => {
    const decompressor = makeDecompressor(codec)
    const raw = pattern(1_000, 1)
    const packed = pack(codec, raw)
    const damaged = Buffer.from(packed).fill(0xff, 20, 40)
    const out = Buffer.alloc(1_000)
    expect(() => decompressor.decompress(damaged.subarray(1), out)).toThrow()
    decompressor.decompress(packed, out)
    expect(out.equals(raw)).toBe(true)
  })
})

describe('zstd alone', () => {
  it.each([-7, 1, 19, 22])('level %i keeps to a window of 8 MiB', (level) => {
    const raw = pattern(4 * MIB, 3)
    expect(unpack('zstd', pack('zstd', raw, level), raw.length).equals(raw)).toBe(true)
  })

  it.each([
    ['no content size', zstd(pattern(1_000, 1), { contentSizeFlag: false }), /another size/],
    ['a dictionary', handMade(pattern(1_000, 1), { descriptor: 0x81, window: 0x20 }), /dictionary/],
    [
      'a window of 9 MiB',
      handMade(pattern(1_000, 1), { descriptor: 0x80, window: 0x69 }),
      /window/,
    ],
    ['a skippable frame', Buffer.from('502a4d1804000000000000000000', 'hex'), /not a frame/],
  ])('refuses %s', (_, packed, message) => {
    expect(() => unpack('zstd', packed, 1_000)).toThrow(message)
  })

  it('takes a window of 8 MiB', () => {
    const raw = pattern(1_000, 1)
    const packed = handMade(raw, { descriptor: 0x80, window: 0x68 })
    expect(unpack('zstd', packed, 1_000).equals(raw)).toBe(true)
  })
})

describe('the outline of an xz stream', () => {
  it('has the sizes that the stream has', () => {
    const packed = pack('xz', pattern(70_000, 1))
    expect(outlineXz(packed)).toEqual({ streamBytes: packed.length, rawBytes: 70_000 })
  })

  it('is that of the last stream alone', () => {
    const [one, two] = [pack('xz', pattern(100, 1)), pack('xz', pattern(200, 1))]
    const outline = outlineXz(Buffer.concat([one, two]))
    expect(outline).toEqual({ streamBytes: two.length, rawBytes: 200 })
  })

  it('does not exist for other bytes', () => {
    expect(outlineXz(Buffer.alloc(64))).toBeUndefined()
    const packed = Buffer.from(pack('xz', pattern(100, 1)))
    // An index that claims to be larger than the file.
    packed.writeUInt32LE(0x00ffffff, packed.length - 8)
    expect(outlineXz(packed)).toBeUndefined()
  })
})
