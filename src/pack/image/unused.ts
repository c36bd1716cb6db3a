/**
 * The ranges of a payload that need not be written, in shared memory for the workers.
 *
 * 1. Ranges are put in order, joined where they touch, and cut at the end of the payload.
 * 2. They lie as pairs (start, end) of 64-bit floats, exact up to 2^53: any worker may search.
 * 3. Unused bytes are read as zeros everywhere, also where a cell is unused in part, or where a
 *    short run of unused cells becomes DATA: what deleted files left never gets into an image.
 */
import type { ByteRange } from '../source.ts'

/** Pairs of start and end, in order, none touching the next. */
export type RangeTable = Float64Array

/** @param rawBytes length of the payload; what lies past it is dropped */
export function makeRangeTable(ranges: readonly ByteRange[], rawBytes: number): RangeTable {
  const joined: { start: number; end: number }[] = []
  for (const { offset, length } of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const end = Math.min(offset + length, rawBytes)
    if (end <= offset) continue
    const last = joined.at(-1)
    if (last !== undefined && offset <= last.end) last.end = Math.max(last.end, end)
    else joined.push({ start: offset, end })
  }
  const bytes = joined.length * 2 * Float64Array.BYTES_PER_ELEMENT
  const table = new Float64Array(new SharedArrayBuffer(bytes))
  for (const [i, { start, end }] of joined.entries()) table.set([start, end], 2 * i)
  return table
}

/** Whether all bytes from `start` to `end` are unused. */
export function isUnused(table: RangeTable, start: number, end: number): boolean {
  const first = table[2 * firstEndingAfter(table, start)]
  const last = table[2 * firstEndingAfter(table, start) + 1]
  return first !== undefined && last !== undefined && first <= start && end <= last
}

/** Zeroes the unused bytes of `raw`, which begins at byte `offset` of the payload. */
export function zeroUnused(table: RangeTable, offset: number, raw: Uint8Array): void {
  for (let i = firstEndingAfter(table, offset); 2 * i < table.length; i += 1) {
    const start = (table[2 * i] ?? 0) - offset
    if (start >= raw.length) return
    raw.fill(0, Math.max(0, start), Math.min(raw.length, (table[2 * i + 1] ?? 0) - offset))
  }
}

/** The number of the first range whose end lies past `offset`; the count when there is none. */
function firstEndingAfter(table: RangeTable, offset: number): number {
  let low = 0
  let high = table.length / 2
  while (low < high) {
    const middle = (low + high) >> 1
    if ((table[2 * middle + 1] ?? 0) > offset) high = middle
    else low = middle + 1
  }
  return low
}
