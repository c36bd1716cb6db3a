/**
 * What the fields of a manifest must say about each other.
 *
 * 1. Payload names are unique; regions lie on the disk and do not overlap.
 * 2. Partitions are inside the usable part of the table, in order, without overlap.
 * 3. At most one partition grows, and it is the one with the highest sectors.
 * 4. An image has either regions and a disk, or trees alone.
 */
import { OsflashError } from '../errors.ts'
import { BOOT_CODE_BYTES, gptReservedSectors } from './gpt.ts'
import { enforce } from './limits.ts'
import type { DiskLayout, Manifest, Partition, PartitionTable, PayloadEntry } from './manifest.ts'

const MBR_SECTORS = 2 ** 32

/** @throws OsflashError `format` or `limit`, naming the payload or partition */
export function checkManifest(manifest: Manifest): void {
  checkPayloads(manifest.payloads)
  if (manifest.disk === undefined) {
    checkTreesOnly(manifest.payloads)
  } else {
    checkPartitions(manifest.disk)
    checkRegions(manifest.disk, manifest.payloads)
  }
}

function checkPayloads(payloads: readonly PayloadEntry[]): void {
  const names = new Set<string>()
  let segments = 0
  let indexBytes = 0
  for (const payload of payloads) {
    if (names.has(payload.name)) throw wrong(`payload ${payload.name} is named twice`)
    names.add(payload.name)
    enforce('payloadBytes', payload.rawBytes, `payload ${payload.name}`)
    segments += payload.segments.length
    indexBytes += payload.index.bytes
  }
  enforce('segments', segments, 'manifest.json')
  enforce('indexBytes', indexBytes, 'manifest.json')
}

function checkTreesOnly(payloads: readonly PayloadEntry[]): void {
  const region = payloads.find((payload) => payload.place.kind === 'region')
  if (region !== undefined)
    throw wrong(`payload ${region.name} needs a disk, and none is described`)
}

function checkRegions(disk: DiskLayout, payloads: readonly PayloadEntry[]): void {
  const tree = payloads.find((payload) => payload.place.kind === 'tree')
  if (tree !== undefined) throw wrong(`payload ${tree.name} is a tree beside a disk`)
  const regions = payloads.flatMap(({ name, place, rawBytes }) =>
    place.kind === 'region'
      ? [{ name, start: place.offsetBytes, end: place.offsetBytes + rawBytes }]
      : [],
  )
  regions.sort((a, b) => a.start - b.start)
  let end = firstPayloadByte(disk)
  for (const region of regions) {
    if (region.start < end) throw wrong(`payload ${region.name} overlaps what lies before it`)
    if (region.start % disk.sectorBytes !== 0) {
      throw wrong(`payload ${region.name} does not start at a sector`)
    }
    end = region.end
  }
  if (end > disk.minimumBytes) throw wrong('the payloads are larger than the smallest disk')
}

/** The table's own sectors are written from the layout, never from a payload. */
function firstPayloadByte(disk: DiskLayout): number {
  if (disk.table.kind === 'none') return 0
  if (disk.table.kind === 'mbr') return disk.sectorBytes
  return gptReservedSectors(disk.sectorBytes) * disk.sectorBytes
}

function checkPartitions(disk: DiskLayout): void {
  if (disk.minimumBytes % disk.sectorBytes !== 0) {
    throw wrong('the smallest disk is not a whole number of sectors')
  }
  checkBootCode(disk.table)
  const numbers = new Set<number>()
  for (const partition of disk.partitions) {
    if (numbers.has(partition.number)) throw wrong(`partition ${partition.number} is listed twice`)
    numbers.add(partition.number)
    checkFields(disk, partition)
  }
  if (disk.table.kind !== 'none') checkOrder(disk)
}

/** It would be cut without a word, and run into the table. */
function checkBootCode(table: PartitionTable): void {
  if (table.kind === 'none' || table.bootCode === undefined) return
  const { length } = Buffer.from(table.bootCode, 'base64')
  if (length > BOOT_CODE_BYTES)
    throw wrong(`the boot code has ${length} bytes, not ${BOOT_CODE_BYTES}`)
}

function checkFields(disk: DiskLayout, partition: Partition): void {
  const label = `partition ${partition.number}`
  if (partition.sectors === 0) throw wrong(`${label} is empty`)
  const typeIsGuid = partition.type.length > 2
  if (disk.table.kind === 'gpt' && (!typeIsGuid || partition.guid === undefined)) {
    throw wrong(`${label} needs a type GUID and a PARTUUID`)
  }
  if (disk.table.kind === 'mbr' && (typeIsGuid || partition.number > 4)) {
    throw wrong(`${label} is not a primary MBR partition`)
  }
  if (disk.table.kind === 'mbr' && partition.firstLba + partition.sectors > MBR_SECTORS) {
    throw wrong(`${label} is past what an MBR can say`)
  }
}

function checkOrder(disk: DiskLayout): void {
  const reserved = disk.table.kind === 'gpt' ? gptReservedSectors(disk.sectorBytes) : 1
  const tail = disk.table.kind === 'gpt' ? reserved - 1 : 0
  let next = reserved
  const ordered = disk.partitions.toSorted((a, b) => a.firstLba - b.firstLba)
  for (const [position, partition] of ordered.entries()) {
    if (partition.firstLba < next) {
      throw wrong(`partition ${partition.number} overlaps what lies before it`)
    }
    if (partition.grow && position !== ordered.length - 1) {
      throw wrong(`partition ${partition.number} grows but is not the last on the disk`)
    }
    next = partition.firstLba + partition.sectors
  }
  if (next + tail > disk.minimumBytes / disk.sectorBytes) {
    throw wrong('the partitions do not fit the smallest disk')
  }
}

function wrong(why: string): OsflashError {
  return new OsflashError('format', `reading manifest.json: ${why}`)
}
