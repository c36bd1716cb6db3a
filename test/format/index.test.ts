/** Indexes: what is written is read back; every structure that is not allowed is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Extent,
  type ExtentKind,
  encodeBlocks,
  encodeContent,
  type Frame,
  type PayloadIndex,
  parseBlocks,
  parseContent,
} from '../../src/format/index.ts'
import { MIB } from '../../src/units.ts'

const KINDS: readonly ExtentKind[] = ['data', 'zero', 'unused']
const digest = (n: number): Buffer => Buffer.alloc(32, n)

/** Extents of any kinds and lengths; data cut into frames of at most `frameBytes`. */
function indexOf(parts: readonly { kind: number; length: number }[], frameBytes: number) {
  const extents: Extent[] = []
  const frames: Frame[] = []
  let at = 0
  for (const { kind, length } of parts) {
    const name = KINDS[kind] ?? 'data'
    extents.push({ offset: at, length, kind: name })
    for (let done = 0; name === 'data' && done < length; done += frameBytes) {
      const rawLength = Math.min(frameBytes, length - done)
      const packedLength = Math.max(1, rawLength - 1)
      frames.push({ rawOffset: at + done, rawLength, packedLength, digest: digest(frames.length) })
    }
    at += length
  }
  const segmentFrames = frames.length === 0 ? [] : [1, frames.length - 1].filter((n) => n > 0)
  return { rawBytes: at, extents, frames, segmentFrames }
}

const part = fc.record({ kind: fc.nat(2), length: fc.integer({ min: 1, max: 20 * MIB }) })

