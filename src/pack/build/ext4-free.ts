/**
 * What `dumpe2fs` says about an ext4 file system: which blocks are free, which inodes are in use.
 *
 * 1. Group by group: `Inodes` follow each other without gaps, `Free blocks:` and `Free inodes:`
 *    are lists of ranges.
 * 2. Free blocks are counted as unused from 64 KiB on: shorter ones would cost more to describe
 *    than to write.
 *
 * Not promised: bigalloc and meta-block oddities; block numbers there are scaled by dumpe2fs.
 */
import { byteCount, byteOffset, KIB } from '../../units.ts'
import type { ByteRange } from '../source.ts'

const UNUSED_MIN_BYTES = 64 * KIB
/** Inodes 1 to 10 are reserved; of these the root (2) and the journal (8) have times. */
const FIRST_ORDINARY_INODE = 11
const ROOT_INODE = 2

export interface Ext4Usage {
  readonly blockBytes: number
  readonly blocks: number
  readonly freeBlocks: readonly (readonly [first: number, last: number])[]
  readonly usedInodes: readonly number[]
}

/** @throws RangeError when the text is not the output of dumpe2fs */
export function parseDumpe2fs(text: string): Ext4Usage {
  const blockBytes = field(text, 'Block size')
  const inodes = field(text, 'Inode count')
  const freeInodes = new Set<number>()
  for (const [first, last] of ranges(text, 'Free inodes')) {
    for (let inode = first; inode <= last; inode += 1) freeInodes.add(inode)
  }
  const used = [ROOT_INODE]
  for (let inode = FIRST_ORDINARY_INODE; inode <= inodes; inode += 1) {
    if (!freeInodes.has(inode)) used.push(inode)
  }
  return {
    blockBytes,
    blocks: field(text, 'Block count'),
    freeBlocks: ranges(text, 'Free blocks'),
    usedInodes: used,
  }
}

/** The ranges of the file system that hold nothing, from 64 KiB, sorted, neighbours joined. */
export function unusedRanges(usage: Ext4Usage): readonly ByteRange[] {
  const joined: [number, number][] = []
  for (const [first, last] of usage.freeBlocks.toSorted((a, b) => a[0] - b[0])) {
    const previous = joined.at(-1)
    if (previous !== undefined && previous[1] + 1 === first) previous[1] = last
    else joined.push([first, last])
  }
  return joined
    .map(([first, last]) => ({
      offset: byteOffset(first * usage.blockBytes),
      length: byteCount((last - first + 1) * usage.blockBytes),
    }))
    .filter(({ length }) => length >= UNUSED_MIN_BYTES)
}

function field(text: string, name: string): number {
  const [, value] = new RegExp(`^${name}:\\s+([0-9]+)$`, 'm').exec(text) ?? []
  if (value === undefined) throw new RangeError(`dumpe2fs gives no ${name}`)
  return Number(value)
}

function ranges(text: string, name: string): readonly (readonly [number, number])[] {
  const rows = text.matchAll(new RegExp(`^  ${name}: (.+)$`, 'gm'))
  return [...rows].flatMap(([, list = '']) =>
    list.split(', ').map((range): readonly [number, number] => {
      const [first = '', last = first] = range.trim().split('-')
      if (!/^[0-9]+$/.test(first)) throw new RangeError(`not a range: ${range}`)
      return [Number(first), Number(last)]
    }),
  )
}
