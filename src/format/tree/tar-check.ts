/**
 * The strict reader of a tree's tar: bytes in, checked entries and their content out. Pure.
 *
 * 1. Gather 512 bytes; decode the header.
 * 2. Type `x`: gather the extended header, at most 64 KiB, and remember it for the next entry.
 * 3. Any other type: join both, check path, parent, duplicates and the count, give the entry.
 * 4. Give the content of a file as views of the chunk, as it comes. Padding must be zeros, so that
 *    one tree has one tar and nothing hides between its files.
 * 5. Two blocks of zeros end the tar; after them only zeros, up to a whole block.
 *
 * Nothing is kept of a chunk but a header or an extended header that is not complete, and that
 * is copied; so memory is bounded and the caller may reuse the chunk's buffer.
 *
 * Not promised: that content which was given is followed by right padding; that shows later.
 */
import { OsflashError } from '../../errors.ts'
import { alignUp } from '../../units.ts'
import { enforce, LIMITS } from '../limits.ts'
import { TAR_BLOCK_BYTES } from '../tar-block.ts'
import { type TarEntry, tarEntry } from './tar-entry.ts'
import { decodePax, NO_PAX, type PaxRecords } from './tar-pax.ts'
import { decodeTarHeader, type TarHeader, tarError } from './tree-header.ts'
import { pathError, TreeNames } from './tree-path.ts'

/** An entry, or a piece of the content of the file that came last; `last` is its end. */
export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'content'; readonly bytes: Buffer; readonly last: boolean }

type State = 'header' | 'pax' | 'content' | 'padding' | 'ended'

export class TarChecker {
  /** The number of entries that the manifest announces. */
  readonly #expected: number
  readonly #names = new TreeNames()
  readonly #gathered = Buffer.alloc(LIMITS.tarPaxBytes)
  #gatheredBytes = 0
  #chunk: Buffer = Buffer.alloc(0)
  #used = 0
  /** Bytes of the tar before the chunk. */
  #before = 0
  #state: State = 'header'
  #zeroBlocks = 0
  /** Bytes of content, padding or extended header that are still to come. */
  #left = 0
  #padding = 0
  /** Where the header block that was read last began. */
  #headerAt = 0
  #pax: PaxRecords | undefined
  #entries = 0

  /** @throws OsflashError `limit` when more than 5,000,000 entries are announced */
  constructor(expectedEntries: number) {
    enforce('tarEntries', expectedEntries, 'the number of entries of the tree')
    this.#expected = expectedEntries
  }

  /**
   * Reads on. Content is given as views of `chunk`: use them before asking for the next event.
   * @throws OsflashError `format`, `limit`; the checker is of no use afterwards
   */
  *feed(chunk: Uint8Array): Generator<TarEvent, void, undefined> {
    this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    this.#used = 0
    while (this.#used < this.#chunk.length) {
      const event = this.#step()
      if (event !== undefined) yield event
    }
    this.#before += this.#chunk.length
    this.#chunk = Buffer.alloc(0)
    this.#used = 0
  }

  /**
   * Call after the last chunk.
   * @throws OsflashError `format` when the tar ends too early or has other than the announced
   *   number of entries
   */
  finish(): void {
    const at = this.#before
    if (this.#state !== 'ended') throw endError(at, 'the end of the tar is missing')
    if (at % TAR_BLOCK_BYTES !== 0) throw endError(at, 'the last block is cut short')
    if (this.#entries !== this.#expected) {
      throw endError(at, `${this.#entries} entries, but the manifest names ${this.#expected}`)
    }
  }

  #step(): TarEvent | undefined {
    switch (this.#state) {
      case 'header':
        return this.#header()
      case 'pax':
        return this.#extendedHeader()
      case 'content':
        return this.#content()
      case 'padding':
        return this.#skipPadding()
      case 'ended':
        return this.#zeros()
    }
  }

