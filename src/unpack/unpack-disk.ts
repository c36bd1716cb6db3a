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
import type { Source } from '../deliver/source.ts'
import type { SecretKey } from '../encrypt/keys.ts'
import { decryptSessionKey } from '../encrypt/session-key.ts'
import { type Emit, inPhase } from '../events.ts'
import { type CheckpointKey, readCheckpoint, removeCheckpoint } from './checkpoint.ts'
import { startEngine } from './engine.ts'
import { type CheckSignatures, expectKind, type OpenImage, openImage } from './image.ts'
import { type LoadedPayload, loadPayloads } from './payload.ts'
import { checkPlan, type DiskPlan, planDisk } from './plan.ts'
import { lookAtTarget, openTarget, type TargetOptions, type TargetPlace } from './target.ts'
import { type WriteReport, writeDisk } from './write-disk.ts'

/** Frames that may be on their way to the disk at a time. */
const WRITES_IN_FLIGHT = 6

export interface UnpackOptions {
  readonly source: Source
  readonly check: CheckSignatures
  readonly identities: readonly SecretKey[]
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
  readonly emit: Emit
  readonly signal?: AbortSignal
}

export interface UnpackReport extends WriteReport {
  readonly diskBytes: number
  readonly plan: DiskPlan
}

/** @throws OsflashError of any code; before `writing` starts, nothing was written */
export async function unpackDisk(options: UnpackOptions): Promise<UnpackReport> {
  const { emit } = options
  const { image, payloads, sessionKey } = await inPhase(emit, 'opening', () => open(options))
  const wanted = targetOptions(options, image)
  const place = await lookAtTarget(wanted)
  const plan = checkedPlan(image, payloads, place)
  const key = checkpointKey(image, place)
  const framesDone = options.resume && place.used ? await resumeFrom(options, key) : 0
  // Before the first change: it would say of the new bytes what was true of the old.
  if (framesDone === 0) await removeCheckpoint(options.checkpointPath)
  await using target = await openTarget(wanted, place, framesDone > 0)
  await using engine = startEngine({
    source: options.source,
    payloads,
    aead: image.manifest.encryption.aead,
    sessionKey,
    sinkDepth: WRITES_IN_FLIGHT,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...signalOf(options),
  })
  const report = await writeDisk({
    plan,
    target,
    engine,
    framesDone,
    checkpoint: { path: options.checkpointPath, key },
    verify: options.verify,
    emit,
    ...signalOf(options),
  })
  await target.publish()
  await removeCheckpoint(options.checkpointPath)
  return { ...report, diskBytes: place.bytes, plan }
}

async function open(options: Pick<UnpackOptions, 'source' | 'check' | 'identities'>): Promise<{
  image: OpenImage
  payloads: LoadedPayload[]
  sessionKey: Uint8Array
}> {
  const image = await openImage(options.source, options.check)
  expectKind(image, 'disk')
  const sessionKey = await decryptSessionKey(image.keysBytes, options.identities)
  return { image, payloads: await loadPayloads(image), sessionKey }
}

/** The plan alone: what a dry run prints. Touches nothing. */
export async function planUnpack(
  options: Pick<UnpackOptions, 'source' | 'check' | 'to' | 'fileBytes' | 'overwrite'>,
): Promise<DiskPlan> {
  const image = await openImage(options.source, options.check)
  expectKind(image, 'disk')
  const place = await lookAtTarget(targetOptions(options, image))
  return checkedPlan(image, await loadPayloads(image), place)
}

function targetOptions(
  options: Pick<UnpackOptions, 'to' | 'fileBytes' | 'overwrite' | 'signal'>,
  image: OpenImage,
): TargetOptions {
  return {
    path: options.to,
    fileBytes: options.fileBytes ?? image.manifest.disk?.minimumBytes ?? 0,
    overwrite: options.overwrite,
    ...signalOf(options),
  }
}

function checkedPlan(
  image: OpenImage,
  payloads: readonly LoadedPayload[],
  place: TargetPlace,
): DiskPlan {
  const plan = planDisk(image.manifest, payloads, place)
  checkPlan(plan)
  return plan
}

function checkpointKey(image: OpenImage, place: TargetPlace): CheckpointKey {
  const manifestDigest = createHash('sha256').update(image.manifestBytes).digest('hex')
  return { manifestDigest, targetBytes: place.bytes }
}

async function resumeFrom(options: UnpackOptions, key: CheckpointKey): Promise<number> {
  const frames = await readCheckpoint(options.checkpointPath, key)
  if (frames !== undefined) return frames
  options.emit({
    event: 'note',
    text: `no checkpoint at ${options.checkpointPath}: from the start`,
  })
  return 0
}

function signalOf(options: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal }
}