describe('content part', () => {
  it('is read back', () => {
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 9 }),
        fc.integer({ min: MIB, max: 4 * MIB }),
        (parts, frameBytes) => {
          const index = indexOf(parts, frameBytes)
          expect(parseContent(encodeContent(index), 'root')).toEqual(index)
        },
      ),
    )
  })

  it('has the bytes of the specification', () => {
    const index = indexOf(
      [
        { kind: 0, length: 5 },
        { kind: 1, length: 3 },
      ],
      4 * MIB,
    )
    const bytes = encodeContent(index)
    expect(bytes.length).toBe(32 + 2 * 24 + 48 + 4)
    expect(bytes.toString('latin1', 0, 8)).toBe('OSFIDX01')
    expect(bytes.readBigUInt64LE(8)).toBe(8n)
    expect([16, 20, 24, 28].map((at) => bytes.readUInt32LE(at))).toEqual([2, 1, 1, 0])
    expect(bytes.readBigUInt64LE(32 + 24)).toBe(5n)
    expect(bytes.readUInt32LE(32 + 24 + 16)).toBe(1)
    expect(bytes.readUInt32LE(32 + 48 + 12)).toBe(4)
    expect(bytes.readUInt32LE(32 + 48 + 48)).toBe(1)
  })

  it('is never accepted with a bit of its structure flipped into another meaning', () => {
    const index = indexOf(
      [
        { kind: 0, length: 9 * MIB },
        { kind: 1, length: MIB },
        { kind: 0, length: MIB },
      ],
      4 * MIB,
    )
    const bytes = encodeContent(index)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (byte, bit) => {
        const flipped = Buffer.from(bytes)
        flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << bit), byte)
        let parsed: PayloadIndex
        try {
          parsed = parseContent(flipped, 'root')
        } catch (error) {
          expect(error).toMatchObject({ name: 'OsflashError' })
          return
        }
        // Kinds, packed lengths, digests may change; every place stays as it was.
        expect(parsed.rawBytes).toBe(index.rawBytes)
        expect(parsed.extents.map(({ offset }) => offset)).toEqual([0, 9 * MIB, 10 * MIB])
        expect(parsed.frames.map(({ rawOffset }) => rawOffset)).toEqual(
          index.frames.map(({ rawOffset }) => rawOffset),
        )
      }),
      { numRuns: 2_000 },
    )
  })

  const usual = indexOf(
    [
      { kind: 0, length: 6 * MIB },
      { kind: 1, length: MIB },
    ],
    4 * MIB,
  )
  const [first, second] = usual.frames
  const [data, zero] = usual.extents
  if (!first || !second || !data || !zero) throw new Error('no index')
  const frames = (...changed: Frame[]): PayloadIndex => ({ ...usual, frames: changed })
  const extents = (...changed: Extent[]): PayloadIndex => ({ ...usual, extents: changed })

  it.each([
    [
      'a gap between extents',
      extents(data, { ...zero, offset: zero.offset + 1 }),
      /gap or overlap/,
    ],
    ['extents that overlap', extents(data, { ...zero, offset: zero.offset - 1 }), /gap or overlap/],
    ['extents out of order', extents(zero, data), /gap or overlap/],
    ['an empty extent', extents({ ...zero, offset: 0, length: 0 }, data, zero), /gap or overlap/],
    ['a first extent behind byte 0', extents({ ...data, offset: 1 }, zero), /gap or overlap/],
    [
      'a sum that is not the payload',
      { ...usual, rawBytes: 8 * MIB },
      /do not add up to the payload/,
    ],
    ['data without its frame', frames(first), /frame 1 is not where/],
    ['a frame twice', frames(first, first), /frame 1 is not where/],
    [
      'a frame too many',
      frames(first, second, { ...second, rawOffset: 6 * MIB }),
      /frames do not add up/,
    ],
    [
      'a frame across its extent',
      frames(first, { ...second, rawLength: 3 * MIB }),
      /frame 1 is not where/,
    ],
    ['an empty frame', frames(first, { ...second, rawLength: 0 }), /it is empty/],
    ['a frame without packed bytes', frames(first, { ...second, packedLength: 0 }), /it is empty/],
    [
      'a frame packed larger',
      frames(first, { ...second, packedLength: 2 * MIB + 65_537 }),
      /more than any codec/,
    ],
    ['a segment without frames', { ...usual, segmentFrames: [2, 0] }, /frames do not add up/],
    ['segments with another sum', { ...usual, segmentFrames: [1] }, /frames do not add up/],
  ])('refuses %s', (_, index, message) => {
    expect(() => parseContent(encodeContent(index), 'root')).toThrow(message)
    expect(() => parseContent(encodeContent(index), 'root')).toThrow(/index of payload root/)
  })

  it('refuses a frame of more than 4 MiB by its limit', () => {
    const index = indexOf([{ kind: 0, length: 4 * MIB + 1 }], 5 * MIB)
    expect(() => parseContent(encodeContent(index), 'root')).toThrow(
      /over the limit of frameRawBytes/,
    )
  })

  it.each([
    ['shorter', (bytes: Buffer) => bytes.subarray(0, -1), /counts do not fit/],
    ['longer', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(4)]), /counts do not fit/],
    ['of another version', (bytes: Buffer) => bytes.fill('2', 7, 8), /not an index/],
    ['almost empty', (bytes: Buffer) => bytes.subarray(0, 31), /not an index/],
    ['with a reserved field', (bytes: Buffer) => bytes.fill(1, 28, 29), /counts do not fit/],
    ['with extents of an unknown kind', (bytes: Buffer) => bytes.fill(3, 48, 49), /unknown kind/],
    ['with a size past 2^53', (bytes: Buffer) => bytes.fill(0xff, 8, 16), /a number is too large/],
    ['with too many frames', (bytes: Buffer) => bytes.fill(0xff, 20, 24), /limit of frames/],
    ['with too many extents', (bytes: Buffer) => bytes.fill(0xff, 16, 20), /limit of extents/],
    ['with too many segments', (bytes: Buffer) => bytes.fill(0xff, 24, 28), /limit of segments/],
  ])('refuses bytes %s', (_, bend, message) => {
    expect(() => parseContent(bend(encodeContent(usual)), 'root')).toThrow(message)
  })
})

describe('block part', () => {
  const bytes = (): Buffer => encodeBlocks([digest(1), digest(2)])

  it('is read back', () => {
    const parsed = parseBlocks(bytes(), 2, 'root')
    expect(Buffer.from(parsed)).toEqual(Buffer.concat([digest(1), digest(2)]))
    expect(parseBlocks(encodeBlocks([]), 0, 'root')).toHaveLength(0)
  })

  it.each([
    ['another count than the segments give', bytes(), 3],
    ['a digest less', bytes().subarray(0, -32), 2],
    ['a byte more', Buffer.concat([bytes(), Buffer.alloc(1)]), 2],
    ['another magic', bytes().fill('x', 0, 1), 2],
    ['nothing', Buffer.alloc(0), 0],
  ])('refuses %s', (_, part, expected) => {
    expect(() => parseBlocks(part, expected, 'root')).toThrow(/index of payload root/)
  })
})
