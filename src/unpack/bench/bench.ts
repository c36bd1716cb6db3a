/**
 * What this machine does with this image: the stage `bench`, from an image to a verdict.
 *
 * 1. open:  signature, manifest, key and indexes, as for every use of an image
 * 2. look:  at the target, before anything is written
 * 3. measure: read, threads, write, together (measure.ts), and again in turn, each for its part
 *    of the seconds: a machine that gets slower meanwhile is slower for all of them
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
import { loadSample, type Sample } from './sample.ts'

/** As many as any disk gets; the target lets fewer through where that is better. */
const WRITES_IN_FLIGHT = 8
const ROUNDS = 2

export interface BenchOptions {
  readonly source: Source
  readonly check: CheckSignatures
  readonly identities: readonly SecretKey[]
  /** A file, a device, or a directory; absent: everything but writing. */
  readonly to?: string
  readonly overwrite: boolean
  /** Where an unpacking to `to` keeps its checkpoint, which is removed with what it speaks of. */
  readonly checkpointPath?: string
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
  const { source } = options
  const from: From = { source }
  await using engine = startEngine({
    source: {
      name: source.name,
      bytes: source.bytes,
      read: (offset, into) => from.source.read(offset, into),
      [Symbol.asyncDispose]: async () => undefined,
    },
    payloads,
    aead: image.manifest.encryption.aead,
    sessionKey,
    sinkDepth: WRITES_IN_FLIGHT,
    threads,
    ...signalOf(options),
  })
  const rounds = await inPhase(emit, 'measuring', async () => {
    const sample = await loadSample(source, jobs, options.signal)
    return measureRounds({ options, engine, jobs, sample, from })
  })
  return report({ options, engine, jobs }, rounds)
}

/** Where the engine reads now. */
interface From {
  source: Pick<Source, 'read'>
}

interface Bench {
  readonly options: BenchOptions
  readonly engine: Engine
  readonly jobs: readonly FrameJob[]
  readonly sample: Sample
  readonly from: From
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

interface Rounds {
  readonly read: Amount[]
  readonly decoded: Decoded[]
  readonly write: Amount[]
  readonly together: Amount[]
  target?: Pick<BenchTarget, 'kind' | 'direct'>
}

async function measureRounds(bench: Bench): Promise<Rounds> {
  const { options, from, sample, engine } = bench
  const rounds: Rounds = { read: [], decoded: [], write: [], together: [] }
  const total = ROUNDS * stepsOf(options)
  let done = 0
  const step = async (work: () => Promise<void>): Promise<void> => {
    await work()
    done += 1
    options.emit({ event: 'progress', phase: 'measuring', done, total, unit: 'items' })
  }
  const threads = { engine, jobs: sample.jobs, ...limitsOf(options) }
  for (let round = 0; round < ROUNDS; round += 1) {
    from.source = options.source
    await step(async () => void rounds.read.push(await measureRead(readingOf(options))))
    from.source = sample.source
    await step(async () => void rounds.decoded.push(await measureThreads(threads)))
    from.source = options.source
    if (options.to !== undefined) await step(() => measureWriting(bench, rounds))
    await step(() => measureAll(bench, rounds))
  }
  return rounds
}

async function measureWriting({ options, engine, jobs }: Bench, rounds: Rounds): Promise<void> {
  await using target = await openTargetOf(options, engine)
  if (target === undefined) return
  const writing = { target, jobs, writesUnderWay: WRITES_IN_FLIGHT, ...limitsOf(options) }
  rounds.write.push(await measureWrite(writing))
  rounds.target = { kind: target.kind, direct: target.direct }
}

async function measureAll({ options, engine, jobs }: Bench, rounds: Rounds): Promise<void> {
  await using target = await openTargetOf(options, engine)
  const together = { ...readingOf(options), engine, jobs }
  rounds.together.push(
    await measureTogether(target === undefined ? together : { ...together, target }),
  )
}

/** Each time a new one, so that space is allocated as in a run. */
async function openTargetOf(
  options: BenchOptions,
  { rawSlotBytes: frameBytes }: Engine,
): Promise<BenchTarget | undefined> {
  const { to } = options
  return to === undefined ? undefined : openBenchTarget({ ...options, to, frameBytes })
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

/** Measurements of a round. */
const stepsOf = ({ to }: BenchOptions): number => (to === undefined ? 3 : 4)

function limitsOf(options: BenchOptions) {
  return { seconds: options.seconds / ROUNDS / stepsOf(options), ...signalOf(options) }
}

function report(
  { options, engine, jobs }: Pick<Bench, 'options' | 'engine' | 'jobs'>,
  { read, decoded, write, together, target }: Rounds,
): BenchReport {
  const dataBytes = jobs.reduce((sum, { rawLength }) => sum + rawLength, 0)
  const packedBytes = jobs.reduce((sum, { packedLength }) => sum + packedLength, 0)
  const ratio = dataBytes / packedBytes
  const decodedBytes = decoded.reduce((sum, { bytes }) => sum + bytes, 0)
  const secondsOf = (stage: 'digest' | 'open' | 'decompress'): number =>
    decoded.reduce((sum, { times }) => sum + times[stage], 0)
  const stage = (seconds: number): ThreadStageRate => {
    const bytesPerSecondPerThread = decodedBytes / seconds
    const bytesPerSecond = bytesPerSecondPerThread * engine.workers
    return { bytesPerSecond, bytesPerSecondPerThread }
  }
  const threadSeconds = {
    digest: secondsOf('digest'),
    open: secondsOf('open'),
    decompress: secondsOf('decompress'),
  }
  const packedBytesPerSecond = rateOf(read)
  const measured: Measured = {
    read: packedBytesPerSecond * ratio,
    threads: rateOf(decoded),
    threadSeconds,
    together: rateOf(together),
    ratio,
    ...(write.length === 0 ? {} : { write: rateOf(write) }),
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
      digest: stage(threadSeconds.digest),
      open: stage(threadSeconds.open),
      decompress: stage(threadSeconds.decompress),
      ...(write.length === 0 ? {} : { write: { bytesPerSecond: rateOf(write) } }),
    },
    allThreads: { bytesPerSecond: measured.threads },
    together: { bytesPerSecond: measured.together },
    verdict: judge(measured),
  }
}

/** Of all rounds together. */
function rateOf(amounts: readonly Amount[]): number {
  const seconds = amounts.reduce((sum, amount) => sum + amount.seconds, 0)
  return amounts.reduce((sum, amount) => sum + amount.bytes, 0) / seconds
}

function signalOf(options: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal }
}
