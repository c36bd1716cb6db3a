/**
 * A target that no firmware finds a file system on while it is written: the first page of its EFI
 * system partition stays zero until the target is this host's.
 *
 * 1. What is written to the page is remembered, durably, before zeros go to the disk instead. The
 *    page has the boot sector, without which FAT is none, and the copy of it.
 * 2. What is read of the page is what was meant, once zeros were seen on the disk.
 * 3. Everything else goes through untouched.
 * 4. `returnPage` writes what was meant, and reads it back; it may be done again.
 *
 * Not promised: anything of firmware that starts the disk by other means than a file system.
 */

import { OsflashError } from '../../errors.ts'
import { readIfThere } from '../../system/read-if-there.ts'
import type { DiskRange } from '../../unpack/plan.ts'
import type { Target } from '../../unpack/target.ts'
import { writeFileSafely } from '../durable-file.ts'
import { hasSignature } from './guard.ts'
import { writeOnce } from './one-write.ts'

/** What a direct write may begin and end at, on every disk. */
export const PAGE_BYTES = 4_096

export interface WithheldPage {
  /** In bytes from the start of the disk; a multiple of `PAGE_BYTES`. */
  readonly offset: number
  /** The file that remembers what is meant; it need not be there before something was written. */
  readonly path: string
}

/** @throws RangeError when the page is none */
export function withholdPage(target: Target, page: WithheldPage): Target {
  if (page.offset % PAGE_BYTES !== 0) throw new RangeError('page off its place')
  const start = withheldStart(target, page)
  const zeroAll = async (ranges: readonly DiskRange[], signal?: AbortSignal): Promise<void> => {
    const parts = ranges.map((range) => splitAt(range, page.offset))
    for (const { inside } of parts) {
      if (inside.length > 0) await start.write(inside.offset, new Uint8Array(inside.length))
    }
    const rest = parts.flatMap(({ outside }) => outside)
    if (rest.length > 0) await target.zeroAll(rest, signal)
  }
  return {
    ...target,
    write: async (offset, bytes) => {
      const { inside, outside } = splitAt({ offset, length: bytes.length }, page.offset)
      const piece = (range: DiskRange): Uint8Array =>
        bytes.subarray(range.offset - offset, range.offset - offset + range.length)
      for (const range of outside) await target.write(range.offset, piece(range))
      if (inside.length > 0) await start.write(inside.offset, piece(inside))
    },
    read: start.read,
    zero: (offset, length) => zeroAll([{ offset, length }]),
    zeroAll,
  }
}

/** Writes to the page take turns, so that what is remembered is what was written last. */
function withheldStart(target: Target, page: WithheldPage) {
  let turn: Promise<void> = Promise.resolve()
  const load = async () => (await readRemembered(page)) ?? new Uint8Array(PAGE_BYTES)
  const writeNow = async (offset: number, bytes: Uint8Array): Promise<void> => {
    const meant = await load()
    meant.set(bytes, offset - page.offset)
    await writeFileSafely(page.path, meant, 0o600)
    await target.write(offset, new Uint8Array(bytes.length))
  }
  return {
    write: (offset: number, bytes: Uint8Array): Promise<void> => {
      const mine = turn.then(() => writeNow(offset, bytes))
      turn = mine.catch(() => undefined)
      return mine
    },
    read: async (offset: number, into: Uint8Array): Promise<void> => {
      await target.read(offset, into)
      const { inside } = splitAt({ offset, length: into.length }, page.offset)
      if (inside.length === 0) return
      const at = inside.offset - offset
      if (into.subarray(at, at + inside.length).some((byte) => byte !== 0)) throw isThere(target)
      const from = inside.offset - page.offset
      into.set((await load()).subarray(from, from + inside.length), at)
    },
  }
}

/**
 * Puts the page where it belongs.
 * @throws OsflashError `io`, `readback`, `format` when what is remembered starts no file system
 */
export async function returnPage(disk: string, page: WithheldPage): Promise<void> {
  const bytes = await readRemembered(page)
  if (bytes === undefined || !hasSignature(bytes)) {
    throw new OsflashError('format', `reading ${page.path}: it is not the start of an ESP`, {
      hints: ['osflash resume writes the target again'],
    })
  }
  await writeOnce({ path: disk, offset: page.offset, bytes })
}

async function readRemembered({ path }: WithheldPage): Promise<Uint8Array | undefined> {
  const bytes = await readIfThere(path)
  return bytes?.length === PAGE_BYTES ? Uint8Array.from(bytes) : undefined
}

interface Split {
  readonly inside: DiskRange
  readonly outside: readonly DiskRange[]
}

/** What of a range lies in the page, and what before and behind it. */
function splitAt({ offset, length }: DiskRange, page: number): Split {
  const end = offset + length
  const from = Math.min(Math.max(offset, page), end)
  const to = Math.max(from, Math.min(end, page + PAGE_BYTES))
  const outside = [
    { offset, length: from - offset },
    { offset: to, length: end - to },
  ]
  return {
    inside: { offset: from, length: to - from },
    outside: outside.filter((range) => range.length > 0),
  }
}

const isThere = ({ path }: Target): OsflashError =>
  new OsflashError('readback', `reading back ${path}: its ESP can be found before it may be`, {
    data: { path },
    hints: ['the disk is failing, or something else writes to it; do not reboot'],
  })
