/**
 * The GUID partition table and the protective MBR (UEFI 2.10, chapter 5), as bytes.
 *
 * | LBA           | what                                                        |
 * |---------------|-------------------------------------------------------------|
 * | 0             | boot code (440 bytes), protective MBR entry, 55 AA          |
 * | 1             | primary header                                              |
 * | 2 …           | 128 entries of 128 bytes: 32 sectors of 512, 4 of 4,096     |
 * | last - 32 … 1 | the same entries again                                      |
 * | last          | backup header                                               |
 *
 * 1. `encodeGpt` gives the head and the tail of a disk of any size from a layout.
 * 2. `parseGpt` reads a primary table back and refuses what its checksums do not cover.
 *
 * Not promised: hybrid MBRs, and entry arrays of another size than 128 × 128 when writing.
 */
import { crc32 } from 'node:zlib'
import { OsflashError } from '../errors.ts'
import type { DiskLayout, Partition } from './manifest.ts'

const ENTRY_BYTES = 128
const ENTRIES = 128
const HEADER_BYTES = 92
const SIGNATURE = 'EFI PART'
const REVISION = 0x00010000
export const BOOT_CODE_BYTES = 440

/** Sectors at the start of the disk that the table takes, sector 0 included. */
export function gptReservedSectors(sectorBytes: number): number {
  return 2 + (ENTRIES * ENTRY_BYTES) / sectorBytes
}

/** The two ends of a GPT disk, ready to be written. */
export interface GptBytes {
  /** From byte 0: sector 0, header, entries. */
  readonly head: Uint8Array
  /** The last bytes of the disk: entries, backup header. */
  readonly tail: Uint8Array
}

/**
 * The table of a layout on a disk of `diskSectors` sectors; partitions are taken as they are.
 * @throws RangeError when a partition does not lie in the usable part of the disk
 */
export function encodeGpt(layout: DiskLayout, diskSectors: number): GptBytes {
  if (layout.table.kind !== 'gpt') throw new RangeError('not a GPT layout')
  const { sectorBytes } = layout
  const reserved = gptReservedSectors(sectorBytes)
  const entries = encodeEntries(layout.partitions, diskSectors - reserved)
  const head = new Uint8Array(reserved * sectorBytes)
  head.set(protectiveMbr(layout.table.bootCode, diskSectors), 0)
  const place = { diskSectors, reserved, guid: layout.table.guid, entriesCrc: crc32(entries) }
  head.set(encodeHeader({ ...place, backup: false }), sectorBytes)
  head.set(entries, 2 * sectorBytes)
  const tail = new Uint8Array((reserved - 1) * sectorBytes)
  tail.set(entries, 0)
  tail.set(encodeHeader({ ...place, backup: true }), tail.length - sectorBytes)
  return { head, tail }
}

interface HeaderFields {
  readonly diskSectors: number
  readonly reserved: number
  readonly guid: string
  readonly entriesCrc: number
  readonly backup: boolean
}

function encodeHeader(fields: HeaderFields): Uint8Array {
  const { diskSectors, reserved, backup } = fields
  const header = Buffer.alloc(HEADER_BYTES)
  const last = diskSectors - 1
  header.write(SIGNATURE, 0, 'latin1')
  header.writeUInt32LE(REVISION, 8)
  header.writeUInt32LE(HEADER_BYTES, 12)
  header.writeBigUInt64LE(BigInt(backup ? last : 1), 24)
  header.writeBigUInt64LE(BigInt(backup ? 1 : last), 32)
  header.writeBigUInt64LE(BigInt(reserved), 40)
  header.writeBigUInt64LE(BigInt(last - reserved + 1), 48)
  encodeGuid(fields.guid).copy(header, 56)
  header.writeBigUInt64LE(BigInt(backup ? last - reserved + 2 : 2), 72)
  header.writeUInt32LE(ENTRIES, 80)
  header.writeUInt32LE(ENTRY_BYTES, 84)
  header.writeUInt32LE(fields.entriesCrc, 88)
  header.writeUInt32LE(crc32(header), 16)
  return header
}

function encodeEntries(partitions: readonly Partition[], lastUsable: number): Uint8Array {
  const entries = Buffer.alloc(ENTRIES * ENTRY_BYTES)
  for (const partition of partitions) {
    const last = partition.firstLba + partition.sectors - 1
    if (last > lastUsable) throw new RangeError(`partition ${partition.number} is past the end`)
    const at = (partition.number - 1) * ENTRY_BYTES
    encodeGuid(partition.type).copy(entries, at)
    encodeGuid(partition.guid ?? '').copy(entries, at + 16)
    entries.writeBigUInt64LE(BigInt(partition.firstLba), at + 32)
    entries.writeBigUInt64LE(BigInt(last), at + 40)
    entries.writeBigUInt64LE(BigInt(`0x${partition.attributes ?? '0'}`), at + 48)
    entries.write(partition.name, at + 56, 72, 'utf16le')
  }
  return entries
}

