/**
 * The options of `packImage`, checked once and filled with defaults.
 *
 * 1. `settle` refuses what lies outside a range or would leave an image that nobody can read or
 *    trust.
 * 2. `makeSetup` sizes the slots: a frame for each worker and a few more, and as many chunks as one
 *    frame for each worker can fill, so that sealing keeps up with packing. They are most of the
 *    memory of a run, whatever the size of the source.
 */
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import type { Certificate, SecretKey } from '../../encrypt/keys.ts'
import { chunkBytesOf } from '../../encrypt/segment-layout.ts'
import { OsflashError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { packedBound } from '../../format/codec.ts'
import { CODEC_LEVELS } from '../../format/codec-levels.ts'
import { LIMITS } from '../../format/limits.ts'
import type { Aead, CodecName } from '../../format/manifest.ts'
import { makeSlots } from '../../system/shared-buffers.ts'
import { MIB } from '../../units.ts'
import { chunkSlotBytes } from './chunk-slot.ts'
import type { PackSetup } from './jobs.ts'
import { WINDOW_BYTES } from './raw-ring.ts'

export interface PackOptions {
  /** Path of the image. */
  readonly output: string
  /** Replaces an image of that name. */
  readonly force?: boolean
  /** Who may decrypt: 1 to 1,024 certificates. */
  readonly recipients: readonly Certificate[]
  /** Who signs: 1 to 16 unlocked keys. */
  readonly signers: readonly SecretKey[]
  /** Default `zstd`. */
  readonly codec?: CodecName
  /** Within `CODEC_LEVELS`. */
  readonly level?: number
  /** Threads, 1 to 256; default: one for each processor. */
  readonly workers?: number
  /** Default `ocb`. */
  readonly aead?: Aead
  /** A chunk has 2^(chunkOctet + 6) bytes; 6 to 16. */
  readonly chunkOctet?: number
  /** Where the spool file goes; default: the folder of the image. */
  readonly scratchDirectory?: string
  readonly signal?: AbortSignal
  readonly emit: Emit
}

/** Options with nothing left open. */
export type Settings = Required<Omit<PackOptions, 'signal' | 'emit'>> & {
  readonly signal: AbortSignal | undefined
}

/** @throws OsflashError `usage`, naming the option */
export function settle(options: PackOptions): Settings {
  const codec = options.codec ?? 'zstd'
  const { min, max, default: usual } = CODEC_LEVELS[codec]
  const settings: Settings = {
    output: options.output,
    force: options.force ?? false,
    recipients: options.recipients,
    signers: options.signers,
    codec,
    level: options.level ?? usual,
    workers: options.workers ?? availableParallelism(),
    aead: options.aead ?? 'ocb',
    chunkOctet: options.chunkOctet ?? LIMITS.chunkOctetDefault,
    scratchDirectory: options.scratchDirectory ?? dirname(options.output),
    signal: options.signal,
  }
  between({ what: `level of ${codec}`, value: settings.level, min, max })
  between({ what: 'number of workers', value: settings.workers, min: 1, max: 256 })
  const { chunkOctetMin, chunkOctetMax, recipients, signatures } = LIMITS
  const chunkOctet = settings.chunkOctet
  between({ what: 'chunk octet', value: chunkOctet, min: chunkOctetMin, max: chunkOctetMax })
  const { length: readers } = settings.recipients
  between({ what: 'number of recipients', value: readers, min: 1, max: recipients })
  const { length: signers } = settings.signers
  between({ what: 'number of signing keys', value: signers, min: 1, max: signatures })
  return settings
}

interface Range {
  readonly what: string
  readonly value: number
  readonly min: number
  readonly max: number
}

function between({ what, value, min, max }: Range): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new OsflashError('usage', `packing an image: ${what} is ${value}, not ${min} to ${max}`, {
    data: { what, value, min, max },
  })
}

/** Frames that are packed while an earlier one is still waited for, besides one for each worker. */
const FRAMES_AHEAD = 3
/** Windows that are read ahead: that is so much faster than packing them. */
export const WINDOWS_AHEAD = 2
/** A packed frame of ordinary files. */
const PACKED_FRAME_BYTES = 1.5 * MIB

/** What the workers get, and the files that the main thread opened for them. */
export type SetupParts = Pick<PackSetup, 'payloads' | 'spool' | 'image' | 'sessionKey'>

/** Allocates the slots. */
export function makeSetup(settings: Settings, parts: SetupParts): PackSetup {
  const { codec, level, aead, chunkOctet, workers } = settings
  const chunkBytes = chunkBytesOf(chunkOctet)
  const frames = workers + FRAMES_AHEAD
  const chunks = Math.ceil((workers * PACKED_FRAME_BYTES) / chunkBytes)
  return {
    payloads: parts.payloads,
    spool: parts.spool,
    image: parts.image,
    sessionKey: parts.sessionKey,
    codec,
    level,
    aead,
    chunkOctet,
    // Frames may cross into another window, the next one may still be growing, and the last slot
    // is for the frame that crosses the end of the ring.
    rawSlots: makeSlots(frames + WINDOWS_AHEAD + 4, WINDOW_BYTES),
    // One of them is in use by the main thread.
    packedSlots: makeSlots(frames + 1, packedBound(LIMITS.frameRawBytes)),
    // Two more: chunk 0, which is kept until its segment ends, and the one being filled.
    chunkSlots: makeSlots(Math.max(workers, chunks) + 2, chunkSlotBytes(chunkBytes)),
  }
}
