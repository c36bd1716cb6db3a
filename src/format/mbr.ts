/**
 * The master boot record with its four primary partitions, as bytes.
 *
 * | offset | size | what                                              |
 * |--------|------|---------------------------------------------------|
 * | 0      | 440  | boot code                                         |
 * | 440    | 4    | disk identifier, little-endian                    |
 * | 446    | 4×16 | status, CHS, type, CHS, first sector, sectors     |
 * | 510    | 2    | 55 AA                                             |
 *
 * 1. CHS fields hold the value that says "use the sector numbers" (FE FF FF).
 * 2. Not promised: extended partitions.
 */
import { BOOT_CODE_BYTES } from './gpt.ts'
import type { DiskLayout } from './manifest.ts'

const LARGEST = 0xffffffff

/** @throws RangeError when the layout is no MBR, or a partition lies past 2^32 sectors */
export function encodeMbr(layout: DiskLayout): Uint8Array {
  if (layout.table.kind !== 'mbr') throw new RangeError('not an MBR layout')
  const sector = Buffer.alloc(layout.sectorBytes)
  Buffer.from(layout.table.bootCode ?? '', 'base64').copy(sector, 0, 0, BOOT_CODE_BYTES)
  sector.writeUInt32LE(Number.parseInt(layout.table.diskId, 16), 440)
  for (const partition of layout.partitions) {
    if (partition.firstLba + partition.sectors - 1 > LARGEST) {
      throw new RangeError(`partition ${partition.number} is past what an MBR can say`)
    }
    const at = 446 + 16 * (partition.number - 1)
    const status = partition.attributes === '80' ? 0x80 : 0
    sector.set([status, 0xfe, 0xff, 0xff, Number.parseInt(partition.type, 16)], at)
    sector.set([0xfe, 0xff, 0xff], at + 5)
    sector.writeUInt32LE(partition.firstLba, at + 8)
    sector.writeUInt32LE(partition.sectors, at + 12)
  }
  sector.writeUInt16LE(0xaa55, 510)
  return sector
}
