/**
 * `osflash cleanup`: the stage disk blank again, and nothing of osflash left in the target.
 *
 * 1. Only in the target, and only when it is confirmed: until then the stage is the way back.
 *    And only when the host starts without it, whatever the journal says. Where the journal cannot
 *    be read, the target itself says that it is confirmed, and which plan the stage has.
 * 2. The stage's boot entry goes first (UEFI), so that the firmware starts nothing half blank.
 * 3. The disk is found again by what it is, and must be the one that holds this store.
 * 4. Secrets are overwritten, then the disk is made blank (blank-stage.ts).
 * 5. The agent's files go, also those of one that could not end as a secret was not erased; its
 *    settings last. A grub.cfg that it could not restore is told.
 *
 * Not promised: a stage whose store does not mount, or has no plan any more. Only the plan says
 * which disk is the stage; nothing is erased on a guess.
 */
import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { messageOf, OsflashError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { makeBlankAfter } from './blank-stage.ts'
import { removeFileSafely, writeFileSafely } from './durable-file.ts'
import { eraseSecrets } from './erase.ts'
import { resolveDisk } from './host/disks.ts'
import { openReadableJournal } from './journal.ts'
import { STORE_LABEL, STORE_MOUNT, TARGET } from './places.ts'
import type { FlashPlan } from './plan/plan.ts'
import { isConfirmedTarget } from './plan/run-state.ts'
import {
  isStoreLost,
  isStoreMissing,
  mountStore,
  readPlan,
  type Store,
  unmountLeft,
} from './store.ts'
import { type FoundStore, findStore } from './systems.ts'
import { SAVED_SUFFIX, savedConfigs } from './trial/command-line.ts'
import { MARK, RUN_FOLDER, TRIAL_WATCHDOG, UNIT_LINK } from './trial/trial-places.ts'

export interface CleanupOptions {
  /** Throws when the operator does not want it. */
  readonly agree: (plan: FlashPlan, disk: string) => Promise<void>
  /** Whether the host still starts by way of the stage. */
  readonly startsByStage: (plan: FlashPlan) => Promise<boolean>
  /** Takes the stage's entry out of the firmware's list, if there is one. */
  readonly removeEntry: (plan: FlashPlan) => Promise<void>
  /** Told what could not be erased, which is no failure. */
  readonly emit?: Emit
  /** Root of the system; other than `/` only in tests. */
  readonly root?: string
}

export interface CleanedStage {
  /** Where it is. */
  readonly disk: string
  /** False when it starts nothing, but did not take all zeros: secrets may be left on it. */
  readonly isBlank: boolean
}

/**
 * Makes the stage blank. May be called again after an interruption.
 * @throws OsflashError `refused` unless this is a confirmed target, or when the disk is in use
 */
export async function cleanUp(options: CleanupOptions): Promise<CleanedStage> {
  const { root = '/' } = options
  const found = await findStore(root)
  if (found?.system !== 'target') throw refused('this is not a replaced system')
  const at = join(root, STORE_MOUNT)
  const { plan, disk, left } = await eraseStore(options, found, at)
  await unmountLeft(at)
  const isBlank = await makeBlankAfter({ left, emit: options.emit }, plan)
  await endTrial(options)
  return { disk, isBlank }
}

/** Also of an agent that could not do it, and is still at work. */
async function endTrial({ root = '/', emit }: CleanupOptions): Promise<void> {
  // It ends by itself when it sees this, before it could miss its mark.
  await mkdir(join(root, RUN_FOLDER), { recursive: true })
  await writeFileSafely(join(root, RUN_FOLDER, 'confirmed'), '', 0o644)
  const { program, confirm, agent, unit, sector0, settings } = TARGET
  const ours = [UNIT_LINK, TRIAL_WATCHDOG, unit, agent, confirm, sector0, MARK, program, settings]
  for (const path of ours) await removeFileSafely(join(root, path))
  // Nothing is left to be done again: what fails from here on is told.
  await endSavedConfigs(root, emit).catch((error: unknown) => {
    emit?.({ event: 'note', text: messageOf(error) })
  })
}

async function endSavedConfigs(root: string, emit: Emit | undefined): Promise<void> {
  for (const { path, isOnTrial } of await savedConfigs(root)) {
    const saved = `${path}${SAVED_SUFFIX}`
    if (isOnTrial) {
      emit?.({ event: 'note', text: `${path} is as on trial: update-grub, or mv ${saved} ${path}` })
    } else await removeFileSafely(join(root, saved))
  }
}

interface ErasedStore {
  readonly plan: FlashPlan
  /** Where the stage is. */
  readonly disk: string
  /** Why secrets could not be erased. */
  readonly left: string | undefined
}

/** What needs the store: all that says whether, and on which disk; then its secrets. */
async function eraseStore(
  options: CleanupOptions,
  found: FoundStore,
  at: string,
): Promise<ErasedStore> {
  const { root = '/', agree, removeEntry, startsByStage } = options
  await using store = await mountStore({ uuid: found.storeUuid, at }).catch((error: unknown) =>
    byHand(error, found, root),
  )
  const plan = await confirmedPlan(store, found, root)
  const disk = await stageOf(store, plan)
  if (await startsByStage(plan)) throw refused('the host still starts by way of it')
  await agree(plan, disk)
  await removeEntry(plan)
  const left = await eraseSecrets(store.path).then(() => undefined, messageOf)
  return { plan, disk, left }
}

/** On trial the host still starts by way of the stage: who overwrites that has no host. */
async function byHand(error: unknown, found: FoundStore, root: string): Promise<never> {
  if (!(error instanceof OsflashError) || !isStoreLost(error)) throw error
  const hints = (await isConfirmedTarget(found, root))
    ? [
        `lsblk -o NAME,SERIAL,PARTLABEL shows which disk has ${STORE_LABEL}: overwrite it by hand`,
        'efibootmgr lists the entry osflash rescue, where there is one',
      ]
    : ['osflash-confirm first: until it is confirmed, the host needs the stage disk to start']
  throw new OsflashError('refused', `cleaning up the stage: ${error.message}`, {
    cause: error,
    // Who uses it is nothing to ask of a store that is damaged, not busy.
    hints: isStoreMissing(error) ? [...error.hints, ...hints] : hints,
  })
}

/** Without a journal the target says itself whether it is confirmed, and pins the plan. */
async function confirmedPlan(store: Store, found: FoundStore, root: string): Promise<FlashPlan> {
  const current = (await openReadableJournal(store.path, { system: 'target' }))?.current
  if (current?.state === 'confirmed') return readPlan(store.path)
  const { planDigest } = found
  const isLost = current === undefined && planDigest !== undefined
  if (isLost && (await isConfirmedTarget(found, root))) return readPlan(store.path, planDigest)
  throw refused(`the state is ${current?.state ?? 'unknown'}, not confirmed`)
}

/** A disk with the stage's number that holds another store is another disk. */
async function stageOf(store: Store, plan: FlashPlan): Promise<string> {
  const disk = await resolveDisk(plan.stage, { tableId: 'ignore' })
  const node = await realpath(join('/sys/class/block', basename(await realpath(store.device))))
  const name = basename(await realpath(disk))
  if (basename(node) === name || basename(dirname(node)) === name) return disk
  throw refused(`the store is on ${store.device}, the stage of the plan is ${disk}`)
}

function refused(why: string): OsflashError {
  return new OsflashError('refused', `cleaning up the stage: ${why}`, {
    hints: ['osflash status says what can be done'],
  })
}
