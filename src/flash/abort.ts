/**
 * `osflash abort`: the first OS again as it was, before anything that cannot be undone.
 *
 * 1. Only in the first OS, and only while its disk is whole: up to `armed`, and from `rehearsal`
 *    and `aborted`, which the rescue leaves when the host came back from it. From `committed` and
 *    `held` where nothing was wiped. Once the rescue may have run, and where nobody knows the
 *    state, never while the host starts by way of the stage: blank, it would start nothing. Under
 *    UEFI it does not any more behind step 2, so that is looked at then.
 * 2. The boot configuration becomes byte-identical to what was saved before arming. Where the store
 *    is damaged, or a file on it, what the first OS itself keeps is taken. A stage disk that is
 *    gone must come back first, unless the operator says that it will not; one that cannot be read
 *    is as good as gone.
 * 3. The secrets on the store are erased, and an operator's GO and HOLD are forgotten. What a bad
 *    sector keeps from being erased, or a store that does not mount, is overwritten with step 5.
 * 4. The journal says `aborted`; one that cannot be read is removed, so that apply can begin anew.
 * 5. The stage becomes blank: its rescue has the host's keys, and must not start.
 * 6. What the first OS remembers goes last: a cut before that leaves something to abort again.
 *
 * Not promised: a blank stage where no plan can be read; there is one in the first OS once it was
 * armed.
 */
