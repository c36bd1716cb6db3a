/**
 * Staging: everything that the host will need, put on the second disk while the first OS runs.
 *
 * 1. An earlier run's stage is cleared (earlier-stage.ts). The rescue is unpacked to the stage,
 *    with a partition for the store behind it; read back.
 * 2. The store is made and filled: plan, carry, certificates, the packed target, journal.
 * 3. The rescue's root gets what makes it this host's rescue: address, keys, boot menu.
 * 4. Modules that the first OS uses for disk and network must be in the rescue.
 * 5. The journal says `staged`.
 *
 * Started again after an interruption, 1 goes on at its checkpoint or is skipped, and 2 goes on
 * where the copy ended. The first disk is only read.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import { type Emit, inPhase } from '../../events.ts'
import type { DiskLayout } from '../../format/manifest.ts'
import { readIfThere } from '../../system/read-if-there.ts'
import { run } from '../../system/run.ts'
import type { CheckSignatures } from '../../unpack/image.ts'
import { unpackDisk } from '../../unpack/unpack-disk.ts'
import { type CapturedCarry, writeCarry } from '../carry/capture.ts'
import { writeFileSafely } from '../durable-file.ts'
import { eraseSecrets } from '../erase.ts'
import { resolveDisk } from '../host/disks.ts'
import { createJournal, type Journal, openJournal } from '../journal.ts'
import type { Notify } from '../notify.ts'
import {
  FIRST_OS,
  SEQUENCES,
  STORE,
  STORE_LABEL,
  STORE_TYPE_GUID,
  stageCheckpoint,
} from '../places.ts'
import { storePartition } from '../plan/our-stage.ts'
import { type FlashPlan, planBytes, planDigest, uuidFrom } from '../plan/plan.ts'
import type { ReadyImage } from '../plan/preflight.ts'
import type { State } from '../states.ts'
import { makeStore, mountStore, type Store, unmountLeft } from '../store.ts'
import type { RunFacts } from '../systems.ts'
import { clearEarlierStage } from './earlier-stage.ts'
import { furnishRescue } from './rescue-root.ts'
import { storeImage, storeTrust, type TrustFile } from './store-content.ts'
import { storePartitionPath } from './store-partition.ts'

export interface StageInput {
  readonly plan: FlashPlan
  readonly rescue: ReadyImage
  readonly target: ReadyImage
  readonly carry: CapturedCarry
  readonly check: CheckSignatures
  readonly trust: readonly TrustFile[]
  /** Told when staging has a journal. */
  readonly notify?: Notify
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** A filled stage: the store is mounted until it is disposed of. */
export interface Staged extends AsyncDisposable {
  readonly store: Store
  readonly journal: Journal
}

/**
 * Fills the stage. The store stays mounted: arming writes to it.
 * @throws OsflashError of any code; the first OS boots as before then
 */
export async function fillStage(input: StageInput): Promise<Staged> {
  const { plan, emit } = input
  const digest = planDigest(planBytes(plan))
  const storeUuid = uuidFrom(digest, 'store')
  await mkdir(FIRST_OS.folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw ioError(`making ${FIRST_OS.folder}`, cause)
  })
  const { stage, victims } = plan
  const facts: RunFacts = { storeUuid, planDigest: digest, stage, victims }
  await writeFileSafely(FIRST_OS.run, `${JSON.stringify(facts)}\n`, 0o600)
  const known = await inPhase(emit, 'looking for an earlier run', () => takeKnown(storeUuid))
  const store = known ?? (await makeStage(input, digest, storeUuid))
  try {
    const journal = await journalOf(store, digest)
    if (journal.current !== undefined) await input.notify?.(journal.current)
    await fillStore(store, input)
    await inPhase(emit, 'preparing the rescue', () => furnish(store, input, digest))
    await journal.write({ state: 'staged' })
    return { store, journal, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
  } catch (error) {
    await store[Symbol.asyncDispose]()
    throw error
  }
}

/** States in which a run that was cut is gone on with. */
const UNFINISHED: readonly (State | undefined)[] = [undefined, 'preflight', 'staging', 'staged']

/**
 * The store of a run that was cut; one that came further, or was undone, is made anew.
 * @param at other than the default only in tests
 * @throws OsflashError `io` when its secrets cannot be erased
 */
