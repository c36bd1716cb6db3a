/**
 * What packing did, in figures.
 *
 * 1. Sizes come from what was written, seconds from the phases' own events.
 * 2. Phases overlap, so their seconds do not add up to the whole.
 */
import type { Emit } from '../../events.ts'
import type { ImageSource } from '../source.ts'
import type { PackedPayload } from './payload-writer.ts'

export interface PackedPayloadReport {
  readonly name: string
  readonly rawBytes: number
  /** Bytes in DATA extents. */
  readonly dataBytes: number
  /** Size of its segments. */
  readonly packedBytes: number
  /** BLAKE3 of the content part of its index: the same for the same raw bytes. */
  readonly contentDigest: string
}

export interface PackReport {
  /** Size of the image. */
  readonly bytes: number
  readonly rawBytes: number
  readonly dataBytes: number
  readonly packedBytes: number
  readonly frames: number
  readonly segments: number
  readonly payloads: readonly PackedPayloadReport[]
  /** Seconds of each phase, by its name. */
  readonly seconds: Readonly<Record<string, number>>
}

/** Passes events on and remembers how long each phase took. */
export function timedEmit(emit: Emit) {
  const seconds: Record<string, number> = {}
  return {
    seconds,
    emit: (event: Parameters<Emit>[0]): void => {
      if (event.event === 'phase' && event.seconds !== undefined) {
        seconds[event.phase] = event.seconds
      }
      emit(event)
    },
  }
}

interface ReportParts {
  readonly source: ImageSource
  readonly packed: readonly PackedPayload[]
  readonly bytes: number
  readonly seconds: PackReport['seconds']
}

export function reportOf({ source, packed, bytes, seconds }: ReportParts): PackReport {
  const payloads = packed.map(({ described, dataBytes }, i) => ({
    name: source.payloads[i]?.name ?? '',
    rawBytes: described.rawBytes,
    dataBytes,
    packedBytes: described.segments.reduce((sum, segment) => sum + segment.bytes, 0),
    contentDigest: described.index.contentDigest,
  }))
  const total = (of: (payload: PackedPayloadReport) => number): number =>
    payloads.reduce((sum, payload) => sum + of(payload), 0)
  return {
    bytes,
    rawBytes: total(({ rawBytes }) => rawBytes),
    dataBytes: total(({ dataBytes }) => dataBytes),
    packedBytes: total(({ packedBytes }) => packedBytes),
    frames: packed.reduce((sum, { frames }) => sum + frames, 0),
    segments: packed.reduce((sum, { described }) => sum + described.segments.length, 0),
    payloads,
    seconds,
  }
}
