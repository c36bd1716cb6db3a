/**
 * Unpacks an image to a disk: from the source to a disk that boots.
 *
 * 1. open:  signature, manifest, archive (image.ts); indexes (payload.ts)
 * 2. key:   the session key, from `keys.pgp` and the caller's identities
 * 3. plan:  fitted to the target, checked for overlap (plan.ts); a dry run ends here. Nothing is
 *           changed before the plan holds
 * 4. write: as planned (write-disk.ts), with a checkpoint
 * 5. name:  a new file gets its name; the checkpoint is removed
 *
 * Not promised: the target as it was, after a failure in 4. It is not bootable then, and
 * `resume` goes on.
 */
import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Source } from '../deliver/source.ts'
import type { SecretKey } from '../encrypt/keys.ts'
import { decryptSessionKey } from '../encrypt/session-key.ts'
import { ioError, OsflashError } from '../errors.ts'
import { type Emit, inPhase } from '../events.ts'
import { holdLock } from '../system/lock.ts'
import {
  type CheckpointKey,
  type DiskProgress,
  readCheckpoint,
  removeCheckpoint,
} from './checkpoint.ts'
import { type DecodeThreads, startDecodeThreads } from './decode-threads.ts'
import { sumLengths } from './disk-range.ts'
import { startEngine } from './engine.ts'
import { type CheckSignatures, expectKind, type OpenImage, openImage } from './image.ts'
import { type LoadedPayload, loadPayloads } from './payload.ts'
import { type AppendedPartition, checkPlan, type DiskPlan, planDisk } from './plan.ts'
import { isReadBackFault, LANES_BESIDE_WRITING } from './read-back.ts'
import type { StageTimes } from './stage-times.ts'
import {
  lookAtTarget,
  openTarget,
  type Target,
  type TargetOptions,
  type TargetPlace,
} from './target.ts'
import { depthLimits } from './write-depth.ts'
import { type WriteReport, writeDisk } from './write-disk.ts'

export interface UnpackOptions {
  readonly source: Source
  readonly check: CheckSignatures
  /** Secret keys of a recipient, or the session key itself (32 octets). */
  readonly identities: readonly SecretKey[] | { readonly sessionKey: Uint8Array }
  /** A partition behind those of the image, for the rest of the disk. */
  readonly append?: AppendedPartition
  /** Stands between the writer and the target; what it is given is closed by the caller. */
  readonly wrapTarget?: (target: Target) => Target
  /** A file or a block device. */
  readonly to: string
  /** Size of a new file; default: the smallest disk that the image fits. */
  readonly fileBytes?: number
  readonly overwrite: boolean
  readonly resume: boolean
  readonly verify: boolean
  /** Where the checkpoint is kept. */
  readonly checkpointPath: string
  readonly workers?: number
  /** Threads that were started before; they are ended with the run. */
  readonly threads?: DecodeThreads
  readonly emit: Emit
  readonly signal?: AbortSignal
}

export interface UnpackReport extends WriteReport {
  readonly diskBytes: number
  readonly plan: DiskPlan
  readonly stages: StageTimes
}

/** @throws OsflashError of any code; before `writing` starts, nothing was written */
export async function unpackDisk(options: UnpackOptions): Promise<UnpackReport> {
  const { emit } = options
  const { image, payloads, sessionKey } = await inPhase(emit, 'opening', () => open(options))
  const wanted = targetOptions(options, image)
  await using _lock = await holdLock(await lockName(options.to), `writing to ${options.to}`)
  const place = await lookAtTarget(wanted)
  const { append } = options
  const plan = checkedPlan(image, payloads, append === undefined ? place : { ...place, append })
  const done = options.resume ? await resumeFrom(options, { image, place, plan }) : undefined
  // Before the first change: it would say of the new bytes what was true of the old.
  if (done === undefined) await removeCheckpoint(options.checkpointPath)
  await using opened = await openTarget(wanted, place, done !== undefined)
  const target = options.wrapTarget?.(opened) ?? opened
  const key = checkpointKey(image, target.bytes, target.identity)
  await using threads = options.threads ?? startDecodeThreads(options.workers)
  await using engine = startEngine({
    source: options.source,
    payloads,
    aead: image.manifest.encryption.aead,
    sessionKey,
    sinkDepth: depthLimits(target.diskKind).most + (options.verify ? LANES_BESIDE_WRITING : 0),
    threads,
    ...signalOf(options),
  })
  const report = await writeDisk({
    plan,
    target,
    engine,
    checkpoint: { path: options.checkpointPath, key },
    ...(done === undefined ? {} : { done }),
    verify: options.verify,
    emit,
    ...signalOf(options),
  }).catch(async (error: unknown) => {
    // It counts what the disk has just been seen to lose.
    if (isReadBackFault(error)) await removeCheckpoint(options.checkpointPath)
    throw error
  })
  await target.publish()
  await removeCheckpoint(options.checkpointPath)
  return { ...report, diskBytes: place.bytes, plan, stages: engine.stages() }
}

