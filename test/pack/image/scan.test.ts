/** Scanning real files against a byte-by-byte reading of the rules in docs/format.md. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ProgressEvent } from '../../../src/events.ts'
import type { Extent, ExtentKind } from '../../../src/format/index.ts'
import { RawRing, WINDOW_BYTES } from '../../../src/pack/image/raw-ring.ts'
import { type Scanned, scanPayloads } from '../../../src/pack/image/scan.ts'
import type { ByteRange } from '../../../src/pack/source.ts'
import type { Slots } from '../../../src/system/shared-buffers.ts'
import { KIB, MIB } from '../../../src/units.ts'
import { range } from './fixtures.ts'
import { makeInlineJobs, RAW_SLOTS } from './inline-jobs.ts'

const CELL = 64 * KIB

interface Given {
  readonly raw: Buffer
  readonly unused: readonly ByteRange[]
}

/** The extents by the rules, from the bytes as they are. */
function expectedExtents(given: Given): Extent[] {
  const { raw, unused } = given
  const bytes = used(given)
  const free = new Uint8Array(raw.length)
  for (const { offset, length } of unused) free.fill(1, offset, offset + length)
  const kinds: ExtentKind[] = []
  for (let at = 0; at < raw.length; at += CELL) {
    const isFree = free.subarray(at, at + CELL).every((one) => one === 1)
    const isZero = bytes.subarray(at, at + CELL).every((one) => one === 0)
    kinds.push(isFree ? 'unused' : isZero ? 'zero' : 'data')
  }
  const text = kinds.map((kind) => kind.charAt(0)).join('')
  const merged = text.replace(/(?<=d)[zu]{1,3}(?=d)/g, (gap) => 'd'.repeat(gap.length))
  const names: Readonly<Record<string, ExtentKind>> = { d: 'data', z: 'zero', u: 'unused' }
  let offset = 0
  return [...merged.matchAll(/d+|z+|u+/g)].map(([run]) => {
    const length = Math.min(run.length * CELL, raw.length - offset)
    const extent = { offset, length, kind: names[run.charAt(0)] ?? 'data' }
    offset += length
    return extent
  })
}

/** The bytes of a payload as they are packed. */
function used(given: Given | undefined): Buffer {
  const bytes = Buffer.from(given?.raw ?? [])
  for (const { offset, length } of given?.unused ?? []) bytes.fill(0, offset, offset + length)
  return bytes
}

/** The bytes of a frame in the ring. */
function inRing({ memory }: Slots, { raw, length }: Extract<Scanned, { kind: 'frame' }>): Buffer {
  const ring = Buffer.from(memory, 0, RAW_SLOTS * WINDOW_BYTES)
  const end = ring.subarray(raw.at, raw.at + length)
  return Buffer.concat([end, ring.subarray(0, length - end.length)])
}

async function scan(given: readonly Given[], ahead: number) {
  await using inline = await makeInlineJobs(given)
  const events: ProgressEvent[] = []
  const emit = (event: ProgressEvent): void => void events.push(event)
  const payloads = given.map(({ raw }, i) => ({ name: `p${i}`, rawBytes: raw.length }))
  const out: Scanned[] = []
  const ring = new RawRing(RAW_SLOTS)
  for await (const item of scanPayloads(payloads, { workers: inline.jobs, ring, ahead, emit })) {
    out.push(item)
    if (item.kind === 'extents') continue
    const end = item.offset + item.length
    const expected = used(given[item.payload]).subarray(item.offset, end)
    expect(inRing(inline.setup.rawSlots, item).equals(expected)).toBe(true)
    ring.release(item.raw)
  }
  return { out, events, ring }
}

const payload: fc.Arbitrary<Given> = fc
  .record({
    cells: fc.array(fc.boolean(), { maxLength: 200 }),
    tail: fc.integer({ min: 1, max: CELL }),
    free: fc.array(fc.tuple(fc.nat(200 * 16), fc.integer({ min: 1, max: 16 * 12 })), {
      maxLength: 6,
    }),
  })
  .map(({ cells, tail, free }) => {
    const raw = Buffer.alloc(cells.length === 0 ? 0 : (cells.length - 1) * CELL + tail)
    // Few DATA cells, so that there are gaps of all lengths.
    for (const [i, one] of cells.entries()) if (one && i % 3 === 0) raw[i * CELL] = 1
    const unused = free
      .map(([at, length]) => range(at * 4 * KIB, length * 4 * KIB))
      .filter(({ offset }) => offset < raw.length)
      .map(({ offset, length }) => range(offset, Math.min(length, raw.length - offset)))
    return { raw, unused }
  })

describe('scanPayloads', () => {
  it('finds the extents that the rules give, however far ahead it reads', async () => {
    const payloads = fc.array(payload, { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(payloads, fc.integer({ min: 1, max: 9 }), async (given, ahead) => {
        const { out } = await scan(given, ahead)
        const extents = out.flatMap((item) => (item.kind === 'extents' ? [item.extents] : []))
        expect(extents).toEqual(given.map(expectedExtents))
        expect(out.map(({ payload }) => payload)).toEqual(
          out.map(({ payload }) => payload).toSorted((a, b) => a - b),
        )
      }),
      { numRuns: 40 },
    )
  })

  it('gives frames that cover the DATA extents of their payload, before these', async () => {
    const raw = Buffer.alloc(20 * MIB)
    raw.fill(1, 0, 9 * MIB)
    raw.fill(1, 12 * MIB, 12 * MIB + 1)
    const { out } = await scan([{ raw, unused: [] }], 2)
    expect(out.map((item) => (item.kind === 'frame' ? [item.offset, item.length] : 'end'))).toEqual(
      [[0, 4 * MIB], [4 * MIB, 4 * MIB], [8 * MIB, MIB], [12 * MIB, CELL], 'end'],
    )
  })

  it('gives every window back', async () => {
    const raw = Buffer.alloc(100 * MIB + 1, 1)
    raw.fill(0, 50 * MIB, 70 * MIB)
    const { ring } = await scan(
      [
        { raw, unused: [] },
        { raw: raw.subarray(0, 5), unused: [] },
      ],
      3,
    )
    let ready = 0
    for (let i = 0; i < RAW_SLOTS; i += 1) void ring.take().ready.then(() => (ready += 1))
    await new Promise((resolve) => setImmediate(resolve))
    expect(ready).toBe(RAW_SLOTS)
  })

  it('starts and ends its phase, also when nobody asks for the rest', async () => {
    const { events } = await scan([{ raw: Buffer.alloc(9 * MIB), unused: [] }], 2)
    const states = events.flatMap((event) => (event.event === 'phase' ? [event.state] : []))
    expect(states).toEqual(['start', 'end'])
    await using inline = await makeInlineJobs([{ raw: Buffer.alloc(64 * MIB, 1) }])
    const seen: ProgressEvent[] = []
    const context = {
      workers: inline.jobs,
      ring: new RawRing(RAW_SLOTS),
      ahead: 2,
      emit: (e: ProgressEvent) => void seen.push(e),
    }
    for await (const _ of scanPayloads([{ name: 'p', rawBytes: 64 * MIB }], context)) break
    expect(seen.at(-1)).toMatchObject({ event: 'phase', state: 'end' })
  })
})