function protectiveMbr(bootCode: string | undefined, diskSectors: number): Uint8Array {
  const sector = Buffer.alloc(512)
  Buffer.from(bootCode ?? '', 'base64').copy(sector, 0, 0, BOOT_CODE_BYTES)
  sector.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 446)
  sector.writeUInt32LE(1, 454)
  sector.writeUInt32LE(Math.min(diskSectors - 1, 0xffffffff), 458)
  sector.writeUInt16LE(0xaa55, 510)
  return sector
}

/** What a primary GPT says. */
export interface ParsedGpt {
  readonly guid: string
  readonly bootCode: Uint8Array
  readonly partitions: readonly Partition[]
}

/** How many bytes of a disk's start `parseGpt` wants. */
export const GPT_PROBE_BYTES = 64 * 1024

/**
 * Reads the primary table from the first bytes of a disk; `undefined` when there is none.
 * @throws OsflashError `format` when there is one and its checksums or ranges are wrong
 */
export function parseGpt(start: Uint8Array, sectorBytes: number): ParsedGpt | undefined {
  const disk = Buffer.from(start.buffer, start.byteOffset, start.byteLength)
  const header = disk.subarray(sectorBytes, sectorBytes + HEADER_BYTES)
  if (header.toString('latin1', 0, 8) !== SIGNATURE) return undefined
  const unsigned = Buffer.from(header)
  unsigned.writeUInt32LE(0, 16)
  if (header.readUInt32LE(12) !== HEADER_BYTES || crc32(unsigned) !== header.readUInt32LE(16)) {
    throw damaged('the header does not match its checksum')
  }
  const entries = entryArray(disk, header, sectorBytes)
  return {
    guid: decodeGuid(header, 56),
    bootCode: disk.subarray(0, BOOT_CODE_BYTES),
    partitions: [...parseEntries(entries, header.readUInt32LE(84))],
  }
}

function entryArray(disk: Buffer, header: Buffer, sectorBytes: number): Buffer {
  const count = header.readUInt32LE(80)
  const size = header.readUInt32LE(84)
  if (count > ENTRIES || size < ENTRY_BYTES || size > 4_096) throw damaged('odd entry array')
  const at = Number(header.readBigUInt64LE(72)) * sectorBytes
  const entries = disk.subarray(at, at + count * size)
  if (entries.length !== count * size) throw damaged('the entries are not at the start')
  if (crc32(entries) !== header.readUInt32LE(88)) {
    throw damaged('the entries do not match their checksum')
  }
  return entries
}

function* parseEntries(entries: Buffer, size: number): Generator<Partition> {
  for (let at = 0; at < entries.length; at += size) {
    const type = decodeGuid(entries, at)
    if (type === NIL_GUID) continue
    const firstLba = Number(entries.readBigUInt64LE(at + 32))
    const attributes = entries.readBigUInt64LE(at + 48)
    yield {
      number: at / size + 1,
      name: entries.toString('utf16le', at + 56, at + 128).replace(/\0.*$/s, ''),
      type,
      guid: decodeGuid(entries, at + 16),
      firstLba,
      sectors: Number(entries.readBigUInt64LE(at + 40)) - firstLba + 1,
      ...(attributes === 0n ? {} : { attributes: attributes.toString(16) }),
      grow: false,
    }
  }
}

const NIL_GUID = '00000000-0000-0000-0000-000000000000'

/** Mixed-endian GUID bytes (UEFI 2.10, appendix A). */
export function encodeGuid(guid: string): Buffer {
  const hex = Buffer.from(guid.replaceAll('-', ''), 'hex')
  if (hex.length !== 16) throw new RangeError(`not a GUID: ${guid}`)
  hex.subarray(0, 4).reverse()
  hex.subarray(4, 6).reverse()
  hex.subarray(6, 8).reverse()
  return hex
}

export function decodeGuid(bytes: Buffer, at: number): string {
  const b = Buffer.from(bytes.subarray(at, at + 16))
  b.subarray(0, 4).reverse()
  b.subarray(4, 6).reverse()
  b.subarray(6, 8).reverse()
  return b.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function damaged(why: string): OsflashError {
  return new OsflashError('format', `reading the partition table: ${why}`)
}