async function open(options: Pick<UnpackOptions, 'source' | 'check' | 'identities'>): Promise<{
  image: OpenImage
  payloads: LoadedPayload[]
  sessionKey: Uint8Array
}> {
  const image = await openImage(options.source, options.check)
  expectKind(image, 'disk')
  const { identities } = options
  const sessionKey =
    'sessionKey' in identities
      ? identities.sessionKey
      : await decryptSessionKey(image.keysBytes, identities)
  return { image, payloads: await loadPayloads(image), sessionKey }
}

/** The plan alone: what a dry run prints. Touches nothing. */
export async function planUnpack(
  options: Pick<UnpackOptions, 'source' | 'check' | 'to' | 'fileBytes' | 'overwrite' | 'resume'>,
): Promise<DiskPlan> {
  const image = await openImage(options.source, options.check)
  expectKind(image, 'disk')
  const place = await lookAtTarget(targetOptions(options, image))
  return checkedPlan(image, await loadPayloads(image), place)
}

function targetOptions(
  options: Pick<UnpackOptions, 'to' | 'fileBytes' | 'overwrite' | 'resume' | 'signal'>,
  image: OpenImage,
): TargetOptions {
  const { to, fileBytes, overwrite, resume } = options
  return {
    path: to,
    leastBytes: image.manifest.disk?.minimumBytes ?? 0,
    overwrite,
    resume,
    ...(fileBytes === undefined ? {} : { fileBytes }),
    ...signalOf(options),
  }
}

/** One name for one file or device, through links; a new file is named by its folder. */
async function lockName(path: string): Promise<string> {
  const resolved = await realpath(path).catch(() => undefined)
  if (resolved !== undefined) return resolved
  const folder = await realpath(dirname(path)).catch((cause: unknown) => {
    throw ioError(`unpacking to ${path}`, cause)
  })
  return join(folder, basename(path))
}

function checkedPlan(
  image: OpenImage,
  payloads: readonly LoadedPayload[],
  place: TargetPlace & { readonly append?: AppendedPartition },
): DiskPlan {
  const plan = planDisk(image.manifest, payloads, place)
  checkPlan(plan)
  return plan
}

function checkpointKey(image: OpenImage, bytes: number, identity: string): CheckpointKey {
  const manifestDigest = createHash('sha256').update(image.manifestBytes).digest('hex')
  return { manifestDigest, targetBytes: bytes, targetIdentity: identity }
}

interface ResumeFrom {
  readonly image: OpenImage
  readonly place: TargetPlace
  readonly plan: DiskPlan
}

/** What need not be done again; nothing of a target that has to be begun. */
async function resumeFrom(
  options: UnpackOptions,
  from: ResumeFrom,
): Promise<DiskProgress | undefined> {
  const { checkpointPath: path, emit } = options
  const { bytes, identity } = from.place
  const done =
    identity === undefined
      ? undefined
      : await readCheckpoint(path, checkpointKey(from.image, bytes, identity))
  // Without a frame there is nothing by which to know the disk again.
  if (done === undefined || done.frames === 0) {
    emit({ event: 'note', text: `no checkpoint at ${path}: from the start` })
    return undefined
  }
  const { body, zero } = from.plan
  if (done.frames <= body.length && done.zeroedBytes <= sumLengths(zero)) return done
  throw new OsflashError('refused', `reading ${path}: it counts more than there is`, {
    hints: ['run without --resume to start again'],
  })
}

function signalOf(options: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal }
}
