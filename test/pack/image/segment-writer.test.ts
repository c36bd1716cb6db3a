/** Segments of many small chunks, sealed in this thread and opened by read-image.ts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LITERAL_HEADER_BYTES } from '../../../src/encrypt/segment-layout.ts'
import { SegmentWriter } from '../../../src/pack/image/segment-writer.ts'
import { SlotQueue } from '../../../src/system/shared-buffers.ts'
import { noise } from './fixtures.ts'
import { CHUNK_BYTES, makeInlineJobs, SESSION_KEY } from './inline-jobs.ts'
import { openSegment } from './read-image.ts'

const SLOTS = 4
const BOUNDS = { place: 0, plainBytesMax: 1_000_000 }

/** Writes one segment of these frames at `place`; gives it and what opening gives. */
async function writeSegment(frames: readonly Uint8Array[], place: number) {
  await using inline = await makeInlineJobs([], SLOTS)
  const slots = new SlotQueue(SLOTS)
  const context = { workers: inline.jobs, setup: inline.setup, slots }
  const writer = new SegmentWriter(context, { ...BOUNDS, place })
  for (const frame of frames) await writer.append(frame)
  const { end, sealed } = writer.finish()
  const segment = await sealed
  const member = Buffer.alloc(segment.bytes)
  await inline.spool.handle.read(member, 0, member.length, place)
  expect((await inline.spool.handle.stat()).size).toBe(end)
  expect(end).toBe(place + segment.bytes)
  return { segment, opened: openSegment(member, SESSION_KEY), free: await freeSlots(slots) }
}

/** How many slots are free; takes them all. */
async function freeSlots(slots: SlotQueue): Promise<number> {
  let free = 0
  const count = async (): Promise<void> => {
    await slots.acquire()
    free += 1
  }
  const taking = Array.from({ length: SLOTS }, count)
  await Promise.race([Promise.all(taking), new Promise((resolve) => setImmediate(resolve))])
  return free
}

async function check(frames: readonly Uint8Array[], place = 0): Promise<void> {
  const { segment, opened, free } = await writeSegment(frames, place)
  const body = Buffer.concat(frames)
  expect(opened.body.equals(body)).toBe(true)
  expect(opened.plainBytes).toBe(segment.plainBytes)
  expect(segment.plainBytes).toBe(body.length + LITERAL_HEADER_BYTES)
  expect(segment.blocks.map(hex)).toEqual(opened.blocks.map(hex))
  expect(free).toBe(SLOTS)
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('SegmentWriter', () => {
  const full = CHUNK_BYTES - LITERAL_HEADER_BYTES
  it.each([
    1,
    full - 1,
    full,
    full + 1,
    full + CHUNK_BYTES - 1,
    full + CHUNK_BYTES,
    full + CHUNK_BYTES + 1,
    20 * CHUNK_BYTES,
  ])('seals a body of %i bytes', async (bytes) => {
    await check([noise(bytes, 1)])
  })

  it('seals frames of any lengths at any place, and gives every slot back', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 3 * CHUNK_BYTES }), {
      minLength: 1,
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(100_000), async (given, place) => {
        await check(
          given.map((length, i) => noise(length, i)),
          place,
        )
      }),
      { numRuns: 40 },
    )
  })

  it('uses another salt for each segment', async () => {
    const one = await writeSegment([noise(10, 1)], 0)
    const two = await writeSegment([noise(10, 1)], 0)
    expect(hex(one.segment.sha256)).not.toBe(hex(two.segment.sha256))
  })

  it('has room up to its limit of plaintext, header included', async () => {
    await using inline = await makeInlineJobs([])
    const context = { workers: inline.jobs, setup: inline.setup, slots: new SlotQueue(4) }
    const writer = new SegmentWriter(context, BOUNDS)
    const most = BOUNDS.plainBytesMax - LITERAL_HEADER_BYTES
    expect(writer.hasRoomFor(most)).toBe(true)
    expect(writer.hasRoomFor(most + 1)).toBe(false)
    await writer.append(noise(100, 1))
    expect(writer.hasRoomFor(most - 100)).toBe(true)
    expect(writer.hasRoomFor(most - 99)).toBe(false)
  })

  it('refuses to end an empty segment', async () => {
    await using inline = await makeInlineJobs([])
    const context = { workers: inline.jobs, setup: inline.setup, slots: new SlotQueue(4) }
    expect(() => new SegmentWriter(context, BOUNDS).finish()).toThrow(RangeError)
  })

  it('stops taking frames after a chunk could not be written, and does not hang', async () => {
    await using inline = await makeInlineJobs([], SLOTS)
    const jobs = {
      ...inline.jobs,
      seal: async (): Promise<Uint8Array> => {
        throw new Error('disk full')
      },
    }
    const context = { workers: jobs, setup: inline.setup, slots: new SlotQueue(SLOTS) }
    const writer = new SegmentWriter(context, BOUNDS)
    await expect(writer.append(noise(30 * CHUNK_BYTES, 1))).rejects.toThrow('disk full')
  })

  it('fails at the end when the last chunk could not be written', async () => {
    await using inline = await makeInlineJobs([])
    const jobs = {
      ...inline.jobs,
      seal: async (): Promise<Uint8Array> => {
        throw new Error('disk full')
      },
    }
    const context = { workers: jobs, setup: inline.setup, slots: new SlotQueue(SLOTS) }
    const writer = new SegmentWriter(context, BOUNDS)
    await writer.append(noise(10, 1))
    await expect(writer.finish().sealed).rejects.toThrow('disk full')
  })
})
