/**
 * Obeys a disk plan. It decides nothing; plan.ts did.
 *
 * 1. wipe:   both ends of a disk that is not new, so that nothing old or half can be booted
 * 2. body:   frames and zeros, flushed, and read back if asked for (write-body.ts)
 * 3. finish: backup table and head, flush; the first page or the table at the start, flush;
 *            verify these too
 *
 * A run that is cut before 3 leaves a disk that no firmware starts.
 */
import { OsflashError } from '../errors.ts'
import { inPhase } from '../events.ts'
import { type DiskWrite, HEAD_BYTES } from './plan.ts'
import { checkFrame, differs } from './read-back.ts'
import type { Target } from './target.ts'
import { type WriteDiskOptions, writeBody } from './write-body.ts'

/** What a run wrote: frames that earlier runs wrote are not counted. */
export interface WriteReport {
  readonly frames: number
  readonly framesResumed: number
  readonly bytes: number
}

/** @throws OsflashError `io`, `readback`, `digest`, `decryption`, `cancelled` */
export async function writeDisk(options: WriteDiskOptions): Promise<WriteReport> {
  const { plan, target, emit, done } = options
  if (done !== undefined) await inPhase(emit, 'checking what is there', () => checkResumed(options))
  else if (!target.blank) await inPhase(emit, 'wiping', () => wipeEnds(target))
  const framesDone = done?.frames ?? 0
  await writeBody(options)
  await inPhase(emit, 'finishing', () => finish(options))
  const body = plan.body.slice(framesDone)
  const bytes = [...body, ...plan.head].reduce((sum, { job }) => sum + job.rawLength, 0)
  return { frames: body.length + plan.head.length, framesResumed: framesDone, bytes }
}

/** Frames read back before an earlier run is believed: spread over all that it wrote. */
const RESUME_SAMPLES = 16

async function checkResumed({ plan, target, engine, done }: WriteDiskOptions): Promise<void> {
  const framesDone = done?.frames ?? 0
  const step = Math.max(1, Math.ceil(framesDone / RESUME_SAMPLES))
  const samples = plan.body
    .slice(0, framesDone)
    .filter((_, i) => i % step === 0 || i === framesDone - 1)
  for (const { job, diskOffset } of samples) {
    if (await engine.compare(job, (raw) => target.read(diskOffset, raw))) continue
    throw new OsflashError(
      'refused',
      `resuming ${target.path}: byte ${diskOffset} is not what an earlier run wrote`,
      { data: { offset: diskOffset }, hints: ['run without --resume to start again'] },
    )
  }
}

async function wipeEnds(target: Target): Promise<void> {
  const length = Math.min(HEAD_BYTES, target.bytes)
  await target.zeroAll([
    { offset: 0, length },
    { offset: target.bytes - length, length },
  ])
  await target.sync()
}

async function finish(options: WriteDiskOptions): Promise<void> {
  const { plan, target, engine } = options
  const placeOf = new Map(plan.head.map(({ job, diskOffset }) => [job, diskOffset]))
  const [first, others] = [true, false].map((wanted) =>
    plan.head.filter(({ diskOffset }) => (diskOffset === 0) === wanted).map(({ job }) => job),
  )
  if (plan.tail !== undefined) await target.write(plan.tail.offset, plan.tail.bytes)
  await engine.run({
    jobs: others ?? [],
    sink: (job, raw) => target.write(placeOf.get(job) ?? 0, raw),
  })
  await target.sync()
  await engine.run({ jobs: first ?? [], sink: (_, raw) => writeStart(target, raw) })
  if (plan.table !== undefined) await target.write(plan.table.offset, plan.table.bytes)
  await target.sync()
  if (!options.verify) return
  await target.dropCache()
  for (const frame of plan.head) await checkFrame(options, frame)
  for (const write of [plan.tail, plan.table]) {
    if (write !== undefined) await verifyWrite(target, write)
  }
}

/** The frame with sector 0: all behind the first page, then that page, when the rest is safe. */
async function writeStart(target: Target, raw: Uint8Array): Promise<void> {
  if (raw.length > START_BYTES) {
    await target.write(START_BYTES, raw.subarray(START_BYTES))
    await target.sync()
  }
  await target.write(0, raw.subarray(0, START_BYTES))
}

/** The first sector of any sector size. */
const START_BYTES = 4_096

async function verifyWrite(target: Target, write: DiskWrite): Promise<void> {
  const seen = new Uint8Array(write.bytes.length)
  await target.read(write.offset, seen)
  if (Buffer.compare(seen, write.bytes) !== 0) throw differs(target, write.offset)
}
