/**
 * The index of a payload (docs/format.md, "payloads/NAME.index"), all integers little-endian.
 *
 * | offset | size  | content part                                                    |
 * |--------|-------|-----------------------------------------------------------------|
 * | 0      | 8     | `OSFIDX01`                                                      |
 * | 8      | 8     | raw bytes of the payload                                        |
 * | 16     | 12    | number of extents E, of frames F, of segments S (4 bytes each)  |
 * | 28     | 4     | 0                                                               |
 * | 32     | 24×E  | offset 8, length 8, kind 4 (0 DATA, 1 ZERO, 2 UNUSED), 0        |
 * |        | 48×F  | raw offset 8, raw length 4, packed length 4, BLAKE3 of raw 32   |
 * |        | 4×S   | number of frames of each segment                                |
 *
 * | offset | size  | block part, right after it                                      |
 * |--------|-------|-----------------------------------------------------------------|
 * | 0      | 8     | `OSFBLK01`                                                      |
 * | 8      | 8     | number of blocks B                                              |
 * | 16     | 32×B  | BLAKE3 of each block of each segment, in order                  |
 *
 * 1. The content part depends on the plaintext alone, so rebuilding gives the same digest.
 * 2. The block part covers sealed bytes, which differ with every salt.
 * 3. Parsing checks sums, order, gaps and counts before anything is used.
 */
import { OsflashError } from '../errors.ts'
import { enforce, LIMITS } from './limits.ts'

const CONTENT_MAGIC = 'OSFIDX01'
const BLOCKS_MAGIC = 'OSFBLK01'
const CONTENT_HEADER_BYTES = 32
const BLOCKS_HEADER_BYTES = 16
const EXTENT_BYTES = 24
const FRAME_BYTES = 48
export const DIGEST_BYTES = 32

/** DATA is in frames; ZERO must read as zero; UNUSED need not be written. */
export type ExtentKind = 'data' | 'zero' | 'unused'
const KINDS: readonly ExtentKind[] = ['data', 'zero', 'unused']

export interface Extent {
  readonly offset: number
  readonly length: number
  readonly kind: ExtentKind
}

/** One independent compressed frame: where its raw bytes belong, and what they must be. */
export interface Frame {
  readonly rawOffset: number
  readonly rawLength: number
  readonly packedLength: number
  readonly digest: Uint8Array
}

export interface PayloadIndex {
  readonly rawBytes: number
  readonly extents: readonly Extent[]
  readonly frames: readonly Frame[]
  /** Number of frames in each segment. */
  readonly segmentFrames: readonly number[]
}

/** The content part. */
export function encodeContent(index: PayloadIndex): Buffer {
  const { extents, frames, segmentFrames } = index
  const framesAt = CONTENT_HEADER_BYTES + extents.length * EXTENT_BYTES
  const segmentsAt = framesAt + frames.length * FRAME_BYTES
  const out = Buffer.alloc(segmentsAt + segmentFrames.length * 4)
  out.write(CONTENT_MAGIC, 0, 'latin1')
  out.writeBigUInt64LE(BigInt(index.rawBytes), 8)
  out.writeUInt32LE(extents.length, 16)
  out.writeUInt32LE(frames.length, 20)
  out.writeUInt32LE(segmentFrames.length, 24)
  for (const [i, extent] of extents.entries()) {
    const at = CONTENT_HEADER_BYTES + i * EXTENT_BYTES
    out.writeBigUInt64LE(BigInt(extent.offset), at)
    out.writeBigUInt64LE(BigInt(extent.length), at + 8)
    out.writeUInt32LE(KINDS.indexOf(extent.kind), at + 16)
  }
  for (const [i, frame] of frames.entries()) {
    const at = framesAt + i * FRAME_BYTES
    out.writeBigUInt64LE(BigInt(frame.rawOffset), at)
    out.writeUInt32LE(frame.rawLength, at + 8)
    out.writeUInt32LE(frame.packedLength, at + 12)
    out.set(frame.digest, at + 16)
  }
  for (const [i, count] of segmentFrames.entries()) out.writeUInt32LE(count, segmentsAt + i * 4)
  return out
}

/** The block part: the digests of all blocks of all segments, one after another. */
export function encodeBlocks(digests: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(BLOCKS_HEADER_BYTES)
  header.write(BLOCKS_MAGIC, 0, 'latin1')
  header.writeBigUInt64LE(BigInt(digests.length), 8)
  return Buffer.concat([header, ...digests])
}

/**
 * Parses the content part of the payload `name`.
 * @throws OsflashError `format` or `limit`
 */