export async function takeKnown(uuid: string, at?: string): Promise<Store | undefined> {
  await unmountLeft(at)
  const store = await mountKnown(uuid, at)
  if (store === undefined) return undefined
  await using undo = new AsyncDisposableStack()
  undo.use(store)
  const journal = await openJournal(store.path, { system: 'first-os' }).catch(
    () => 'damaged' as const,
  )
  if (journal !== 'damaged' && UNFINISHED.includes(journal.current?.state)) {
    undo.move()
    return store
  }
  await eraseSecrets(store.path)
  return undefined
}

/** The store of an earlier run of the same plan; its UUID is made from the plan. */
async function mountKnown(uuid: string, at?: string): Promise<Store | undefined> {
  return mountStore(at === undefined ? { uuid } : { uuid, at }).catch((error: unknown) => {
    if (error instanceof OsflashError && error.code === 'cancelled') throw error
    return undefined
  })
}

async function makeStage(input: StageInput, digest: string, storeUuid: string): Promise<Store> {
  const { plan, rescue, emit, signal } = input
  await inPhase(emit, 'clearing an earlier stage', () =>
    clearEarlierStage(plan.stage, storePartition(digest)),
  )
  const disk = await resolveDisk(plan.stage, { tableId: 'ignore' })
  const append = { name: STORE_LABEL, type: STORE_TYPE_GUID, guid: storePartition(digest) }
  const { plan: written } = await unpackDisk({
    source: rescue.source,
    check: input.check,
    identities: { sessionKey: rescue.sessionKey },
    to: disk,
    append,
    overwrite: true,
    resume: true,
    verify: true,
    checkpointPath: stageCheckpoint(digest),
    emit,
    ...(signal === undefined ? {} : { signal }),
  })
  await showPartitions(disk)
  const device = await storePartitionPath({ disk, ...lastPartition(written.layout) })
  await inPhase(emit, 'making the store', () =>
    makeStore({ device, uuid: storeUuid, label: STORE_LABEL }),
  )
  return mountStore({ uuid: storeUuid })
}

/** Where the table has the partition that was appended, in bytes. */
function lastPartition({ partitions, sectorBytes }: DiskLayout) {
  const last = partitions.at(-1)
  if (last === undefined) throw new RangeError('the store was appended')
  const { number, firstLba, sectors } = last
  return { number, offset: firstLba * sectorBytes, bytes: sectors * sectorBytes }
}

/** Lets the kernel and udev see the table that was just written. */
async function showPartitions(disk: string): Promise<void> {
  await run(['blockdev', '--flushbufs', disk])
  // What is already there as it should be is no failure.
  await run(['partx', '--update', disk], { statuses: [0, 1] })
  await run(['udevadm', 'settle', '--timeout=30'], { statuses: [0, 1] })
}

async function journalOf(store: Store, digest: string): Promise<Journal> {
  const journal = await openJournal(store.path, { system: 'first-os' })
  if (journal.current === undefined) {
    return createJournal(store.path, {
      system: 'first-os',
      state: 'staging',
      planDigest: digest,
      attempts: { flash: 0, trial: 0 },
    })
  }
  await journal.write({ state: 'staging', planDigest: digest })
  return journal
}

async function fillStore(store: Store, input: StageInput): Promise<void> {
  const { plan, target, carry, check, emit, signal } = input
  await writeFileSafely(join(store.path, STORE.plan), planBytes(plan), 0o600)
  await storeTrust(store.path, input.trust)
  const sequences = await readIfThere(SEQUENCES)
  if (sequences !== undefined) {
    await writeFileSafely(join(store.path, STORE.sequences), sequences, 0o600)
  }
  // What is only replaced stays readable in blocks that are free.
  await eraseSecrets(store.path)
  if (plan.notify !== undefined) {
    await writeFileSafely(join(store.path, STORE.notify), plan.notify, 0o600)
  }
  await writeCarry(join(store.path, STORE.carry), carry)
  await storeImage(store.path, {
    source: target.source,
    sessionKey: target.sessionKey,
    check,
    manifestSha256: plan.target.manifestSha256,
    emit,
    ...(signal === undefined ? {} : { signal }),
  })
}

async function furnish(store: Store, input: StageInput, digest: string): Promise<void> {
  const { plan, rescue, carry, signal } = input
  await furnishRescue({
    disk: await resolveDisk(plan.stage, { tableId: 'ignore' }),
    manifest: rescue.manifest,
    carry: carry.carry,
    carryFolder: join(store.path, STORE.carry),
    modules: plan.host.kernelModules,
    facts: { storeUuid: uuidFrom(digest, 'store'), planDigest: digest },
    ...(signal === undefined ? {} : { signal }),
  })
}
