/**
 * The plan of writing an image to a disk: a value, made before anything is touched.
 *
 * 1. The layout is fitted to the disk: the partition that grows takes the room that is left,
 *    and the backup table moves to the end.
 * 2. Frames are sorted into body and head: the head is what touches the first MiB, where a disk
 *    becomes bootable, and what is not aligned for direct writing. It is written last.
 * 3. Ranges that must read as zero are merged over all payloads.
 *
 * A dry run prints it; `checkPlan` proves that no two writes overlap; the writer only obeys it.
 */
import { OsflashError } from '../errors.ts'
import { encodeGpt, gptReservedSectors } from '../format/gpt.ts'
import type { DiskLayout, Manifest, Partition } from '../format/manifest.ts'
import { encodeMbr } from '../format/mbr.ts'
import { alignDown, alignUp, formatBytes, MIB } from '../units.ts'
import { type FrameJob, frameJobs } from './frame-job.ts'
import type { LoadedPayload } from './payload.ts'

/** What is written last: without it no firmware finds anything to start. */
export const HEAD_BYTES = MIB
/** Partitions that grow end at a multiple of this. */
const GROW_ALIGN_BYTES = MIB
const DIRECT_ALIGN_BYTES = 4_096

/** A run of bytes of the target disk. */
export interface DiskRange {
  readonly offset: number
  readonly length: number
}

