/**
 * Unpacks an image of file trees into a directory.
 *
 * 1. Signature, manifest, key, indexes and limits first; nothing is made before they hold.
 * 2. An image of one tree goes to the directory itself, one of several to a folder for each. The
 *    directory is made, or is empty.
 * 3. Frames are decoded in parallel, as for a disk, but handed on in order: the bytes are a tar.
 *    Runs of zeros, which have no frame, are put back between them.
 * 4. The tree sink checks every header before it makes anything (tree/). The same threads that
 *    decode make the files, straight from the memory of the frames.
 * 5. The file system is synced, so that success means on the disk.
 *
 * Not promised: going on after an interruption; a tree is started again in an empty directory.
 */
import { join, resolve } from 'node:path'
import type { Source } from '../deliver/source.ts'
import type { SecretKey } from '../encrypt/keys.ts'
import { decryptSessionKey } from '../encrypt/session-key.ts'
import { type Emit, inPhase } from '../events.ts'
import { enforce } from '../format/limits.ts'
import { run } from '../system/run.ts'
import { MIB } from '../units.ts'
import { type DecodeThreads, startDecodeThreads } from './decode-threads.ts'
import { type Engine, startEngine } from './engine.ts'
import { frameJobs } from './frame-job.ts'
import { type CheckSignatures, expectKind, openImage } from './image.ts'
import { type LoadedPayload, loadPayloads } from './payload.ts'
import type { StageTimes } from './stage-times.ts'
import { makeBatchSlots, type TreeThreads } from './tree/tree-crew.ts'
import { openTreeSink, type TreeSink } from './tree/tree-sink.ts'
import { openTarget, prepareTarget } from './tree/tree-target.ts'

/** Frames that wait for their turn while an earlier one is still being decoded. */
const FRAMES_WAITING = 4
const ZEROS = new Uint8Array(MIB)

export interface UnpackTreeOptions {
  readonly source: Source
  readonly check: CheckSignatures
  readonly identities: readonly SecretKey[]
  /** Empty or not there yet; an image of several trees makes a folder for each. */
  readonly directory: string
  readonly workers?: number
  /** Threads that were started before; they are ended with the run. */
  readonly threads?: DecodeThreads
  readonly emit: Emit
  readonly signal: AbortSignal
}

export interface UnpackTreeReport {
  readonly entries: number
  readonly bytes: number
  readonly frames: number
  readonly stages: StageTimes
}

/** @throws OsflashError of any code; what was made stays for the operator to look at */
export async function unpackTree(options: UnpackTreeOptions): Promise<UnpackTreeReport> {
  const { source, emit, signal } = options
  const image = await openImage(source, options.check)
  expectKind(image, 'tree')
  const sessionKey = await decryptSessionKey(image.keysBytes, options.identities)
  const payloads = await loadPayloads(image)
  for (const payload of payloads) {
    enforce('tarEntries', entriesOf(payload), `payload ${payload.entry.name} of the manifest`)
  }
  await using threads = options.threads ?? startDecodeThreads(options.workers)
  const batches = makeBatchSlots(threads.workers)
  await using engine = startEngine({
    source,
    payloads,
    aead: image.manifest.encryption.aead,
    sessionKey,
    sinkDepth: FRAMES_WAITING,
    batches,
    signal,
    threads,
  })
  const { rawMemory: content, makeEntries } = engine
  const crew = { content, batches, makeEntries }
  const bytes = await inPhase(emit, 'extracting', () =>
    extractAll(options, { engine, crew }, payloads),
  )
  await inPhase(emit, 'flushing', () => flush(options.directory, signal))
  const entries = payloads.reduce((sum, payload) => sum + entriesOf(payload), 0)
  const frames = payloads.reduce((sum, { index }) => sum + index.frames.length, 0)
  return { entries, bytes, frames, stages: engine.stages() }
}

interface TreeEngine {
  readonly engine: Engine
  readonly crew: TreeThreads
}

/** Gives the number of bytes of all tars. */
async function extractAll(
  options: UnpackTreeOptions,
  parts: TreeEngine,
  payloads: readonly LoadedPayload[],
): Promise<number> {
  const total = payloads.reduce((sum, { entry }) => sum + entry.rawBytes, 0)
  let done = 0
  const progress = (written: number): void => {
    done += written
    options.emit({ event: 'progress', phase: 'extracting', done, total, unit: 'bytes' })
  }
  const parent = payloads.length === 1 ? undefined : prepareTarget(options.directory)
  for (const [number, payload] of payloads.entries()) {
    const { name } = payload.entry
    const directory = parent === undefined ? options.directory : join(parent.directory, name)
    await extract({ ...options, directory }, { ...parts, payload, number, progress })
  }
  if (parent !== undefined) openTarget(parent)
  return done
}

/** @throws OsflashError `process` when the kernel could not write something back, `cancelled` */
async function flush(directory: string, signal: AbortSignal): Promise<void> {
  await run(['sync', '-f', resolve(directory)], { signal })
}

interface TreePart extends TreeEngine {
  readonly payload: LoadedPayload
  readonly number: number
  readonly progress: (written: number) => void
}

async function extract(options: UnpackTreeOptions, part: TreePart): Promise<void> {
  const { directory, signal, emit } = options
  const entries = entriesOf(part.payload)
  const tree = openTreeSink({ directory, entries, signal, emit, threads: part.crew })
  try {
    const writer = inOrder(tree, part)
    await part.engine.run({
      jobs: frameJobs(part.payload, part.number),
      sink: (job, raw) => writer.write(job.frame, job.rawOffset, raw),
      onFailure: (reason) => writer.giveUp(reason),
    })
    await writer.zeros(part.payload.entry.rawBytes)
    await tree.end()
  } catch (error) {
    await tree.abort()
    throw error
  }
}

interface OrderedWriter {
  /** Waits for the frame's turn, then until nothing needs its bytes. */
  write(frame: number, rawOffset: number, raw: Uint8Array): Promise<void>
  /** Goes on with zeros up to this place of the tar. */
  zeros(upTo: number): Promise<void>
  /** Frames that wait for one that will not come fail with this reason. */
  giveUp(reason: unknown): void
}

interface Turn {
  readonly take: () => void
  readonly fail: (reason: unknown) => void
}

function inOrder(tree: TreeSink, { progress }: TreePart): OrderedWriter {
  const waiting = new Map<number, Turn>()
  let turn = 0
  let position = 0
  let lost: { readonly reason: unknown } | undefined
  const moveOn = (bytes: number): void => {
    position += bytes
    progress(bytes)
  }
  const zeros = async (upTo: number): Promise<void> => {
    while (position < upTo) {
      const chunk = ZEROS.subarray(0, upTo - position)
      await tree.take(chunk, true)
      moveOn(chunk.length)
    }
  }
  const myTurn = (frame: number): Promise<void> =>
    new Promise((take, fail) => {
      if (lost !== undefined) fail(lost.reason)
      else if (frame === turn) take()
      else waiting.set(frame, { take, fail })
    })
  return {
    zeros,
    write: async (frame, rawOffset, raw) => {
      await myTurn(frame)
      await zeros(rawOffset)
      const { made } = await tree.take(raw)
      moveOn(raw.length)
      turn = frame + 1
      waiting.get(turn)?.take()
      waiting.delete(turn)
      await made
    },
    giveUp: (reason) => {
      lost = { reason }
      for (const { fail } of waiting.values()) fail(reason)
      waiting.clear()
    },
  }
}

function entriesOf(payload: LoadedPayload): number {
  const { place } = payload.entry
  return place.kind === 'tree' ? place.entries : 0
}
