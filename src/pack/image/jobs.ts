/**
 * What the threads of the image writer are given, and the jobs that they take.
 *
 * 1. `PackSetup` goes to each worker once: paths for messages, tables, shared slots, the key.
 * 2. A job is an operation and a few numbers; file descriptors belong to the process, so a
 *    number is enough for a worker to read and write a file that the main thread opened.
 * 3. Answers end with a digest of 32 numbers, where there is one.
 */
import type { Aead, CodecName } from '../../format/manifest.ts'
import type { Slots } from '../../system/shared-buffers.ts'
import type { RangeTable } from './unused.ts'

export const OPERATION = { scan: 0, compress: 1, seal: 2, sha256: 3, copy: 4 } as const

/** A file that the main thread keeps open while workers use it. */
export interface OpenedFile {
  readonly path: string
  readonly fd: number
}

/** A payload as the workers read it. */
export interface OpenedPayload extends OpenedFile {
  /** Where the payload begins in the file. */
  readonly fileOffset: number
  readonly unused: RangeTable
}

export interface PackSetup {
  readonly payloads: readonly OpenedPayload[]
  readonly spool: OpenedFile
  /** The image under its partial name. */
  readonly image: OpenedFile
  readonly codec: CodecName
  readonly level: number
  readonly aead: Aead
  readonly chunkOctet: number
  readonly sessionKey: Uint8Array
  /** The ring of what was read of the payloads, and a slot behind its end: raw-ring.ts. */
  readonly rawSlots: Slots
  /** Packed frames, see `packedBound`. */
  readonly packedSlots: Slots
  /** Chunks, see chunk-slot.ts. */
  readonly chunkSlots: Slots
}
