/** Each operation of the kernel against a plain computation of the same. */
import { createHash } from 'node:crypto'
import { blake3 } from '@napi-rs/blake-hash'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveSegmentKey, openChunk } from '../../../src/encrypt/seipd.ts'
import { makeDecompressor } from '../../../src/format/codec.ts'
import { plainOf, saltOf } from '../../../src/pack/image/chunk-slot.ts'
import { slotView } from '../../../src/system/shared-buffers.ts'
import { KIB, MIB } from '../../../src/units.ts'
import { noise, range } from './fixtures.ts'
import { CHUNK_OCTET, makeInlineJobs, SESSION_KEY } from './inline-jobs.ts'

const CELL = 64 * KIB
const SALT = Buffer.alloc(32, 3)

/** Reads a slice of the spool or image file. */
async function slice(
  file: { handle: { read: (b: Buffer, o: number, l: number, p: number) => Promise<unknown> } },
  at: number,
  bytes: number,
): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  await file.handle.read(buffer, 0, bytes, at)
  return buffer
}

describe('scan', () => {
  /** Cells with one byte that is not zero, at a place that a hasty test would miss. */
  const cellKinds = fc.array(fc.constantFrom('zero', 'first', 'middle', 'last'), {
    minLength: 1,
    maxLength: 20,
  })

  it('finds every byte that is not zero', async () => {
    await fc.assert(
      fc.asyncProperty(cellKinds, fc.integer({ min: 1, max: CELL }), async (kinds, tail) => {
        const raw = Buffer.alloc((kinds.length - 1) * CELL + tail)
        for (const [i, kind] of kinds.entries()) {
          const end = Math.min((i + 1) * CELL, raw.length)
          const places = { zero: -1, first: i * CELL, middle: (i * CELL + end) >> 1, last: end - 1 }
          if (kind !== 'zero') raw[places[kind]] = 1
        }
        await using inline = await makeInlineJobs([{ raw }])
        const runs = await inline.jobs.scan({ payload: 0, offset: 0, length: raw.length })
        const cells = runs.flatMap(({ kind, cells }) => Array.from({ length: cells }, () => kind))
        expect(cells).toEqual(kinds.map((kind) => (kind === 'zero' ? 'zero' : 'data')))
      }),
      { numRuns: 30 },
    )
  })

  it('calls a cell unused only when all of it is, and zero when the rest of it is', async () => {
    const raw = Buffer.alloc(4 * CELL)
    raw[2 * CELL + 10] = 1
    raw[3 * CELL + 10] = 1
    const unused = [range(0, CELL), range(CELL, 10), range(2 * CELL, 20), range(3 * CELL, 10)]
    await using inline = await makeInlineJobs([{ raw, unused }])
    expect(await inline.jobs.scan({ payload: 0, offset: 0, length: raw.length })).toEqual([
      { kind: 'unused', cells: 1 },
      { kind: 'zero', cells: 2 },
      { kind: 'data', cells: 1 },
    ])
  })

  it('does not read a window that is unused as a whole', async () => {
    const unused = [range(0, 8 * CELL)]
    await using inline = await makeInlineJobs([{ raw: noise(CELL, 1), unused, bytes: 8 * CELL }])
    // The file has one cell: reading the others would fail.
    expect(await inline.jobs.scan({ payload: 0, offset: 0, length: 8 * CELL })).toEqual([
      { kind: 'unused', cells: 8 },
    ])
  })
})

describe('compress', () => {
  it('packs the bytes of the range, unused ones as zeros, and digests what it packed', async () => {
    const raw = noise(MIB, 2)
    await using inline = await makeInlineJobs([
      { raw: Buffer.alloc(10) },
      { raw, unused: [range(1_000, 500)] },
    ])
    const frame = { payload: 1, offset: 900, length: 300_000 }
    const { length, digest } = await inline.jobs.compress(frame, 1)
    const expected = Buffer.from(raw.subarray(900, 300_900)).fill(0, 100, 600)
    const out = Buffer.alloc(frame.length)
    const packed = slotView(inline.setup.packedSlots, 1, length)
    makeDecompressor('zstd').decompress(packed, out)
    expect(out.equals(expected)).toBe(true)
    expect(Buffer.from(digest).equals(blake3(expected))).toBe(true)
  })
})