export function parseContent(bytes: Uint8Array, name: string): PayloadIndex {
  const buffer = view(bytes)
  const place = `index of payload ${name}`
  if (buffer.length < CONTENT_HEADER_BYTES || !startsWith(buffer, CONTENT_MAGIC)) {
    throw damaged(place, 'not an index')
  }
  const rawBytes = safeNumber(buffer, 8, place)
  const counts = [16, 20, 24].map((at) => buffer.readUInt32LE(at))
  const [extentCount = 0, frameCount = 0, segmentCount = 0] = counts
  enforce('extents', extentCount, place)
  enforce('frames', frameCount, place)
  enforce('segments', segmentCount, place)
  const framesAt = CONTENT_HEADER_BYTES + extentCount * EXTENT_BYTES
  const segmentsAt = framesAt + frameCount * FRAME_BYTES
  if (buffer.length !== segmentsAt + segmentCount * 4 || buffer.readUInt32LE(28) !== 0) {
    throw damaged(place, 'the counts do not fit its length')
  }
  const index = {
    rawBytes,
    extents: parseExtents(buffer.subarray(CONTENT_HEADER_BYTES, framesAt), place),
    frames: parseFrames(buffer.subarray(framesAt, segmentsAt), place),
    segmentFrames: parseSegmentFrames(buffer.subarray(segmentsAt)),
  }
  checkExtents(index, place)
  checkFrames(index, place)
  return index
}

/**
 * Parses the block part; gives one view of 32 bytes for each block.
 * @throws OsflashError `format` when the count is not the expected one
 */
export function parseBlocks(bytes: Uint8Array, expected: number, name: string): Uint8Array {
  const buffer = view(bytes)
  const place = `index of payload ${name}`
  if (buffer.length < BLOCKS_HEADER_BYTES || !startsWith(buffer, BLOCKS_MAGIC)) {
    throw damaged(place, 'no block digests')
  }
  const count = safeNumber(buffer, 8, place)
  if (count !== expected || buffer.length !== BLOCKS_HEADER_BYTES + count * DIGEST_BYTES) {
    throw damaged(place, `${count} block digests where ${expected} belong`)
  }
  return bytes.subarray(BLOCKS_HEADER_BYTES)
}

function parseExtents(buffer: Buffer, place: string): Extent[] {
  const extents: Extent[] = []
  for (let at = 0; at < buffer.length; at += EXTENT_BYTES) {
    const kind = KINDS[buffer.readUInt32LE(at + 16)]
    if (kind === undefined || buffer.readUInt32LE(at + 20) !== 0) {
      throw damaged(place, `extent ${at / EXTENT_BYTES} has an unknown kind`)
    }
    const offset = safeNumber(buffer, at, place)
    extents.push({ offset, length: safeNumber(buffer, at + 8, place), kind })
  }
  return extents
}

function parseFrames(buffer: Buffer, place: string): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < buffer.length; at += FRAME_BYTES) {
    const rawLength = buffer.readUInt32LE(at + 8)
    const packedLength = buffer.readUInt32LE(at + 12)
    const where = `${place}, frame ${frames.length}`
    enforce('frameRawBytes', rawLength, where)
    if (rawLength === 0 || packedLength === 0) throw damaged(where, 'it is empty')
    if (packedLength > rawLength + LIMITS.framePackedSlackBytes) {
      throw damaged(where, 'the packed bytes are more than any codec gives')
    }
    const digest = buffer.subarray(at + 16, at + FRAME_BYTES)
    frames.push({ rawOffset: safeNumber(buffer, at, place), rawLength, packedLength, digest })
  }
  return frames
}

function parseSegmentFrames(buffer: Buffer): number[] {
  return Array.from({ length: buffer.length / 4 }, (_, i) => buffer.readUInt32LE(i * 4))
}

/** Extents cover the payload from its first byte to its last, in order, without a gap. */
function checkExtents(index: PayloadIndex, place: string): void {
  let end = 0
  for (const [i, extent] of index.extents.entries()) {
    if (extent.offset !== end || extent.length === 0) {
      throw damaged(place, `extent ${i} leaves a gap or overlaps`)
    }
    end += extent.length
  }
  if (end !== index.rawBytes) throw damaged(place, 'the extents do not add up to the payload')
}

/** Frames cover the DATA extents, in order, and no frame crosses an extent. */
function checkFrames(index: PayloadIndex, place: string): void {
  let frame = 0
  for (const extent of index.extents) {
    if (extent.kind !== 'data') continue
    let at = extent.offset
    const end = extent.offset + extent.length
    while (at < end) {
      const next = index.frames[frame]
      if (next === undefined || next.rawOffset !== at || at + next.rawLength > end) {
        throw damaged(place, `frame ${frame} is not where its extent says`)
      }
      at += next.rawLength
      frame += 1
    }
  }
  const inSegments = index.segmentFrames.reduce((sum, count) => sum + count, 0)
  if (frame !== index.frames.length || inSegments !== frame || index.segmentFrames.includes(0)) {
    throw damaged(place, 'the frames do not add up')
  }
}

function startsWith(buffer: Buffer, magic: string): boolean {
  return buffer.toString('latin1', 0, magic.length) === magic
}

function safeNumber(buffer: Buffer, at: number, place: string): number {
  const value = buffer.readBigUInt64LE(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(place, 'a number is too large')
  return Number(value)
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function damaged(place: string, why: string): OsflashError {
  return new OsflashError('format', `reading the ${place}: ${why}`)
}
