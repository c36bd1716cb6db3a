/**
 * Entries of a tree as work for another thread: records in a slot of shared memory.
 *
 * | offset | size | slot                         |
 * |--------|------|------------------------------|
 * | 0      | 8    | number of records            |
 * | 8      | 8    | bytes of the directory below |
 * | 16     | n    | the target's directory       |
 * | ...    |      | records, at multiples of 8   |
 *
 * | number | record                                                                  |
 * |--------|-------------------------------------------------------------------------|
 * | 0      | kind: file 0, piece 1, symlink 2, directory 3                           |
 * | 1 to 4 | uid and gid (-1: leave them), mode (-1: mode and time come later), time |
 * | 5, 6   | content: its place in the memory of the frames, and its bytes           |
 * | 7, 8   | of a piece: descriptor, position in the file                            |
 * | 9, 10  | bytes of the path and of the link's target, which follow                |
 *
 * 1. All numbers are doubles. A slot takes records until the next might not fit, or until they
 *    are `RECORDS_MAX`, or their content `CONTENT_BYTES`: so the threads get equal parts.
 * 2. Writer and reader stand side by side, so that they cannot drift apart.
 * 3. The reader checks each path once more, as if it came from the tar.
 *
 * Not promised: a check of the numbers; both sides are this program.
 */
import { type TreePath, treePath } from '../../format/tree/tree-path.ts'
import { KIB, MIB } from '../../units.ts'
import type { Settable } from './tree-metadata.ts'

/** Fits the target's directory and one record with the longest path and link target. */
export const BATCH_BYTES = 64 * KIB
const RECORDS_MAX = 128
const CONTENT_BYTES = MIB
const RECORD_MAX_BYTES = 10 * KIB
const NUMBER_BYTES = 8
const HEAD_BYTES = 2 * NUMBER_BYTES
const NUMBERS = 11

/** A range of the memory that the frames lie in. */
export interface ContentRange {
  readonly from: number
  readonly bytes: number
}

/** What an entry asks for; paths are below the target, one byte a character. */
export type TreeRecord =
  | (Named & { readonly kind: 'file'; readonly set: Settable; readonly content: ContentRange })
  | (Named & { readonly kind: 'piece'; readonly content: ContentRange; readonly to: FilePlace })
  | (Named & { readonly kind: 'symlink'; readonly set: Settable; readonly target: string })
  | (Named & { readonly kind: 'directory'; readonly set: Settable })

interface Named {
  readonly path: TreePath
}

/** Where a piece of content goes: an open file of this process, and a place in it. */
export interface FilePlace {
  readonly fd: number
  readonly position: number
}

const KINDS = ['file', 'piece', 'symlink', 'directory'] as const
const NOTHING_SET: Settable = { uid: -1, gid: -1, mode: -1, mtime: 0 }
const NO_CONTENT: ContentRange = { from: 0, bytes: 0 }
const NO_PLACE: FilePlace = { fd: -1, position: 0 }

/** Fills one slot. */
export class BatchWriter {
  readonly #bytes: Buffer
  #at: number
  #records = 0
  #contentBytes = 0

  constructor(slot: Uint8Array, directory: string) {
    this.#bytes = Buffer.from(slot.buffer, slot.byteOffset, slot.byteLength)
    const length = this.#bytes.write(directory, HEAD_BYTES)
    this.#bytes.writeDoubleLE(length, NUMBER_BYTES)
    this.#at = aligned(HEAD_BYTES + length)
  }

  get full(): boolean {
    const left = this.#bytes.length - this.#at
    const many = this.#records >= RECORDS_MAX || this.#contentBytes >= CONTENT_BYTES
    return many || left < RECORD_MAX_BYTES
  }

  add(record: TreeRecord): void {
    const set = 'set' in record ? record.set : NOTHING_SET
    const content = 'content' in record ? record.content : NO_CONTENT
    const place = 'to' in record ? record.to : NO_PLACE
    const target = record.kind === 'symlink' ? record.target : ''
    this.#put(KINDS.indexOf(record.kind))
    this.#put(set.uid)
    this.#put(set.gid)
    this.#put(set.mode)
    this.#put(set.mtime)
    this.#put(content.from)
    this.#put(content.bytes)
    this.#put(place.fd)
    this.#put(place.position)
    this.#put(record.path.length)
    this.#put(target.length)
    this.#at += this.#bytes.write(record.path, this.#at, 'latin1')
    this.#at = aligned(this.#at + this.#bytes.write(target, this.#at, 'latin1'))
    this.#records += 1
    this.#contentBytes += content.bytes
    this.#bytes.writeDoubleLE(this.#records, 0)
  }

  /** An array of the numbers would be garbage for each entry. */
  #put(number: number): void {
    this.#at = this.#bytes.writeDoubleLE(number, this.#at)
  }
}

/** What a slot holds. */
export interface TreeBatch {
  readonly directory: string
  readonly records: Iterable<TreeRecord>
}

/** Reads what a `BatchWriter` wrote. */
export function readBatch(slot: Uint8Array): TreeBatch {
  const bytes = Buffer.from(slot.buffer, slot.byteOffset, slot.byteLength)
  const end = HEAD_BYTES + bytes.readDoubleLE(NUMBER_BYTES)
  const directory = bytes.toString('utf8', HEAD_BYTES, end)
  return { directory, records: recordsOf(bytes, aligned(end)) }
}

function* recordsOf(bytes: Buffer, start: number): Generator<TreeRecord> {
  const count = bytes.readDoubleLE(0)
  let at = start
  for (let done = 0; done < count; done += 1) {
    const number = (i: number): number => bytes.readDoubleLE(at + i * NUMBER_BYTES)
    const pathAt = at + NUMBERS * NUMBER_BYTES
    const targetAt = pathAt + number(9)
    const end = targetAt + number(10)
    // The tree itself has no name.
    const path = treePath(bytes.toString('latin1', pathAt, targetAt) || '.')
    yield recordOf(number, { path, target: bytes.toString('latin1', targetAt, end) })
    at = aligned(end)
  }
}

function recordOf(
  number: (i: number) => number,
  { path, target }: { readonly path: TreePath; readonly target: string },
): TreeRecord {
  const set = { uid: number(1), gid: number(2), mode: number(3), mtime: number(4) }
  const content = { from: number(5), bytes: number(6) }
  const kind = KINDS[number(0)]
  switch (kind) {
    case 'file':
      return { kind, path, set, content }
    case 'piece':
      return { kind, path, content, to: { fd: number(7), position: number(8) } }
    case 'symlink':
      return { kind, path, set, target }
    case 'directory':
      return { kind, path, set }
    default:
      throw new RangeError(`no kind of record: ${number(0)}`)
  }
}

function aligned(at: number): number {
  return Math.ceil(at / NUMBER_BYTES) * NUMBER_BYTES
}
