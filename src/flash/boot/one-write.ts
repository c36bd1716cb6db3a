/**
 * Small places that a boot loader reads, changed by one write each: a sector, an environment
 * block, a file of one sector.
 *
 * 1. Never truncated, never longer: what a boot loader finds by block lists stays where it is, and
 *    a cut leaves the old bytes or the new ones.
 * 2. One write; a short one is an error. Then a flush.
 * 3. Read back from the disk, past the page cache where the file system can, and compared.
 *
 * Not promised: that a disk tears no sector; one of 512 bytes is whole on every disk.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'
import { makeSlots, slotView } from '../../system/shared-buffers.ts'
import { alignDown, alignUp } from '../../units.ts'

/** What is used of a file handle; tests put faults between. */
export type SmallFile = Pick<FileHandle, 'read' | 'write' | 'sync' | 'stat' | 'close'>
export type OpenFile = (path: string, flags: number) => Promise<SmallFile>

export interface Piece {
  /** A regular file or a block device that exists. */
  readonly path: string
  readonly offset: number
  readonly bytes: Uint8Array
}

/** What direct reads want: a multiple of every logical sector size. */
const PAGE_BYTES = 4_096

/**
 * Writes the piece over what is there, at once, and reads it back.
 * @throws OsflashError `io` (also when the place is not there), `readback`
 */
export async function writeOnce(piece: Piece, openFile: OpenFile = open): Promise<void> {
  const { path, offset, bytes } = piece
  const place = `writing ${path} at byte ${offset}`
  try {
    const file = await openFile(path, constants.O_RDWR)
    try {
      const stats = await file.stat()
      // A write past the end would need new blocks, which a boot loader may not see.
      if (stats.isFile() && stats.size < offset + bytes.length) {
        throw new OsflashError('io', `${place}: the file has ${stats.size} bytes`)
      }
      const { bytesWritten } = await file.write(bytes, 0, bytes.length, offset)
      if (bytesWritten !== bytes.length) {
        throw new OsflashError('io', `${place}: ${bytesWritten} of ${bytes.length} bytes`)
      }
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw ioError(place, cause)
  }
  const seen = await readPiece({ path, offset, length: bytes.length }, openFile)
  if (Buffer.compare(seen, bytes) === 0) return
  throw new OsflashError(
    'readback',
    `reading back ${path} at byte ${offset}: it is not what was written`,
    { data: { path, offset }, hints: ['the disk is failing, or something else writes to it'] },
  )
}

export interface PieceRange {
  readonly path: string
  readonly offset: number
  readonly length: number
}

/**
 * The bytes on the disk.
 * @throws OsflashError `io`, also when there are fewer
 */
export async function readPiece(range: PieceRange, openFile: OpenFile = open): Promise<Uint8Array> {
  const { O_RDONLY, O_DIRECT } = constants
  const place = `reading ${range.path} at byte ${range.offset}`
  try {
    return await readBy(range, await openFile(range.path, O_RDONLY | O_DIRECT))
  } catch (cause) {
    // File systems without direct reads refuse the opening or the reading.
    if (errnoOf(cause) !== 'EINVAL') throw ioError(place, cause)
  }
  try {
    return await readBy(range, await openFile(range.path, O_RDONLY))
  } catch (cause) {
    throw ioError(place, cause)
  }
}

async function readBy(range: PieceRange, file: SmallFile): Promise<Uint8Array> {
  try {
    const from = alignDown(range.offset, PAGE_BYTES)
    const end = range.offset + range.length
    const slotBytes = alignUp(end - from, PAGE_BYTES)
    const page = slotView(makeSlots(1, slotBytes), 0, slotBytes)
    const { bytesRead } = await file.read(page, 0, page.length, from)
    if (from + bytesRead < end) {
      throw new OsflashError('io', `reading ${range.path} at byte ${range.offset}: it ends before`)
    }
    return Uint8Array.from(page.subarray(range.offset - from, end - from))
  } finally {
    await file.close()
  }
}