/** Bytes made here, not taken from a frame: the partition tables. */
export interface DiskWrite {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A frame and the place of its first byte on the disk. */
export interface PlacedFrame {
  readonly job: FrameJob
  readonly diskOffset: number
}

export interface DiskPlan {
  readonly diskBytes: number
  readonly layout: DiskLayout
  /** Must read as zero. */
  readonly zero: readonly DiskRange[]
  /** Written in parallel, in any order, before anything else. */
  readonly body: readonly PlacedFrame[]
  /** Written one after another, once the body is safe on the disk. */
  readonly head: readonly PlacedFrame[]
  /** The backup table; written with the head. */
  readonly tail?: DiskWrite
  /** The table at the start; the very last write. */
  readonly table?: DiskWrite
  readonly dataBytes: number
}

export interface TargetSize {
  readonly bytes: number
  /** Of a block device; a file takes any. */
  readonly sectorBytes?: number
}

/** A partition behind those of the image, for the rest of the disk; then none of them grows. */
export interface AppendedPartition {
  readonly name: string
  /** GPT type GUID. */
  readonly type: string
  /** PARTUUID. */
  readonly guid: string
}

/**
 * Plans the writing of `payloads` to a disk.
 * @throws OsflashError `refused` when the disk is too small or has other sectors
 */
export function planDisk(
  manifest: Manifest,
  payloads: readonly LoadedPayload[],
  target: TargetSize & { readonly append?: AppendedPartition },
): DiskPlan {
  const { disk } = manifest
  if (disk === undefined) {
    throw new OsflashError('refused', `unpacking ${manifest.name}: it holds a tree, not a disk`, {
      hints: ['give a directory with --to'],
    })
  }
  checkTarget(disk, target)
  const { append } = target
  const layout =
    append === undefined
      ? fitLayout(disk, target.bytes)
      : { ...disk, partitions: [...disk.partitions, appended(disk, target.bytes, append)] }
  const { body, head, zero } = placeFrames(payloads)
  const plan = { diskBytes: target.bytes, layout, zero: mergeRanges(zero), body, head }
  const dataBytes = [...body, ...head].reduce((sum, { job }) => sum + job.rawLength, 0)
  return { ...plan, dataBytes, ...tableWrites(layout, target.bytes) }
}

function checkTarget(disk: DiskLayout, target: TargetSize): void {
  const { sectorBytes } = target
  if (sectorBytes !== undefined && sectorBytes !== disk.sectorBytes) {
    throw new OsflashError(
      'refused',
      `planning: the disk has sectors of ${sectorBytes} bytes, the image ${disk.sectorBytes}`,
      {
        data: { sectorBytes, imageSectorBytes: disk.sectorBytes },
        hints: [`build the image with disk.sector-size: ${sectorBytes}`],
      },
    )
  }
  if (target.bytes < disk.minimumBytes) {
    const need = formatBytes(disk.minimumBytes)
    throw new OsflashError(
      'refused',
      `planning: the target has ${formatBytes(target.bytes)}, the image needs ${need}`,
      {
        data: { bytes: target.bytes, minimumBytes: disk.minimumBytes },
        hints: ['choose a larger disk, or an image with smaller partitions'],
      },
    )
  }
}

/** The sector behind the last one that a partition may have. */
function endLba(disk: DiskLayout, diskBytes: number): number {
  const sectors = Math.floor(diskBytes / disk.sectorBytes)
  const reserved = disk.table.kind === 'gpt' ? gptReservedSectors(disk.sectorBytes) - 1 : 0
  const limit = disk.table.kind === 'mbr' ? Math.min(sectors, 2 ** 32) : sectors - reserved
  return alignDown(limit * disk.sectorBytes, GROW_ALIGN_BYTES) / disk.sectorBytes
}

/**
 * Where an appended partition lies on a disk of `diskBytes` bytes.
 * @throws OsflashError `refused` when the image has no GPT, or nothing is left for it
 */
export function appendedRange(disk: DiskLayout, diskBytes: number): DiskRange {
  if (disk.table.kind !== 'gpt') {
    throw new OsflashError('refused', 'planning: only a GPT takes one more partition', {
      hints: ['build the image with disk.table: gpt'],
    })
  }
  const used = Math.max(0, ...disk.partitions.map((part) => part.firstLba + part.sectors))
  const offset = alignUp(used * disk.sectorBytes, GROW_ALIGN_BYTES)
  const length = endLba(disk, diskBytes) * disk.sectorBytes - offset
  if (length > 0) return { offset, length }
  throw new OsflashError('refused', 'planning: the disk has no room behind the image', {
    data: { bytes: diskBytes, used: offset },
    hints: ['choose a larger disk'],
  })
}

function appended(disk: DiskLayout, diskBytes: number, append: AppendedPartition): Partition {
  const { offset, length } = appendedRange(disk, diskBytes)
  return {
    ...append,
    number: Math.max(0, ...disk.partitions.map(({ number }) => number)) + 1,
    firstLba: offset / disk.sectorBytes,
    sectors: length / disk.sectorBytes,
    grow: false,
  }
}

/** The layout on a disk of this size. */
function fitLayout(disk: DiskLayout, diskBytes: number): DiskLayout {
  const end = endLba(disk, diskBytes)
  const grown = (partition: Partition): Partition =>
    partition.grow
      ? { ...partition, sectors: Math.max(partition.sectors, end - partition.firstLba) }
      : partition
  return { ...disk, partitions: disk.partitions.map(grown) }
}

function tableWrites(
  layout: DiskLayout,
  diskBytes: number,
): { table?: DiskWrite; tail?: DiskWrite } {
  switch (layout.table.kind) {
    case 'none':
      return {}
    case 'mbr':
      return { table: { offset: 0, bytes: encodeMbr(layout) } }
    case 'gpt': {
      const sectors = Math.floor(diskBytes / layout.sectorBytes)
      const { head, tail } = encodeGpt(layout, sectors)
      const offset = sectors * layout.sectorBytes - tail.length
      return { table: { offset: 0, bytes: head }, tail: { offset, bytes: tail } }
    }
  }
}

interface Placement {
  readonly body: PlacedFrame[]
  readonly head: PlacedFrame[]
  readonly zero: DiskRange[]
}

function placeFrames(payloads: readonly LoadedPayload[]): Placement {
  const placement: Placement = { body: [], head: [], zero: [] }
  for (const [number, payload] of payloads.entries()) {
    const { place } = payload.entry
    if (place.kind !== 'region') continue
    for (const job of frameJobs(payload, number)) {
      const diskOffset = place.offsetBytes + job.rawOffset
      const list = isBody(diskOffset, job.rawLength) ? placement.body : placement.head
      list.push({ job, diskOffset })
    }
    for (const extent of payload.index.extents) {
      if (extent.kind !== 'zero') continue
      placement.zero.push({ offset: place.offsetBytes + extent.offset, length: extent.length })
    }
  }
  return placement
}

function isBody(offset: number, length: number): boolean {
  return (
    offset >= HEAD_BYTES && offset % DIRECT_ALIGN_BYTES === 0 && length % DIRECT_ALIGN_BYTES === 0
  )
}

function mergeRanges(ranges: readonly DiskRange[]): DiskRange[] {
  const merged: DiskRange[] = []
  for (const range of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const last = merged.at(-1)
    if (last !== undefined && last.offset + last.length === range.offset) {
      merged[merged.length - 1] = { offset: last.offset, length: last.length + range.length }
    } else merged.push(range)
  }
  return merged
}

/** @throws OsflashError `format` when two writes would touch the same byte, or leave the disk */
export function checkPlan(plan: DiskPlan): void {
  const ranges: DiskRange[] = [...plan.zero]
  for (const { job, diskOffset } of [...plan.body, ...plan.head]) {
    ranges.push({ offset: diskOffset, length: job.rawLength })
  }
  for (const write of [plan.table, plan.tail]) {
    if (write !== undefined) ranges.push({ offset: write.offset, length: write.bytes.length })
  }
  let end = 0
  for (const range of ranges.toSorted((a, b) => a.offset - b.offset)) {
    if (range.offset < end) {
      throw new OsflashError('format', `planning: two writes overlap at byte ${range.offset}`)
    }
    end = range.offset + range.length
  }
  if (end > plan.diskBytes) {
    throw new OsflashError('format', `planning: a write ends at byte ${end}, behind the disk`)
  }
}
