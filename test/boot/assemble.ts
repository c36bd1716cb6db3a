/**
 * Puts a disk together from what a build made, without packing: the short way to a boot.
 *
 * 1. Each region is copied to its place; zeros stay holes.
 * 2. The table is written for the disk's size; a partition that grows takes what is left.
 */
import { open, truncate, writeFile } from 'node:fs/promises'
import { encodeGpt, gptReservedSectors } from '../../src/format/gpt.ts'
import type { DiskLayout } from '../../src/format/manifest.ts'
import { encodeMbr } from '../../src/format/mbr.ts'
import type { ImageSource } from '../../src/pack/source.ts'
import { run } from '../../src/system/run.ts'
import { alignDown, MIB } from '../../src/units.ts'

/** Writes the disk of `bytes` bytes; `bytes` is at least the smallest disk. */
export async function assembleDisk(
  source: ImageSource,
  path: string,
  bytes: number,
): Promise<DiskLayout> {
  if (source.disk === undefined) throw new Error('the image has no disk')
  const layout = grown(source.disk, bytes)
  await writeFile(path, '')
  await truncate(path, bytes)
  for (const { place, path: from, range } of source.payloads) {
    if (place.kind !== 'region') throw new Error('a tree is no part of a disk')
    const input = [`if=${from}`, 'iflag=skip_bytes,count_bytes', `skip=${range.offset}`]
    const output = [`of=${path}`, 'oflag=seek_bytes', `seek=${place.offsetBytes}`]
    const how = [`count=${range.length}`, 'bs=1M', 'conv=notrunc,sparse', 'status=none']
    await run(['dd', ...input, ...output, ...how])
  }
  await writeTable(layout, path, bytes)
  return layout
}

function grown(layout: DiskLayout, bytes: number): DiskLayout {
  const tail = layout.table.kind === 'gpt' ? gptReservedSectors(layout.sectorBytes) - 1 : 0
  const end = alignDown(bytes - tail * layout.sectorBytes, MIB) / layout.sectorBytes
  const partitions = layout.partitions.map((partition) =>
    partition.grow ? { ...partition, sectors: end - partition.firstLba } : partition,
  )
  return { ...layout, partitions }
}

async function writeTable(layout: DiskLayout, path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'r+')
  if (layout.table.kind === 'mbr') {
    await file.write(encodeMbr(layout), 0, undefined, 0)
  } else if (layout.table.kind === 'gpt') {
    const { head, tail } = encodeGpt(layout, bytes / layout.sectorBytes)
    await file.write(head, 0, undefined, 0)
    await file.write(tail, 0, undefined, bytes - tail.length)
  }
}
