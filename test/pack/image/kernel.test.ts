/** Each operation of the kernel against a plain computation of the same. */
import { createHash } from 'node:crypto'
import { blake3 } from '@napi-rs/blake-hash'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveSegmentKey, openChunk } from '../../../src/encrypt/seipd.ts'
import { makeDecompressor } from '../../../src/format/codec.ts'
import { plainOf, saltOf } from '../../../src/pack/image/chunk-slot.ts'
import { WINDOW_BYTES } from '../../../src/pack/image/raw-ring.ts'
import { slotView } from '../../../src/system/shared-buffers.ts'
import { KIB, MIB } from '../../../src/units.ts'
import { noise, range } from './fixtures.ts'
import { CHUNK_OCTET, makeInlineJobs, RAW_SLOTS, SESSION_KEY } from './inline-jobs.ts'

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
        const runs = await inline.jobs.scan({ payload: 0, offset: 0, length: raw.length }, 3)
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
    expect(await inline.jobs.scan({ payload: 0, offset: 0, length: raw.length }, 3)).toEqual([
      { kind: 'unused', cells: 1 },
      { kind: 'zero', cells: 2 },
      { kind: 'data', cells: 1 },
    ])
  })

  it('does not read a window that is unused as a whole', async () => {
    const unused = [range(0, 8 * CELL)]
    await using inline = await makeInlineJobs([{ raw: noise(CELL, 1), unused, bytes: 8 * CELL }])
    const slot = slotView(inline.setup.rawSlots, 0)
    slot.fill(7)
    // The file has one cell: reading the others would fail.
    expect(await inline.jobs.scan({ payload: 0, offset: 0, length: 8 * CELL }, 0)).toEqual([
      { kind: 'unused', cells: 8 },
    ])
    // As much as may become DATA: nothing of an earlier window.
    expect(slot.indexOf(7)).toBe(4 * CELL)
  })
})

describe('compress', () => {
  /** Reads `raw` from a file into slots that follow each other, then packs a frame of it. */
  async function packed(raw: Buffer, firstSlot: number, frame: { at: number; length: number }) {
    const unused = [range(1_000, 500)]
    await using inline = await makeInlineJobs([{ raw: Buffer.alloc(10) }, { raw, unused }])
    for (let offset = 0; offset < raw.length; offset += WINDOW_BYTES) {
      const length = Math.min(WINDOW_BYTES, raw.length - offset)
      const slot = (firstSlot + offset / WINDOW_BYTES) % RAW_SLOTS
      await inline.jobs.scan({ payload: 1, offset, length }, slot)
    }
    const { length, digest } = await inline.jobs.compress(frame, 1)
    const out = Buffer.alloc(frame.length)
    const bytes = slotView(inline.setup.packedSlots, 1, length)
    makeDecompressor('zstd').decompress(bytes, out)
    return { out, digest: Buffer.from(digest) }
  }

  it.each([
    ['in one window', 2, 900, 300_000],
    ['across two windows', 2, 3 * MIB, 3 * MIB],
    ['from the end of the ring to its start', RAW_SLOTS - 1, 3 * MIB, 3 * MIB],
    ['up to the end of the ring', RAW_SLOTS - 1, 900, 4 * MIB - 900],
    ['of all the ring behind its start', RAW_SLOTS - 1, 4 * MIB, 2 * MIB],
  ])('packs a frame %s, unused bytes as zeros, and digests it', async (_, slot, from, length) => {
    const raw = noise(6 * MIB, 2)
    const at = (slot * WINDOW_BYTES + from) % (RAW_SLOTS * WINDOW_BYTES)
    const { out, digest } = await packed(raw, slot, { at, length })
    const expected = Buffer.from(raw)
      .fill(0, 1_000, 1_500)
      .subarray(from, from + length)
    expect(out.equals(expected)).toBe(true)
    expect(digest.equals(blake3(expected))).toBe(true)
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
  await expect(inline.jobs.scan({ payload: 1, offset: 0, length: 1 }, 0)).rejects.toThrow(
    RangeError,
  )
})