import { join } from 'node:path'
import { messageOf, OsflashError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { readBackup } from './arm-backup.ts'
import { makeBlankAfter } from './blank-stage.ts'
import { SECTOR_BYTES } from './boot/guard.ts'
import type { FirstOsBoot } from './boot/method.ts'
import { readPiece } from './boot/one-write.ts'
import { removeFileSafely } from './durable-file.ts'
import { eraseSecrets } from './erase.ts'
import { resolveDisk } from './host/disks.ts'
import { type Journal, openReadableJournal } from './journal.ts'
import type { Notify } from './notify.ts'
import { FIRST_OS, STORE, STORE_MOUNT, stageCheckpoint } from './places.ts'
import type { DiskIdentity, FlashPlan } from './plan/plan.ts'
import { canGoBack } from './rescue/way-back.ts'
import { NEVER_GUARDED, type State } from './states.ts'
import {
  isStoreLost,
  isStoreMissing,
  mountStore,
  readPlan,
  readPlanFile,
  type Store,
  unmountLeft,
} from './store.ts'
import { findStore } from './systems.ts'

const ABORTABLE: readonly State[] = [
  'preflight',
  'staging',
  'staged',
  'armed',
  'rehearsal',
  'aborted',
]

export interface AbortOptions {
  readonly makeBoot: (plan: FlashPlan) => Promise<Pick<FirstOsBoot, 'disarm'>>
  /** Whether the host would start the stage; then the stage must not become blank. */
  readonly startsByStage: (plan: FlashPlan) => Promise<boolean>
  /** The operator says that the stage disk is gone for good: what it does not take is told. */
  readonly stageLost?: boolean
  /** Told when the journal says `aborted`. */
  readonly notifier?: (plan: FlashPlan) => Notify
  /** Told what could not be erased, which is no failure. */
  readonly emit?: Emit
  /** Root of the system; other than `/` only in tests. */
  readonly root?: string
}

/**
 * Undoes a replacement. May be called again after an interruption.
 * @returns false when there was none
 * @throws OsflashError `refused` in the rescue, in the target, and past the last reversible point
 */
export async function abortRun(options: AbortOptions): Promise<boolean> {
  const { root = '/', emit } = options
  const found = await findStore(root)
  if (found === undefined) return false
  if (found.system !== 'first-os') throw tooLate(`this is the ${found.system}`)
  const at = join(root, STORE_MOUNT)
  const mounted = await mountStore({ uuid: found.storeUuid, at }).catch(async (error: unknown) => {
    if (!isStoreLost(error) || found.stage === undefined) throw error
    const isLost = await isStageLost(found.stage, options.stageLost ?? false)
    const plan = await undoWithoutStore(error, { ...options, stageLost: isLost }, found.planDigest)
    if (plan === undefined) {
      if (isLost) emit?.({ event: 'note', text: `${messageOf(error)}; ${KEYS_MAY_BE_LEFT}` })
      return
    }
    await unmountLeft(at)
    await (isLost ? blankIfThere : makeBlankAfter)({ left: messageOf(error), emit }, plan)
  })
  if (mounted !== undefined) await undoAndBlank(mounted, options, found.planDigest)
  const { planDigest: digest } = found
  const own = digest === undefined ? [] : [stageCheckpoint(digest)]
  for (const path of [...own, FIRST_OS.armBackup, FIRST_OS.plan, FIRST_OS.run]) {
    await removeFileSafely(join(root, path))
  }
  return true
}

/**
 * Before another plan takes the stage: what an earlier run changed is undone while its store still
 * knows how. A run of the same plan is gone on with.
 * @param planDigest of the plan that is to be applied
 * @returns whether there was another run
 * @throws OsflashError as `abortRun`
 */
export async function undoOtherRun(planDigest: string, options: AbortOptions): Promise<boolean> {
  const found = await findStore(options.root)
  if (found?.system !== 'first-os' || found.planDigest === planDigest) return false
  return abortRun(options)
}

/** It holds the host's keys, so nobody forgets it without a word. */
async function isStageLost(stage: DiskIdentity, isSaid: boolean): Promise<boolean> {
  try {
    const path = await resolveDisk(stage, { tableId: 'ignore' })
    await readPiece({ path, offset: 0, length: SECTOR_BYTES })
  } catch (error) {
    if (!(error instanceof OsflashError)) throw error
    if (isSaid && LOST.includes(error.code)) return true
    const hints = ['osflash abort --stage-lost, when it will not come back', ...error.hints]
    throw new OsflashError(error.code, error.message, { cause: error, hints })
  }
  if (!isSaid) return false
  throw new OsflashError('refused', 'aborting the replacement: the stage disk is there', {
    hints: ['osflash abort, without --stage-lost'],
  })
}

const KEYS_MAY_BE_LEFT = "the host's keys may be left on the lost stage"

/** One that is there takes what it can: its first sector may be all that fails. */
const blankIfThere: typeof makeBlankAfter = (erased, plan) =>
  makeBlankAfter({ ...erased, isFailing: true }, plan).catch((error: unknown) => {
    const text = `${messageOf(error)}; ${KEYS_MAY_BE_LEFT}`
    erased.emit?.({ event: 'note', text })
    return false
  })

/** Not there, or there and not to be read. */
const LOST: readonly string[] = ['refused', 'io']

/** @returns the plan of what was armed */
async function undoWithoutStore(
  error: unknown,
  options: AbortOptions,
  digest?: string,
): Promise<FlashPlan | undefined> {
  const { makeBoot, root = '/' } = options
  const backup = await readBackup(join(root, FIRST_OS.armBackup))
  if (backup !== undefined) {
    const plan = await readPlanFile(join(root, FIRST_OS.plan), digest)
    const boot = await makeBoot(plan)
    await boot.disarm(backup)
    // Under UEFI a disk that is gone starts nothing.
    if (!options.stageLost || plan.host.firmware === 'bios') await refuseGuarded(plan, options)
    return plan
  }
  // Without a store, and nothing armed: the staging had only begun.
  if (!isStoreMissing(error)) throw error
  return undefined
}

async function undoAndBlank(mounted: Store, options: AbortOptions, digest?: string): Promise<void> {
  let undone: Undone
  {
    await using store = mounted
    undone = await undo(store.path, options, digest)
  }
  const { plan, left } = undone
  if (plan === undefined) return
  await unmountLeft(mounted.path)
  await makeBlankAfter({ left, emit: options.emit }, plan)
}

interface Undone {
  /** Absent when it cannot be read. */
  readonly plan: FlashPlan | undefined
  /** Why secrets could not be erased. */
  readonly left: string | undefined
}

async function undo(store: string, options: AbortOptions, digest?: string): Promise<Undone> {
  const { makeBoot, notifier, root = '/' } = options
  const journal = await openReadableJournal(store, { system: 'first-os' })
  const state = journal?.current?.state
  if (state !== undefined && !(await isAbortable(store, state))) {
    throw tooLate(`the state is ${state}`)
  }
  const findPlan = () =>
    orElse(
      () => readPlan(store, digest),
      () => readPlanFile(join(root, FIRST_OS.plan), digest),
    )
  // Without a plan nobody is known who wants to be told; everything is undone all the same.
  const plan = await findPlan().catch(() => undefined)
  const backup = await orElse(
    () => readBackup(join(store, STORE.armBackup)),
    () => readBackup(join(root, FIRST_OS.armBackup)),
  )
  if (backup !== undefined) {
    const boot = await makeBoot(plan ?? (await findPlan()))
    await boot.disarm(backup)
  }
  const mayBeGuarded = state === undefined || !NEVER_GUARDED.includes(state)
  if (plan !== undefined && mayBeGuarded) await refuseGuarded(plan, options)
  const failed = await emptyStore(store, journal)
  // Without a plan nobody knows what to overwrite instead.
  if (failed !== undefined && plan === undefined) throw failed
  const record = journal?.current
  if (plan !== undefined && record?.state === 'aborted') await notifier?.(plan)(record)
  return { plan, left: failed === undefined ? undefined : messageOf(failed) }
}

/**
 * What the store holds of the run goes; the rest is tried after a failure of the disk as well.
 * @returns what the disk failed at first
 */
async function emptyStore(store: string, journal: Journal | undefined): Promise<unknown> {
  const remove = (name: string) => removeFileSafely(join(store, name))
  const state = journal?.current?.state
  const failed: unknown[] = []
  const tried = (step: Promise<unknown>) =>
    step.catch((error: unknown) => {
      // That somebody else is at work is another matter.
      const isDisk = error instanceof OsflashError && ['io', 'readback'].includes(error.code)
      if (!isDisk) throw error
      failed.push(error)
    })
  await tried(eraseSecrets(store))
  for (const name of [STORE.go, STORE.hold]) await tried(remove(name))
  if (journal === undefined) {
    for (const name of STORE.journal) await tried(remove(name))
  } else if (state !== undefined && state !== 'preflight') {
    await tried(journal.write({ state: 'aborted' }))
  }
  await tried(remove(STORE.armBackup))
  return failed[0]
}

/**
 * Also where firmware lost the rescue behind the guard, or a way back ended without its last word:
 * the first OS runs, nothing of it was wiped.
 */
const isAbortable = async (store: string, state: State): Promise<boolean> =>
  ABORTABLE.includes(state) || (await canGoBack(store, state))

/** Somebody started the first OS by hand: the next boot would end at a blank disk. */
async function refuseGuarded(plan: FlashPlan, options: AbortOptions): Promise<void> {
  const isGuarded = await options.startsByStage(plan).catch((cause: unknown) => {
    const why = `what the host starts is not known: ${messageOf(cause)}`
    const hints = cause instanceof OsflashError ? cause.hints : []
    throw new OsflashError('refused', `aborting the replacement: ${why}`, {
      cause,
      hints: options.stageLost ? OWN_BOOT_CODE : hints,
    })
  })
  if (!isGuarded) return
  throw new OsflashError('refused', 'aborting the replacement: every boot ends in the rescue', {
    hints: ['boot from the stage disk; where its rescue holds: osflash abort there'],
  })
}

const OWN_BOOT_CODE = [
  'grub-install puts boot code of its own on the disk of this system; then osflash abort again',
]

/** What the store has, else what the first OS keeps; the error of the store when neither has it. */
async function orElse<T>(inStore: () => Promise<T>, own: () => Promise<T>): Promise<T> {
  try {
    return (await inStore()) ?? (await own())
  } catch (error) {
    const kept = await own().catch(() => undefined)
    if (kept === undefined) throw error
    return kept
  }
}

function tooLate(why: string): OsflashError {
  return new OsflashError('refused', `aborting the replacement: ${why}`, {
    hints: ['osflash status says what can be done'],
  })
}