describe('seal', () => {
  it.each([
    ['only block', 0, true, 42, 32],
    ['first block', 0, false, 42, 16],
    ['middle block', 5, false, 0, 16],
    ['last block', 5, true, 0, 32],
  ] as const)('writes and digests the %s whole', async (_, index, last, before, after) => {
    await using inline = await makeInlineJobs([])
    const plain = noise(1_000, 3)
    const slot = slotView(inline.setup.chunkSlots, 2)
    slot.fill(0xaa)
    saltOf(slot).set(SALT)
    plainOf(slot, plain.length).set(plain)
    const digest = await inline.jobs.seal({ slot: 2, index, plainBytes: 1_000, last }, 7_000)
    const block = await slice(inline.spool, 7_000, before + 1_000 + after)
    expect(Buffer.from(digest).equals(blake3(block))).toBe(true)
    expect((await inline.spool.handle.stat()).size).toBe(7_000 + block.length)
    const cipher = { aead: 'ocb', chunkOctet: CHUNK_OCTET, salt: SALT } as const
    const out = Buffer.alloc(1_000)
    const input = block.subarray(before, before + 1_016)
    openChunk(deriveSegmentKey(SESSION_KEY, cipher), { index, input, out })
    expect(out.equals(plain)).toBe(true)
  })

  it('takes the key of another segment when the salt changes', async () => {
    await using inline = await makeInlineJobs([])
    for (const fill of [1, 2, 1]) {
      const salt = Buffer.alloc(32, fill)
      const slot = slotView(inline.setup.chunkSlots, 0)
      saltOf(slot).set(salt)
      plainOf(slot, 5).set(Buffer.from('plain'))
      await inline.jobs.seal({ slot: 0, index: 1, plainBytes: 5, last: false }, 0)
      const key = deriveSegmentKey(SESSION_KEY, { aead: 'ocb', chunkOctet: CHUNK_OCTET, salt })
      const out = Buffer.alloc(5)
      openChunk(key, { index: 1, input: await slice(inline.spool, 0, 21), out })
      expect(out.toString()).toBe('plain')
    }
  })
})

describe('sha256 and copy', () => {
  it.each([0, 1, 4 * MIB, 4 * MIB + 1])(
    'take %i bytes of the spool file from a place',
    async (bytes) => {
      await using inline = await makeInlineJobs([])
      const content = noise(bytes, 4)
      await inline.spool.handle.write(content, 0, bytes, 333)
      const expected = createHash('sha256').update(content).digest()
      expect(Buffer.from(await inline.jobs.sha256(333, bytes)).equals(expected)).toBe(true)
      await inline.jobs.copy({ from: 333, to: 5_000, bytes })
      expect((await slice(inline.image, 5_000, bytes)).equals(content)).toBe(true)
    },
  )

  it('say where the spool file ends too early', async () => {
    await using inline = await makeInlineJobs([])
    await inline.spool.handle.write(Buffer.alloc(10), 0, 10, 0)
    const message = `reading ${inline.spool.path} at byte 10: the file ends here`
    await expect(inline.jobs.sha256(0, 11)).rejects.toMatchObject({ code: 'io', message })
    await expect(inline.jobs.copy({ from: 0, to: 0, bytes: 11 })).rejects.toMatchObject({ message })
  })
})

it('refuses operations and payloads that are not there', async () => {
  await using inline = await makeInlineJobs([{ raw: noise(10, 1) }])
  expect(() => inline.kernel([99])).toThrow('no operation 99')
  expect(() => inline.kernel([])).toThrow(RangeError)
  await expect(inline.jobs.scan({ payload: 1, offset: 0, length: 1 })).rejects.toThrow(RangeError)
})
