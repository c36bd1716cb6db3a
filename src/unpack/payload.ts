/**
 * One payload, ready to be read: its index, and the geometry of its segments.
 *
 * 1. The index member is read whole; its SHA-256 and the digests of both its parts come from
 *    the manifest and are checked before it is parsed.
 * 2. The first block of each segment is read and checked by its digest; its header gives the
 *    salt. So every thread can open any chunk, and nothing is derived from unchecked bytes.
 * 3. Digests go to shared memory, where the workers find them by number.
 */
import { createHash } from 'node:crypto'
import { blockRange } from '../encrypt/blocks.ts'
import {
  LITERAL_HEADER_BYTES,
  parseSegmentHeader,
  type SegmentGeometry,
  segmentGeometry,
} from '../encrypt/segment-layout.ts'
import { OsflashError } from '../errors.ts'
import { blake3 } from '../format/digest.ts'
import { DIGEST_BYTES, type PayloadIndex, parseBlocks, parseContent } from '../format/index.ts'
import { enforce } from '../format/limits.ts'
import type { CodecName, PayloadEntry } from '../format/manifest.ts'
import { indexMember, type PlacedMember, segmentMember } from '../format/members.ts'
import type { OpenImage } from './image.ts'
import { mismatch } from './payload-errors.ts'

/** One segment of a payload. */
export interface LoadedSegment {
  readonly name: string
  /** Where the member's content begins in the image. */
  readonly contentOffset: number
  readonly geometry: SegmentGeometry
  readonly salt: Uint8Array
  /** Number of its first frame and of its first block in the payload. */
  readonly firstFrame: number
  readonly frameCount: number
  readonly firstBlock: number
}

export interface LoadedPayload {
  readonly entry: PayloadEntry
  readonly index: PayloadIndex
  readonly segments: readonly LoadedSegment[]
  readonly codec: CodecName
  /** 32 bytes for each block, then 32 bytes for each frame; shared with the workers. */
  readonly blockDigests: SharedArrayBuffer
  readonly frameDigests: SharedArrayBuffer
}

/** Reads and checks all indexes of an image, and the first block of every segment. */
export async function loadPayloads(image: OpenImage): Promise<LoadedPayload[]> {
  const payloads: LoadedPayload[] = []
  for (const entry of image.manifest.payloads) payloads.push(await loadPayload(image, entry))
  return payloads
}

/**
 * Reads and checks the index alone, which needs no segment.
 * @throws OsflashError `digest`, `format` or `limit`
 */
export async function loadIndex(
  image: OpenImage,
  entry: PayloadEntry,
): Promise<{ index: PayloadIndex; blocks: Uint8Array }> {
  const name = indexMember(entry.name)
  const bytes = new Uint8Array(entry.index.bytes)
  await image.source.read(findMember(image, name).contentOffset, bytes)
  const content = bytes.subarray(0, entry.index.contentBytes)
  const blocks = bytes.subarray(entry.index.contentBytes)
  const held =
    createHash('sha256').update(bytes).digest('hex') === entry.index.sha256 &&
    blake3(content).toString('hex') === entry.index.contentDigest &&
    blake3(blocks).toString('hex') === entry.index.blocksDigest
  if (!held) throw mismatch(name, 0)
  const index = parseContent(content, entry.name)
  if (index.rawBytes !== entry.rawBytes || index.segmentFrames.length !== entry.segments.length) {
    throw new OsflashError('format', `reading ${name}: the manifest describes another payload`)
  }
  return { index, blocks }
}

async function loadPayload(image: OpenImage, entry: PayloadEntry): Promise<LoadedPayload> {
  const { index, blocks } = await loadIndex(image, entry)
  const geometries = entry.segments.map((segment) => {
    const { chunkOctet } = image.manifest.encryption
    return segmentGeometry({ memberBytes: segment.bytes, chunkOctet })
  })
  const blockCount = geometries.reduce((sum, geometry) => sum + geometry.chunkCount, 0)
  const digests = parseBlocks(blocks, blockCount, entry.name)
  const segments: LoadedSegment[] = []
  let firstFrame = 0
  let firstBlock = 0
  for (const [i, geometry] of geometries.entries()) {
    const name = segmentMember(entry.name, i, entry.codec)
    const { contentOffset } = findMember(image, name)
    const frameCount = index.segmentFrames[i] ?? 0
    const first = digests.subarray(firstBlock * DIGEST_BYTES, (firstBlock + 1) * DIGEST_BYTES)
    const salt = await readSalt(image, { name, contentOffset, geometry, digest: first })
    segments.push({ name, contentOffset, geometry, salt, firstFrame, frameCount, firstBlock })
    checkPlainBytes(entry, index, { i, firstFrame, frameCount, geometry })
    firstFrame += frameCount
    firstBlock += geometry.chunkCount
  }
  const { codec } = entry
  const frameDigests = shared(index.frames.map((frame) => frame.digest))
  return { entry, index, segments, codec, blockDigests: shared([digests]), frameDigests }
}

/** The frames of a segment fill its plaintext exactly, and its member is as long as they say. */
function checkPlainBytes(
  entry: PayloadEntry,
  index: PayloadIndex,
  at: Pick<LoadedSegment, 'firstFrame' | 'frameCount' | 'geometry'> & { readonly i: number },
): void {
  const frames = index.frames.slice(at.firstFrame, at.firstFrame + at.frameCount)
  const bytes = frames.reduce((sum, frame) => sum + frame.packedLength, LITERAL_HEADER_BYTES)
  const name = segmentMember(entry.name, at.i, entry.codec)
  enforce('segmentPlainBytes', bytes, name)
  if (bytes !== entry.segments[at.i]?.plainBytes || bytes !== at.geometry.plaintextBytes) {
    throw new OsflashError('format', `reading ${name}: its frames do not fill it`)
  }
}

interface SegmentStart {
  readonly name: string
  readonly contentOffset: number
  readonly geometry: SegmentGeometry
  readonly digest: Uint8Array
}

async function readSalt(image: OpenImage, start: SegmentStart): Promise<Uint8Array> {
  const { geometry, name } = start
  const block = new Uint8Array(blockRange(geometry, 0, 0).bytes)
  await image.source.read(start.contentOffset, block)
  if (!blake3(block).equals(start.digest)) throw mismatch(name, 0)
  const cipher = parseSegmentHeader(block, geometry.memberBytes)
  const { aead, chunkOctet } = image.manifest.encryption
  if (cipher.aead !== aead || cipher.chunkOctet !== chunkOctet) {
    throw new OsflashError('format', `reading ${name}: another cipher than the manifest says`)
  }
  return cipher.salt
}

function findMember(image: OpenImage, name: string): PlacedMember {
  const member = image.placeOf.get(name)
  if (member === undefined) throw new OsflashError('format', `reading ${name}: no such member`)
  return member
}

function shared(parts: readonly Uint8Array[]): SharedArrayBuffer {
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  const bytes = new Uint8Array(new SharedArrayBuffer(total))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes.buffer
}
