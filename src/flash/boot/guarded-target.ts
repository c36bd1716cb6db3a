/**
 * A target whose sector 0 always starts the stage, whatever is written to it.
 *
 * 1. What is written to sector 0 is remembered, durably, before it goes to the disk; there the
 *    guard's code (bytes 0 to 439) and 55 AA stand in its place. The table passes.
 * 2. The first page is always one write of its own, so no moment has a sector without the guard.
 * 3. What is read of sector 0 is what was meant, once the guard was seen on the disk.
 * 4. Everything behind the first page goes through untouched.
 *
 * Not promised: anything when others write to the disk; the claim of the target keeps them off.
 */
import { OsflashError } from '../../errors.ts'
import { BOOT_CODE_BYTES } from '../../format/gpt.ts'
import type { DiskRange } from '../../unpack/plan.ts'
import type { Target } from '../../unpack/target.ts'
import { BOOT_SIGNATURE, BOOT_SIGNATURE_AT, guardedSector, SECTOR_BYTES } from './guard.ts'

/** What a direct write may begin behind. */
const PAGE_BYTES = 4_096

export interface GuardOptions {
  readonly guardCode: Uint8Array
  /** What earlier runs meant as sector 0: 512 bytes. */
  readonly ownSector0: Uint8Array
  /** Keeps what is meant from now on; durable when it settles. */
  readonly remember: (ownSector0: Uint8Array) => Promise<void>
}

export interface GuardedTarget extends Target {
  /** Sector 0 as the target would have it. */
  ownSector0(): Uint8Array
}

/** @throws RangeError when code or sector are of another size */
export function guardTarget(target: Target, options: GuardOptions): GuardedTarget {
  const start = guardedStart(target, options)
  const zeroAll = async (ranges: readonly DiskRange[], signal?: AbortSignal): Promise<void> => {
    const parts = ranges.map(splitAtPage)
    for (const { head } of parts) {
      if (head.length > 0) await start.write(head.offset, new Uint8Array(head.length))
    }
    const rest = parts.flatMap((part) => (part.rest.length > 0 ? [part.rest] : []))
    if (rest.length > 0) await target.zeroAll(rest, signal)
  }
  return {
    path: target.path,
    bytes: target.bytes,
    ...(target.sectorBytes === undefined ? {} : { sectorBytes: target.sectorBytes }),
    diskKind: target.diskKind,
    identity: target.identity,
    blank: target.blank,
    direct: target.direct,
    ownSector0: start.ownSector0,
    write: async (offset, bytes) => {
      const { head, rest } = splitAtPage({ offset, length: bytes.length })
      if (rest.length > 0) await target.write(rest.offset, bytes.subarray(head.length))
      if (head.length > 0) await start.write(offset, bytes.subarray(0, head.length))
    },
    read: start.read,
    zero: (offset, length) => zeroAll([{ offset, length }]),
    zeroAll,
    sync: () => target.sync(),
    dropCache: () => target.dropCache(),
    publish: () => target.publish(),
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  }
}

interface GuardedStart {
  write(offset: number, bytes: Uint8Array): Promise<void>
  read(offset: number, into: Uint8Array): Promise<void>
  ownSector0(): Uint8Array
}

/** The first page; writes to it take turns, so that what is remembered is what is written last. */
function guardedStart(target: Target, options: GuardOptions): GuardedStart {
  const { guardCode, remember } = options
  const guard = guardedSector(new Uint8Array(SECTOR_BYTES), guardCode)
  let own = Uint8Array.from(options.ownSector0)
  if (own.length !== SECTOR_BYTES) throw new RangeError('own sector 0 of another size')
  let turn: Promise<void> = Promise.resolve()
  const writeNow = async (offset: number, bytes: Uint8Array): Promise<void> => {
    if (offset >= SECTOR_BYTES) return target.write(offset, bytes)
    const meant = Uint8Array.from(own)
    meant.set(bytes.subarray(0, SECTOR_BYTES - offset), offset)
    await remember(meant)
    own = meant
    const guarded = Uint8Array.from(bytes)
    overlay(guard, guarded, offset)
    await target.write(offset, guarded)
  }
  return {
    write: (offset, bytes) => {
      const mine = turn.then(() => writeNow(offset, bytes))
      turn = mine.catch(() => undefined)
      return mine
    },
    read: async (offset, into) => {
      await target.read(offset, into)
      if (offset >= SECTOR_BYTES || into.length === 0) return
      const expected = Uint8Array.from(into)
      overlay(guard, expected, offset)
      if (Buffer.compare(expected, into) !== 0) throw guardLost(target)
      overlay(own, into, offset)
    },
    ownSector0: () => Uint8Array.from(own),
  }
}

/** The bytes of a sector 0 that belong to the guard: from, to. */
const GUARDED = [
  [0, BOOT_CODE_BYTES],
  [BOOT_SIGNATURE_AT, BOOT_SIGNATURE_AT + BOOT_SIGNATURE.length],
] as const

/** Puts the guarded bytes of a sector into a piece of the disk. */
function overlay(sector: Uint8Array, piece: Uint8Array, offset: number): void {
  for (const [from, to] of GUARDED) {
    const first = Math.max(from, offset)
    const end = Math.min(to, offset + piece.length)
    if (first < end) piece.set(sector.subarray(first, end), first - offset)
  }
}

function splitAtPage({ offset, length }: DiskRange): { head: DiskRange; rest: DiskRange } {
  const headBytes = Math.max(0, Math.min(length, PAGE_BYTES - offset))
  return {
    head: { offset, length: headBytes },
    rest: { offset: offset + headBytes, length: length - headBytes },
  }
}

function guardLost(target: Target): OsflashError {
  return new OsflashError('readback', `reading back ${target.path} at byte 0: the guard is gone`, {
    data: { path: target.path, offset: 0 },
    hints: ['the disk is failing, or something else writes to it; do not reboot'],
  })
}
