/**
 * A file that spans chunks: opened here, written in pieces by the crew, finished when all are
 * written.
 *
 * 1. Each piece goes to its own place, so pieces may be written in any order and side by side.
 * 2. Zeros that have no frame are not written: the file gets its full length at the end.
 * 3. After the last piece: length where needed, owner, mode and time, then it is closed.
 *
 * Not promised: safety of `close` while pieces are under way; wait for them first, or they may
 * go to whatever gets the number of the descriptor next.
 */
import { closeSync, ftruncateSync } from 'node:fs'
import type { FileEntry } from '../../format/tree/tar-entry.ts'
import { attempt, openNew } from './make-entries.ts'
import type { TreeCrew } from './tree-crew.ts'
import { type Settable, setOnDescriptor } from './tree-metadata.ts'

export interface OpenFileOptions {
  readonly entry: FileEntry
  /** What is set at the end. */
  readonly set: Settable
  /** Told when the file was closed. */
  readonly closed: () => void
}

export class OpenFile {
  readonly entry: FileEntry
  readonly #fd: number
  readonly #set: Settable
  readonly #closed: () => void
  #position = 0
  #piecesUnderWay = 0
  #endsInHole = false
  #ended = false

  /** @throws a system error, when the file exists for example */
  constructor(path: string | Buffer, { entry, set, closed }: OpenFileOptions) {
    this.#fd = openNew(path)
    this.entry = entry
    this.#set = set
    this.#closed = closed
  }

  /** Has the next piece written; `last` ends the file. @throws OsflashError `io` */
  write(crew: TreeCrew, bytes: Buffer, last: boolean): Promise<void> | undefined {
    const { path } = this.entry
    const content = { from: bytes.byteOffset, bytes: bytes.length }
    const to = { fd: this.#fd, position: this.#position }
    this.#position += bytes.length
    this.#piecesUnderWay += 1
    this.#ended = last
    const afterwards = (): void => {
      this.#piecesUnderWay -= 1
      this.#finishWhenWritten()
    }
    return crew.add({ kind: 'piece', path, content, to }, { content: bytes.buffer, afterwards })
  }

  /** Leaves a hole; `last` ends the file. @throws OsflashError `io` */
  skip(bytes: number, last: boolean): undefined {
    this.#position += bytes
    this.#endsInHole = last
    this.#ended = last
    this.#finishWhenWritten()
  }

  /** Closes it as it is. */
  close(): void {
    closeSync(this.#fd)
  }

  #finishWhenWritten(): void {
    if (!this.#ended || this.#piecesUnderWay > 0) return
    attempt('finishing', this.entry.path, () => {
      if (this.#endsInHole) ftruncateSync(this.#fd, this.#position)
      setOnDescriptor(this.#fd, this.#set)
      this.#closed()
      closeSync(this.#fd)
    })
  }
}
