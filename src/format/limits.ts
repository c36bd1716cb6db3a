/**
 * Every limit on what comes from outside, each with its reason, and the one way to refuse.
 *
 * 1. A limit is named here and nowhere else; `docs/format.md` lists the same figures.
 * 2. `enforce` compares and throws an error that names the limit, the value seen and the place.
 *
 * Not promised: that an image below every limit is sensible, only that it is bounded.
 */
import { OsflashError } from '../errors.ts'
import { GIB, KIB, MIB } from '../units.ts'

export const LIMITS = {
  /** Parsed in one piece after its signature was checked; real ones have a few KiB. */
  manifestBytes: MIB,
  manifestDepth: 8,
  manifestStringBytes: 4 * KIB,
  /** The GPT entry array that every firmware reads has 128 entries. */
  partitions: 128,
  payloads: 256,
  /** 64 TiB of packed data. */
  segments: 65_536,
  segmentPlainBytes: GIB,
  /** Bounds the memory of a worker: packed, opened and raw buffers are multiples of it. */
  frameRawBytes: 4 * MIB,
  /** Data that cannot be compressed grows by less than this in both codecs. */
  framePackedSlackBytes: 64 * KIB,
  /** The decoder's window: more would let a frame ask for memory that no frame needs. */
  windowLog: 23,
  /** 4,294,967,295 frames could be written down; 4 Mi of them are 16 TiB of raw data. */
  frames: 4 * MIB,
  extents: 8 * MIB,
  /** Of all payloads together: what is held in memory while an image is used. */
  indexBytes: 512 * MIB,
  payloadBytes: 64 * 1024 * GIB,
  signatures: 16,
  signatureBytes: 16 * KIB,
  recipients: 1_024,
  keyPacketBytes: 64 * KIB,
  /** 256 KiB: below it calls cost more than the cipher, above it frames share fewer chunks. */
  chunkOctetDefault: 12,
  chunkOctetMin: 6,
  chunkOctetMax: 16,
  /** Bounds extended attributes too: they stand in this block. */
  tarPaxBytes: 64 * KIB,
  tarPathBytes: 4_096,
  tarNameBytes: 255,
  tarDepth: 64,
  tarEntries: 5_000_000,
  /** What browsers follow is 20; a network that delivers images needs one or two. */
  httpRedirects: 5,
  /** Twice what node takes; read before anything of them is believed. */
  httpHeaderBytes: 32 * KIB,
  httpIdleMs: 30_000,
  /** Of all requests to one server together: less is a server that stalls, not a slow line. */
  httpRateBytesPerSecond: 16 * KIB,
  httpRateWindowMs: 60_000,
  httpBackoffFirstMs: 1_000,
  httpBackoffMostMs: 300_000,
  /** Attempts without progress until the first byte was seen: most likely the address is wrong. */
  httpAttemptsOpening: 4,
  /** And after it: with the back-off about a quarter of an hour. */
  httpAttemptsReading: 11,
} as const

/** A name of `LIMITS`. */
export type LimitName = keyof typeof LIMITS

/**
 * Refuses a value above the named limit.
 * @throws OsflashError `limit`, with the limit's name, its value, the value seen and the place
 */
export function enforce(limit: LimitName, value: number, place: string): void {
  if (value <= LIMITS[limit]) return
  throw new OsflashError('limit', `reading ${place}: ${value} is over the limit of ${limit}`, {
    data: { limit, max: LIMITS[limit], value, place },
  })
}
