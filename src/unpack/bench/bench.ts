/**
 * What this machine does with this image: the stage `bench`, from an image to a verdict.
 *
 * 1. open:  signature, manifest, key and indexes, as for every use of an image
 * 2. look:  at the target, before anything is written
 * 3. read, threads, write, together (measure.ts), each for its part of the seconds
 * 4. judge: what limits and what would help (model.ts)
 *
 * Not promised: the time of starting, of partition tables, of ranges of zeros, and of the entries
 * of a tree; rates are those of the frames. `unpack --stats` tells of a whole run.
 */
import { availableParallelism } from 'node:os'
import type { Source } from '../../deliver/source.ts'
import type { SecretKey } from '../../encrypt/keys.ts'
import { decryptSessionKey } from '../../encrypt/session-key.ts'
import { OsflashError } from '../../errors.ts'
import { type Emit, inPhase } from '../../events.ts'
import { run } from '../../system/run.ts'
import { startDecodeThreads } from '../decode-threads.ts'
import { type Engine, startEngine } from '../engine.ts'
import { type FrameJob, frameJobs } from '../frame-job.ts'
import { type CheckSignatures, type OpenImage, openImage } from '../image.ts'
import { type LoadedPayload, loadPayloads } from '../payload.ts'
import { type BenchTarget, lookAtBenchTarget, openBenchTarget } from './bench-target.ts'
import {
  type Amount,
  type Decoded,
  measureRead,
  measureThreads,
  measureTogether,
  measureWrite,
} from './measure.ts'
import { judge, type Measured, type Verdict } from './model.ts'
import { loadSample } from './sample.ts'

/** As many as any disk gets; the target lets fewer through where that is better. */
const WRITES_IN_FLIGHT = 6

