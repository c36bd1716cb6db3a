/**
 * What a power cut leaves on a disk: everything that was flushed, and of the rest some.
 *
 * 1. QEMU records each write (blklogwrites, in the format of dm-log-writes of Linux):
 *    BYTES 0 magic, 8 version, 16 entries, 24 sector size; then, each from a new sector, entries
 *    of sector, sectors, flags and length of data (u64, little endian), each followed by its data.
 * 2. Writes up to the last flush are on the disk. A later one is lost, torn at a sector, or there:
 *    as the random numbers say, each for itself, as disks write in the order that they like.
 *
 * Killing QEMU alone is no power cut: the page cache keeps every write.
 */
import { type FileHandle, open } from 'node:fs/promises'

const MAGIC = 0x6a_7366_7773_6872n
const ENTRY_BYTES = 32
const SECTOR_BYTES = 512
const FLUSH = 1n
const FUA = 2n
const DISCARD = 4n
const KNOWN_FLAGS = 15n

interface Entry {
  readonly offset: number
  readonly length: number
  readonly flags: bigint
  /** Where its data lies in the log. */
  readonly data: number
}

export interface PowerLoss {
  /** A copy of the disk as it was when the machine was switched on; becomes what is left. */
  readonly disk: string
  readonly log: string
  /** From 0 to below 1. */
  readonly random: () => number
}

export interface Loss {
  readonly writes: number
  readonly unflushed: number
  readonly lost: number
  readonly torn: number
}

/** Brings `disk` to what the power cut left of the writes in `log`. */
export async function replay({ disk, log, random }: PowerLoss): Promise<Loss> {
  await using from = await open(log, 'r')
  await using to = await open(disk, 'r+')
  const entries = await readEntries(from)
  const safe = entries.findLastIndex(({ flags }) => (flags & FLUSH) !== 0n)
  let [lost, torn] = [0, 0]
  for (const [place, entry] of entries.entries()) {
    const sectors = entry.length / SECTOR_BYTES
    const isSafe = place <= safe || (entry.flags & FUA) !== 0n
    const chance = isSafe ? 1 : random()
    const kept = chance >= 0.5 ? sectors : chance < 0.25 ? 0 : Math.floor(random() * sectors)
    if (kept === 0 && sectors > 0) lost += 1
    else if (kept < sectors) torn += 1
    await copyEntry(from, to, { ...entry, length: kept * SECTOR_BYTES })
  }
  const writes = entries.filter(({ length }) => length > 0).length
  return { writes, unflushed: entries.length - safe - 1, lost, torn }
}

async function copyEntry(from: FileHandle, to: FileHandle, entry: Entry): Promise<void> {
  if (entry.length === 0) return
  const bytes = Buffer.alloc(entry.length)
  // Discarded: zeros here; a disk may give anything.
  if ((entry.flags & DISCARD) === 0n) await from.read(bytes, 0, bytes.length, entry.data)
  await to.write(bytes, 0, bytes.length, entry.offset)
}

/** In the order of the log; what was being recorded when QEMU ended is left out. */
async function readEntries(log: FileHandle): Promise<Entry[]> {
  const { size } = await log.stat()
  const head = Buffer.alloc(SECTOR_BYTES)
  await log.read(head, 0, head.length, 0)
  // Killed before the first flush: no head yet, and nothing that a disk would have kept.
  if (head.readBigUInt64LE(0) !== MAGIC) return []
  const sectorBytes = head.readUInt32LE(24)
  const entries: Entry[] = []
  const bytes = Buffer.alloc(ENTRY_BYTES)
  for (let at = sectorBytes; at + ENTRY_BYTES <= size; ) {
    await log.read(bytes, 0, ENTRY_BYTES, at)
    const flags = bytes.readBigUInt64LE(16)
    const length = Number(bytes.readBigUInt64LE(8)) * sectorBytes
    const offset = Number(bytes.readBigUInt64LE(0)) * sectorBytes
    const data = at + sectorBytes
    const inLog = (flags & DISCARD) === 0n ? length : 0
    const isEnd = flags > KNOWN_FLAGS || (length === 0 && flags === 0n) || data + inLog > size
    if (isEnd) break
    entries.push({ offset, length, flags, data })
    at = data + inLog
  }
  return entries
}
