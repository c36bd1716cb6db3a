/**
 * Copies a whole source into a file, so that an interrupted copy goes on.
 *
 * 1. Pieces are read a few at a time, and written in order, each at its offset.
 * 2. So the length of the file says how far it is: `from` is that length.
 * 3. Flushed every 64 MiB and at the end.
 *
 * Not promised: that the bytes are right; whoever copies an image verifies it afterwards. Reserve
 * space with `fallocate --keep-size`, or the length says nothing.
 */
import type { FileHandle } from 'node:fs/promises'
import { ioError, OsflashError, throwIfCancelled } from '../errors.ts'
import { MIB } from '../units.ts'
import type { Source } from './source.ts'

const PIECE_BYTES = 4 * MIB
const PIECES_IN_FLIGHT = 4
const FLUSH_BYTES = 64 * MIB

export interface CopyOptions {
  /** Bytes that the file has already. */
  readonly from: number
  readonly signal?: AbortSignal
  /** Told after each piece: bytes written, those from before included. */
  readonly onProgress?: (doneBytes: number) => void
}

/**
 * @param path of the file, for messages
 * @throws OsflashError `io`, `network`, `cancelled`; what was written until then stays
 */
export async function copySource(
  source: Source,
  { file, path }: { readonly file: FileHandle; readonly path: string },
  options: CopyOptions,
): Promise<void> {
  const { from, signal, onProgress } = options
  if (from > source.bytes) {
    throw new OsflashError('io', `copying ${source.name}: ${path} is longer, ${from} bytes`, {
      hints: [`remove ${path} and run the same command again`],
    })
  }
  const pieces = readAhead(source, from)
  let unflushed = 0
  try {
    for (let piece = pieces.next(); piece !== undefined; piece = pieces.next()) {
      throwIfCancelled(signal)
      const bytes = await piece.bytes
      await write({ file, path }, piece.offset, bytes)
      unflushed += bytes.length
      if (unflushed >= FLUSH_BYTES) {
        await flush({ file, path })
        unflushed = 0
      }
      onProgress?.(piece.offset + bytes.length)
    }
  } finally {
    await pieces.settle()
  }
  await flush({ file, path })
}

interface Piece {
  readonly offset: number
  /** Settles when the piece was read; its bytes hold until the next piece is taken. */
  readonly bytes: Promise<Uint8Array>
}

/** Pieces in order, the next few under way, in as many buffers. */
function readAhead(source: Source, from: number) {
  const free = Array.from({ length: PIECES_IN_FLIGHT }, () => new Uint8Array(PIECE_BYTES))
  const underWay: (Piece & { readonly buffer: Uint8Array<ArrayBuffer> })[] = []
  let taken: Uint8Array<ArrayBuffer> | undefined
  let offset = from
  const start = (buffer: Uint8Array<ArrayBuffer>): void => {
    const piece = buffer.subarray(0, Math.min(PIECE_BYTES, source.bytes - offset))
    const bytes = source.read(offset, piece).then(() => piece)
    // Awaited in its turn; an earlier piece may fail first.
    bytes.catch(() => undefined)
    underWay.push({ offset, bytes, buffer })
    offset += piece.length
  }
  return {
    next: (): Piece | undefined => {
      if (taken !== undefined) free.push(taken)
      while (offset < source.bytes) {
        const buffer = free.pop()
        if (buffer === undefined) break
        start(buffer)
      }
      const first = underWay.shift()
      taken = first?.buffer
      return first
    },
    /** Buffers must not be filled after the copying has ended. */
    settle: () => Promise.allSettled(underWay.map(({ bytes }) => bytes)),
  }
}

interface Destination {
  readonly file: FileHandle
  readonly path: string
}

async function write(to: Destination, offset: number, bytes: Uint8Array): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const at = offset + done
    const { bytesWritten } = await to.file
      .write(bytes, done, bytes.length - done, at)
      .catch((cause: unknown) => {
        throw ioError(`writing ${to.path} at byte ${at}`, cause)
      })
    done += bytesWritten
  }
}

async function flush({ file, path }: Destination): Promise<void> {
  await file.datasync().catch((cause: unknown) => {
    throw ioError(`flushing ${path}`, cause)
  })
}