export interface BenchOptions {
  readonly source: Source
  readonly check: CheckSignatures
  readonly identities: readonly SecretKey[]
  /** A file, a device, or a directory; absent: everything but writing. */
  readonly to?: string
  readonly overwrite: boolean
  readonly workers?: number
  /** For all measurements together, above 0. */
  readonly seconds: number
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** Rate of a stage alone, in bytes of data (unpacked) a second. */
export interface StageRate {
  readonly bytesPerSecond: number
}

/** The same, and in one thread while all of them work. */
export interface ThreadStageRate extends StageRate {
  readonly bytesPerSecondPerThread: number
}

export interface BenchReport {
  readonly image: string
  /** Of all frames; zeros have none. */
  readonly dataBytes: number
  readonly packedBytes: number
  readonly frames: number
  readonly threads: number
  readonly processors: number
  readonly target?: { readonly path: string; readonly kind: string; readonly direct: boolean }
  readonly stages: {
    readonly read: StageRate & { readonly packedBytesPerSecond: number }
    readonly digest: ThreadStageRate
    readonly open: ThreadStageRate
    readonly decompress: ThreadStageRate
    readonly write?: StageRate
  }
  /** Digest, open and decompress one after another in each thread. */
  readonly allThreads: StageRate
  readonly together: StageRate
  readonly verdict: Verdict
}

/** @throws OsflashError `refused` (no frames, target), and whatever opening an image gives */
export async function benchImage(options: BenchOptions): Promise<BenchReport> {
  const { emit, to, overwrite } = options
  await using threads = startDecodeThreads(options.workers)
  const { image, payloads, sessionKey } = await inPhase(emit, 'opening', () => open(options))
  const jobs = payloads.flatMap((payload, number) => [...frameJobs(payload, number)])
  if (jobs.length === 0) {
    throw new OsflashError('refused', `measuring ${options.source.name}: it holds no data`)
  }
  if (to !== undefined) await tellWhatIsLost(emit, to, overwrite)
  let from: Pick<Source, 'read'> = options.source
  const { source } = options
  await using engine = startEngine({
    source: {
      name: source.name,
      bytes: source.bytes,
      read: (offset, into) => from.read(offset, into),
      [Symbol.asyncDispose]: async () => undefined,
    },
    payloads,
    aead: image.manifest.encryption.aead,
    sessionKey,
    sinkDepth: WRITES_IN_FLIGHT,
    threads,
    ...signalOf(options),
  })
  const bench = { options, engine, jobs }
  const read = await inPhase(emit, 'measuring reads', () => measureRead(readingOf(options)))
  const sample = await loadSample(source, jobs, options.signal)
  from = sample.source
  const decoded = await inPhase(emit, 'measuring threads', () =>
    measureThreads({ engine, jobs: sample.jobs, ...limitsOf(options) }),
  )
  from = source
  const written = to === undefined ? undefined : await measureWriting(bench, to)
  const together = await measureAll(bench)
  return report(bench, { read, decoded, together, ...written })
}

interface Bench {
  readonly options: BenchOptions
  readonly engine: Engine
  readonly jobs: readonly FrameJob[]
}

async function open(options: BenchOptions): Promise<{
  image: OpenImage
  payloads: LoadedPayload[]
  sessionKey: Uint8Array
}> {
  const image = await openImage(options.source, options.check)
  const sessionKey = await decryptSessionKey(image.keysBytes, options.identities)
  return { image, payloads: await loadPayloads(image), sessionKey }
}

async function tellWhatIsLost(emit: Emit, to: string, overwrite: boolean): Promise<void> {
  const place = await lookAtBenchTarget({ to, overwrite })
  if (place === undefined) return
  const text = `overwriting ${to} (${place.kind}, ${place.bytes} bytes): all that is on it is lost`
  emit({ event: 'note', text })
}

interface Written {
  readonly write: Amount
  readonly target: Pick<BenchTarget, 'kind' | 'direct'>
}

async function measureWriting({ options, engine, jobs }: Bench, to: string): Promise<Written> {
  await using target = await openBenchTarget({ ...options, to, frameBytes: engine.rawSlotBytes })
  const writesUnderWay = engine.workers + WRITES_IN_FLIGHT
  const write = await inPhase(options.emit, 'measuring writes', () =>
    measureWrite({ target, jobs, writesUnderWay, ...limitsOf(options) }),
  )
  return { write, target: { kind: target.kind, direct: target.direct } }
}

/** With a new target, so that space is allocated as in a run. */
async function measureAll({ options, engine, jobs }: Bench): Promise<Amount> {
  const { to, emit } = options
  await using target =
    to === undefined
      ? undefined
      : await openBenchTarget({ ...options, to, frameBytes: engine.rawSlotBytes })
  const together = { ...readingOf(options), engine, jobs }
  return await inPhase(emit, 'measuring all together', () =>
    measureTogether(target === undefined ? together : { ...together, target }),
  )
}

function readingOf(options: BenchOptions) {
  const { source } = options
  const forget = async (): Promise<void> => {
    const argv = ['dd', `if=${source.name}`, 'iflag=nocache', 'count=0', 'status=none'] as const
    // A source that is no file has no pages here.
    await run(argv, { statuses: [0, 1], ...signalOf(options) })
  }
  return { source, forget, ...limitsOf(options) }
}

/** Three measurements without a target, four with one. */
function limitsOf(options: BenchOptions) {
  return { seconds: options.seconds / (options.to === undefined ? 3 : 4), ...signalOf(options) }
}

interface Results extends Partial<Written> {
  readonly read: Amount
  readonly decoded: Decoded
  readonly together: Amount
}

function report({ options, engine, jobs }: Bench, results: Results): BenchReport {
  const { read, decoded, write, target, together } = results
  const dataBytes = jobs.reduce((sum, { rawLength }) => sum + rawLength, 0)
  const packedBytes = jobs.reduce((sum, { packedLength }) => sum + packedLength, 0)
  const ratio = dataBytes / packedBytes
  const stage = (seconds: number): ThreadStageRate => {
    const bytesPerSecondPerThread = decoded.bytes / seconds
    const bytesPerSecond = bytesPerSecondPerThread * engine.workers
    return { bytesPerSecond, bytesPerSecondPerThread }
  }
  const { digest, open, decompress } = decoded.times
  const packedBytesPerSecond = rateOf(read)
  const measured: Measured = {
    read: packedBytesPerSecond * ratio,
    threads: rateOf(decoded),
    threadSeconds: { digest, open, decompress },
    together: rateOf(together),
    ratio,
    ...(write === undefined ? {} : { write: rateOf(write) }),
  }
  return {
    image: options.source.name,
    dataBytes,
    packedBytes,
    frames: jobs.length,
    threads: engine.workers,
    processors: availableParallelism(),
    ...(options.to === undefined || target === undefined
      ? {}
      : { target: { path: options.to, ...target } }),
    stages: {
      read: { bytesPerSecond: measured.read, packedBytesPerSecond },
      digest: stage(digest),
      open: stage(open),
      decompress: stage(decompress),
      ...(write === undefined ? {} : { write: { bytesPerSecond: rateOf(write) } }),
    },
    allThreads: { bytesPerSecond: measured.threads },
    together: { bytesPerSecond: measured.together },
    verdict: judge(measured),
  }
}

const rateOf = ({ bytes, seconds }: Amount): number => bytes / seconds

function signalOf(options: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal }
}