  #header(): TarEvent | undefined {
    if (this.#gatheredBytes === 0) this.#headerAt = this.#before + this.#used
    const block = this.#gather(TAR_BLOCK_BYTES)
    if (block === undefined) return undefined
    const header = decodeTarHeader(block, this.#headerAt)
    if (header === undefined) return this.#zeroBlock()
    if (this.#zeroBlocks > 0) throw tarError(this.#headerAt, 'it comes after a block of zeros')
    if (header.typeFlag === 'x') return this.#announcePax(header)
    return this.#entry(header)
  }

  #zeroBlock(): undefined {
    if (this.#pax !== undefined) throw tarError(this.#headerAt, 'no entry follows the pax header')
    this.#zeroBlocks += 1
    if (this.#zeroBlocks === 2) this.#state = 'ended'
  }

  #announcePax(header: TarHeader): undefined {
    if (this.#pax !== undefined) throw tarError(this.#headerAt, 'two pax headers for one entry')
    enforce('tarPaxBytes', header.size, `the pax header at byte ${this.#headerAt} of the tree`)
    if (header.size === 0) throw tarError(this.#headerAt, 'the pax header is empty')
    this.#left = header.size
    this.#state = 'pax'
  }

  #extendedHeader(): undefined {
    const block = this.#gather(this.#left)
    if (block === undefined) return
    this.#pax = decodePax(block, this.#headerAt)
    this.#startPadding(this.#left)
  }

  #entry(header: TarHeader): TarEvent {
    this.#entries += 1
    if (this.#entries > this.#expected) {
      throw tarError(
        this.#headerAt,
        `the manifest names ${this.#expected} entries, here is one more`,
      )
    }
    const entry = tarEntry(header, this.#pax ?? NO_PAX, this.#headerAt)
    this.#pax = undefined
    this.#admit(entry)
    if (entry.kind === 'file' && entry.bytes > 0) {
      this.#left = entry.bytes
      this.#padding = alignUp(entry.bytes, TAR_BLOCK_BYTES) - entry.bytes
      this.#state = 'content'
    }
    return { kind: 'entry', entry }
  }

  #admit(entry: TarEntry): void {
    if (entry.kind === 'hard-link' && !this.#names.isFile(entry.target)) {
      throw pathError(entry.path, 'it links to what is no file that came before it')
    }
    const isFile = entry.kind === 'file' || entry.kind === 'hard-link'
    const isDirectory = entry.kind === 'directory'
    this.#names.add(entry.path, isDirectory ? 'directory' : isFile ? 'file' : 'other')
  }

  #content(): TarEvent {
    const bytes = this.#chunk.subarray(this.#used, this.#used + this.#left)
    this.#used += bytes.length
    this.#left -= bytes.length
    const last = this.#left === 0
    if (last) {
      this.#left = this.#padding
      this.#state = this.#left === 0 ? 'header' : 'padding'
    }
    return { kind: 'content', bytes, last }
  }

  #startPadding(contentBytes: number): void {
    this.#left = alignUp(contentBytes, TAR_BLOCK_BYTES) - contentBytes
    this.#state = this.#left === 0 ? 'header' : 'padding'
  }

  #skipPadding(): undefined {
    const bytes = Math.min(this.#left, this.#chunk.length - this.#used)
    this.#requireZeros(bytes, 'the padding is not zero')
    this.#left -= bytes
    if (this.#left === 0) this.#state = 'header'
  }

  #zeros(): undefined {
    this.#requireZeros(this.#chunk.length - this.#used, 'something follows the end of the tar')
  }

  /** Passes over the next bytes of the chunk. */
  #requireZeros(bytes: number, otherwise: string): void {
    const end = this.#used + bytes
    for (; this.#used < end; this.#used += 1) {
      if (this.#chunk[this.#used] !== 0) throw endError(this.#before + this.#used, otherwise)
    }
  }

  /** `bytes` bytes in one piece, or `undefined` when the chunk is used up before. */
  #gather(bytes: number): Buffer | undefined {
    const piece = this.#chunk.subarray(this.#used, this.#used + bytes - this.#gatheredBytes)
    this.#used += piece.length
    if (piece.length === bytes) return piece
    piece.copy(this.#gathered, this.#gatheredBytes)
    this.#gatheredBytes += piece.length
    if (this.#gatheredBytes < bytes) return undefined
    this.#gatheredBytes = 0
    return this.#gathered.subarray(0, bytes)
  }
}

function endError(atByte: number, what: string): OsflashError {
  return new OsflashError('format', `reading the tree up to byte ${atByte}: ${what}`, {
    data: { byte: atByte },
  })
}
