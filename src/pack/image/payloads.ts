/**
 * All payloads through the workers into the spool file.
 *
 *   N workers: read windows ─▶ frames ─▶ N workers: digest, pack ─▶ N workers: seal, write
 *
 * 1. Scanning, packing and sealing overlap, also from one payload to the next.
 * 2. Frames are packed in any order and taken in theirs, so that the outcome does not depend on
 *    the number of workers.
 * 3. Memory is bounded by the slots: a frame waits for a packed slot, a chunk for a chunk slot.
 */
import { throwIfCancelled } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { SlotQueue, slotView } from '../../system/shared-buffers.ts'
import { inOrder } from './in-order.ts'
import type { PackSetup } from './jobs.ts'
import { type PackedPayload, PayloadWriter } from './payload-writer.ts'
import { RawRing } from './raw-ring.ts'
import { type Scanned, type ScanPayload, scanPayloads } from './scan.ts'
import { WINDOWS_AHEAD } from './settings.ts'
import type { PackJobs } from './workers.ts'

export interface PackContext {
  readonly setup: PackSetup
  readonly workers: PackJobs
  readonly signal: AbortSignal | undefined
  readonly emit: Emit
}

/** A frame in a packed slot, or what `scanPayloads` says at the end of a payload. */
type Packed =
  | (Extract<Scanned, { kind: 'frame' }> & {
      readonly slot: number
      readonly packedLength: number
      readonly digest: Uint8Array
    })
  | Extract<Scanned, { kind: 'extents' }>

/**
 * Scans, packs and seals; gives the payloads in their order.
 * @throws OsflashError `io`, `limit`, `cancelled`
 */
export async function packPayloads(
  payloads: readonly ScanPayload[],
  context: PackContext,
): Promise<readonly PackedPayload[]> {
  const { setup, workers, emit } = context
  const slots = new SlotQueue(setup.chunkSlots.count)
  const total = payloads.reduce((sum, { rawBytes }) => sum + rawBytes, 0)
  const spoolEnd = { bytes: 0, segments: 0 }
  const writers = payloads.map(
    (payload) => new PayloadWriter({ setup, workers, slots }, { ...payload, spoolEnd }),
  )
  const ahead = setup.packedSlots.count - 1
  const ring = new RawRing(setup.rawSlots.count - 1)
  const items = scanPayloads(payloads, { workers, ring, ahead: WINDOWS_AHEAD, emit })
  const work = (item: Scanned, slot: number): Promise<Packed> =>
    packFrame({ workers, ring }, item, slot)
  const finished: Promise<PackedPayload>[] = []
  let before = 0
  for await (const item of inOrder({ items, ahead, work })) {
    throwIfCancelled(context.signal)
    const writer = writers[item.payload]
    const payload = payloads[item.payload]
    if (writer === undefined || payload === undefined) throw new RangeError('no such payload')
    if (item.kind === 'extents') {
      const result = writer.finish(item.extents)
      // Waited for below; until then a failure must not end the process.
      result.catch(() => undefined)
      finished.push(result)
      before += payload.rawBytes
    } else
      await writer.add(frameOf(item), slotView(setup.packedSlots, item.slot, item.packedLength))
    const done = before + (item.kind === 'extents' ? 0 : item.offset + item.length)
    emit({ event: 'progress', phase: 'compressing', done, total, unit: 'bytes' })
  }
  return await Promise.all(finished)
}

interface FramePacking {
  readonly workers: PackJobs
  readonly ring: RawRing
}

async function packFrame(packing: FramePacking, item: Scanned, slot: number): Promise<Packed> {
  if (item.kind === 'extents') return item
  const { workers, ring } = packing
  try {
    const frame = { at: item.raw.at, length: item.length }
    const { length, digest } = await workers.compress(frame, slot)
    return { ...item, slot, packedLength: length, digest }
  } finally {
    // Also after a failure: a window that waits must come to its own.
    ring.release(item.raw)
  }
}

function frameOf(item: Extract<Packed, { kind: 'frame' }>) {
  const { offset, length, packedLength, digest } = item
  return { rawOffset: offset, rawLength: length, packedLength, digest }
}
