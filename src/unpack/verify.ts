/**
 * Verifies an image without writing anything.
 *
 * 1. Signatures, manifest, archive and indexes, as for every use of an image.
 * 2. Every block against its digest, in the workers; every member against its SHA-256, in order.
 * 3. With an identity: every frame opened, decompressed, and its raw bytes against their digest.
 */
import { createHash } from 'node:crypto'
import type { Source } from '../deliver/source.ts'
import { blockRange } from '../encrypt/blocks.ts'
import type { SecretKey } from '../encrypt/keys.ts'
import { SEGMENT_HEADER_BYTES, type SegmentGeometry, TAG_BYTES } from '../encrypt/segment-layout.ts'
import { decryptSessionKey } from '../encrypt/session-key.ts'
import { OsflashError, throwIfCancelled } from '../errors.ts'
import { type Emit, inPhase } from '../events.ts'
import { type DecodeThreads, startDecodeThreads } from './decode-threads.ts'
import { type Engine, startEngine } from './engine.ts'
import { type FrameJob, frameJobs } from './frame-job.ts'
import { type CheckSignatures, type OpenImage, openImage } from './image.ts'
import { type LoadedPayload, type LoadedSegment, loadPayloads } from './payload.ts'

export interface VerifyOptions {
  readonly source: Source
  readonly check: CheckSignatures
  /** Empty: digests and signatures only. Or the session key itself (32 octets). */
  readonly identities: readonly SecretKey[] | { readonly sessionKey: Uint8Array }
  readonly workers?: number
  /** Threads that were started before; they are ended with the run. */
  readonly threads?: DecodeThreads
  readonly emit: Emit
  readonly signal?: AbortSignal
}

export interface VerifyReport {
  readonly image: OpenImage
  readonly blocks: number
  /** Frames checked down to their raw bytes; 0 without an identity. */
  readonly frames: number
  readonly packedBytes: number
  readonly rawBytes: number
}

/** @throws OsflashError `signature`, `digest`, `format`, `limit`, `decryption`, with the place */
export async function verifyImage(options: VerifyOptions): Promise<VerifyReport> {
  const { emit, source, identities } = options
  const image = await openImage(source, options.check)
  const sessionKey =
    'sessionKey' in identities
      ? identities.sessionKey
      : identities.length > 0
        ? await decryptSessionKey(image.keysBytes, identities)
        : undefined
  const payloads = await loadPayloads(image)
  await using threads = options.threads ?? startDecodeThreads(options.workers)
  await using engine = startEngine({
    source,
    payloads,
    aead: image.manifest.encryption.aead,
    sinkDepth: 1,
    ...(sessionKey === undefined ? {} : { sessionKey }),
    threads,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  const checking = { options, payloads, engine }
  const sealed = await inPhase(emit, 'checking blocks', () => checkSegments(checking))
  const raw =
    sessionKey !== undefined
      ? await inPhase(emit, 'checking frames', () => checkFrames(checking))
      : { frames: 0, rawBytes: 0 }
  return { image, ...sealed, ...raw }
}

interface Checking {
  readonly options: VerifyOptions
  readonly payloads: readonly LoadedPayload[]
  readonly engine: Engine
}

async function checkSegments(checking: Checking): Promise<{ blocks: number; packedBytes: number }> {
  const { options, payloads } = checking
  const segments = payloads.flatMap((loaded, payload) =>
    loaded.segments.map((segment, number) => ({ loaded, payload, segment, number })),
  )
  const total = segments.reduce((sum, { segment }) => sum + segment.geometry.memberBytes, 0)
  let packedBytes = 0
  let blocks = 0
  for (const { loaded, payload, segment, number } of segments) {
    throwIfCancelled(options.signal)
    const digest = await hashSegment(checking, {
      segment,
      payload,
      number,
      before: packedBytes,
      total,
    })
    if (digest !== loaded.entry.segments[number]?.sha256) {
      throw new OsflashError('digest', `reading ${segment.name}: its SHA-256 does not match`)
    }
    packedBytes += segment.geometry.memberBytes
    blocks += segment.geometry.chunkCount
  }
  return { blocks, packedBytes }
}

interface SegmentCheck {
  readonly segment: LoadedSegment
  readonly payload: number
  readonly number: number
  /** For progress: bytes of the segments before, and of all. */
  readonly before: number
  readonly total: number
}

/**
 * Checks the blocks of a segment, in runs that fit a slot; gives the SHA-256 of the member.
 * Runs are read and checked side by side; only the SHA-256 takes them in turn.
 */
async function hashSegment({ options, engine }: Checking, check: SegmentCheck): Promise<string> {
  const { geometry, contentOffset } = check.segment
  const hash = createHash('sha256')
  const checks: Promise<void>[] = []
  for (const run of blockRuns(geometry, engine.packedSlotBytes)) {
    const { offset, bytes, first: firstChunk, last: lastChunk } = run
    const { payload, number: segment } = check
    const blocks = { payload, segment, firstChunk, lastChunk, sealedBytes: bytes }
    const earlier = checks.at(-1) ?? Promise.resolve()
    const checked = engine.checkBlocks(blocks, contentOffset + offset, async (sealed) => {
      await earlier
      hash.update(sealed)
      const done = check.before + offset + bytes
      const { total } = check
      options.emit({ event: 'progress', phase: 'checking blocks', done, total, unit: 'bytes' })
    })
    checks.push(checked)
  }
  for (const result of await Promise.allSettled(checks)) {
    if (result.status === 'rejected') throw result.reason
  }
  return hash.digest('hex')
}

interface BlockRunPlace {
  readonly offset: number
  readonly bytes: number
  readonly first: number
  readonly last: number
}

function* blockRuns(geometry: SegmentGeometry, slotBytes: number): Generator<BlockRunPlace> {
  const chunks = Math.floor(
    (slotBytes - SEGMENT_HEADER_BYTES - TAG_BYTES) / (geometry.chunkBytes + TAG_BYTES),
  )
  const step = Math.max(1, chunks)
  for (let first = 0; first < geometry.chunkCount; first += step) {
    const last = Math.min(first + step, geometry.chunkCount) - 1
    yield { ...blockRange(geometry, first, last), first, last }
  }
}

async function checkFrames(checking: Checking): Promise<{ frames: number; rawBytes: number }> {
  const { options, payloads, engine } = checking
  const total = payloads.reduce(
    (sum, { index }) => sum + index.frames.reduce((bytes, frame) => bytes + frame.rawLength, 0),
    0,
  )
  let done = 0
  let frames = 0
  await engine.run({
    jobs: allJobs(payloads),
    checkRaw: true,
    sink: async (_job, raw) => {
      done += raw.length
      frames += 1
      options.emit({ event: 'progress', phase: 'checking frames', done, total, unit: 'bytes' })
    },
  })
  return { frames, rawBytes: done }
}

function* allJobs(payloads: readonly LoadedPayload[]): Generator<FrameJob> {
  for (const [number, payload] of payloads.entries()) yield* frameJobs(payload, number)
}
