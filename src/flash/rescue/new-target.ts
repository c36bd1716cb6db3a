/**
 * Another target in place of the stored one, for a rescue that holds.
 *
 * 1. The image is checked as preflight checked the first: signature, kind, firmware, size, age.
 * 2. The stored image makes room, where that is enough; then the new one is stored and verified as
 *    in staging.
 * 3. The plan names it: `plan.json.next` is durable, then the journal has its digest, then it is
 *    renamed. A power cut between leaves a plan that `settlePlan` finds. It also keeps a second
 *    file of the plan.
 *
 * Nothing of the disk is touched. Not promised: the old target; it is gone once fetching began.
 */

import { readFile, rename, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { SecretKey } from '../../encrypt/keys.ts'
import { decryptSessionKey } from '../../encrypt/session-key.ts'
import { ioError, OsflashError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { Manifest } from '../../format/manifest.ts'
import { exists } from '../../system/exists.ts'
import { syncFolder } from '../../system/sync-folder.ts'
import { formatBytes, MIB } from '../../units.ts'
import { type CheckSignatures, expectKind, type OpenImage } from '../../unpack/image.ts'
import { planDisk } from '../../unpack/plan.ts'
import { canRender } from '../carry/apply.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import { eraseSessionKey } from '../erase.ts'
import { startOf } from '../image-places.ts'
import type { Journal } from '../journal.ts'
import { STORE } from '../places.ts'
import { checkFresh, checkSequence } from '../plan/check-images.ts'
import { type FlashPlan, planBytes, planDigest } from '../plan/plan.ts'
import { openPlanImage } from '../plan/plan-image.ts'
import { storeImage, storeTrust, type TrustFile } from '../stage/store-content.ts'
import { readPlan } from '../store.ts'
import { roomForImage } from '../store-shape.ts'
import { readSequences } from '../trial/sequences.ts'

export interface NewTarget {
  /** Path or address. */
  readonly location: string
  readonly check: CheckSignatures
  readonly identities: readonly SecretKey[]
  readonly trust: readonly TrustFile[]
}

export interface Replacement extends NewTarget {
  /** Where the store is mounted. */
  readonly store: string
  readonly journal: Journal
  readonly emit: Emit
  readonly signal?: AbortSignal
}

const NEXT_PLAN = `${STORE.plan}.next`
/** The stored target, and one of which the fetching was cut. */
const IMAGES = [STORE.image, `${STORE.image}.part`] as const
/** A plan twice, certificates, and what the file system itself needs for a large file. */
const BESIDE_BYTES = MIB

/** @throws OsflashError `refused`, `trust`, and what reading and storing an image gives */
export async function replaceTarget(replacement: Replacement): Promise<void> {
  const { store, journal, location, check, emit, signal } = replacement
  const { state, error } = journal.current ?? {}
  if (state !== 'held' && state !== 'trial') {
    throw new OsflashError('refused', `replacing the target in state ${state}`, {
      hints: ['wait until the rescue holds: osflash status'],
    })
  }
  // An earlier one may have been cut before its plan had its name.
  await settlePlan(store, journal)
  const plan = await readPlan(store)
  await using opened = await openPlanImage({ role: 'target', location, check, signal })
  const { source, image, facts } = opened
  checkFits(image, plan)
  await checkAge(image.manifest, replacement)
  await checkRoom(store, { name: image.manifest.name, packedBytes: source.bytes })
  const sessionKey = await decryptSessionKey(image.keysBytes, replacement.identities)
  const next = { ...plan, target: facts }
  // Overwritten, for a removed file stays readable on the disk.
  await eraseSessionKey(store)
  for (const name of [...IMAGES, STORE.checkpoint, STORE.trialLog]) {
    await removeFileSafely(join(store, name))
  }
  await storeTrust(store, replacement.trust)
  await storeImage(store, {
    source,
    check,
    manifestSha256: next.target.manifestSha256,
    sessionKey,
    emit,
    ...(signal === undefined ? {} : { signal }),
  })
  const bytes = planBytes(next)
  await writeFileSafely(join(store, NEXT_PLAN), bytes, 0o600)
  await journal.write({
    state: 'held',
    planDigest: planDigest(bytes),
    ...(error === undefined ? {} : { error }),
  })
  await settlePlan(store, journal)
}

/** Gives the next plan its name, if the journal is of it already; two files have it then. */
export async function settlePlan(store: string, journal: Journal): Promise<void> {
  const next = join(store, NEXT_PLAN)
  const pinned = journal.current?.planDigest
  const bytes = await readFile(next).catch(() => undefined)
  if (bytes !== undefined && planDigest(bytes) === pinned) {
    await rename(next, join(store, STORE.plan)).catch((cause: unknown) => {
      throw ioError(`renaming ${next}`, cause)
    })
    await syncFolder(store)
  }
  // One file is enough to go on with.
  await mendPlans(store, pinned).catch(() => undefined)
}

/** What one of the two files lost is taken from the other. */
async function mendPlans(store: string, pinned: string | undefined): Promise<void> {
  const paths = [STORE.plan, STORE.planCopy].map((name) => join(store, name))
  const found = await Promise.all(paths.map((path) => readFile(path).catch(() => undefined)))
  const isPinned = (bytes: Buffer | undefined): bytes is Buffer =>
    bytes !== undefined && planDigest(bytes) === pinned
  const good = found.find(isPinned)
  if (good === undefined) return
  for (const [index, path] of paths.entries()) {
    if (!isPinned(found[index])) await writeFileSafely(path, good, 0o600)
  }
}

const refusal = (name: string, why: string): OsflashError =>
  new OsflashError('refused', `replacing the target with ${name}: ${why}`, {
    hints: ['give another --target'],
  })

function checkFits(image: OpenImage, plan: FlashPlan): void {
  expectKind(image, 'disk')
  const { manifest } = image
  const refuse = (why: string): OsflashError => refusal(manifest.name, why)
  const { firmware } = plan.host
  if (!manifest.firmware.includes(firmware)) throw refuse(`it does not boot under ${firmware}`)
  if (manifest.architecture !== plan.host.architecture) throw refuse('another architecture')
  if (manifest.disk?.table.kind === 'none') throw refuse('it has no partition table of its own')
  if (!canRender(manifest.os.network ?? '')) {
    throw refuse(`its network (${manifest.os.network ?? 'unknown'}) cannot be configured`)
  }
  const start = startOf(manifest)
  const rescue = plan.rescue.start
  if (start.rootUuid === rescue.rootUuid || sameGuid(start.esp?.guid, rescue.esp?.guid)) {
    throw refuse('it has identifiers of the rescue, and one would be taken for the other')
  }
  // Throws for a disk that is too small, or has other sectors.
  planDisk(manifest, [], plan.disk)
}

/**
 * As preflight asked of the first. A clock that stands still is not believed. The stored target
 * does not count, for it never proved itself: who goes back to the one before may.
 */
async function checkAge(manifest: Manifest, { store, journal }: Replacement): Promise<void> {
  const since = Date.parse(journal.current?.since ?? '') || 0
  checkFresh([manifest], Math.max(Date.now(), since))
  checkSequence(manifest, await readSequences(join(store, STORE.sequences)))
}

interface Packed {
  readonly name: string
  readonly packedBytes: number
}

/** What is free, and what the stored image gives back. */
async function checkRoom(store: string, { name, packedBytes }: Packed): Promise<void> {
  const { bavail, bsize } = await statfs(store).catch((cause: unknown) => {
    throw ioError(`looking for room on ${store}`, cause)
  })
  let room = bavail * bsize - BESIDE_BYTES
  for (const image of IMAGES) room += await allocatedBytes(join(store, image))
  const need = roomForImage(packedBytes)
  if (need <= room) return
  const [wants, has] = [formatBytes(need), formatBytes(Math.max(0, room))]
  throw refusal(name, `it needs ${wants}, the store has room for ${has}`)
}

const STAT_BLOCK_BYTES = 512

async function allocatedBytes(path: string): Promise<number> {
  if (!(await exists(path))) return 0
  const { blocks } = await stat(path).catch((cause: unknown) => {
    throw ioError(`looking at ${path}`, cause)
  })
  return blocks * STAT_BLOCK_BYTES
}

const sameGuid = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined && a === b
