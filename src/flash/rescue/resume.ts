/**
 * `osflash resume`: one run of the rescue, from the store to a reboot, or to holding.
 *
 * 1. Find the store by what staging wrote into the rescue's root; open journal, plan and carry.
 * 2. A new target may take the place of the stored one; only where the rescue holds.
 * 3. Let machine.ts lead on from the journal's state. Every event also goes to a log on the store,
 *    every state to whoever wanted to be notified.
 *
 * Whatever cannot be read holds: nothing is destroyed on a guess. Not promised: a network.
 */
import { appendFileSync } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ioError, OsflashError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { holdLock } from '../../system/lock.ts'
import { run } from '../../system/run.ts'
import type { ReversibleBoot } from '../boot/method.ts'
import { readCarry } from '../carry/capture.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import { eraseSecrets } from '../erase.ts'
import type { Journal } from '../journal.ts'
import { makeNotifier } from '../notify.ts'
import { STORE } from '../places.ts'
import type { FlashPlan } from '../plan/plan.ts'
import type { State } from '../states.ts'
import { mountStore, readPlan } from '../store.ts'
import { findStore } from '../systems.ts'
import { logFolder, rescueActs } from './acts.ts'
import { rescueBoot } from './boot.ts'
import type { RescueHost } from './host.ts'
import { type RescueJournal, type RescueOutcome, runRescue } from './machine.ts'
import { openOrRenew } from './new-journal.ts'
import { type NewTarget, replaceTarget, settlePlan } from './new-target.ts'
import { anyGatewayAnswers } from './reached.ts'

/** The dead-man unit of the rescue looks for it. */
const STARTED = '/run/osflash/resume-started'

/** One at a time leads the rescue on, or back. */
export const RESUME_LOCK = 'osflash resume'

export interface ResumeOptions {
  /** Started by the rescue itself: it touches nothing that an operator must decide. */
  readonly atBoot: boolean
  readonly newTarget?: NewTarget
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/**
 * Goes on with the replacement.
 * @throws OsflashError `refused` outside of the rescue or while another runs, `format` or
 *   `digest` when the store cannot be believed: the rescue holds then
 */
export async function resume(options: ResumeOptions): Promise<RescueOutcome> {
  const outcome = await goOn(options).catch((error: unknown) => lost(options, error))
  // Nothing is mounted any more, and the lock is free.
  if (outcome === 'rebooting') await reboot()
  return outcome
}

export async function reboot(): Promise<void> {
  await run(['sync'])
  await run(['systemctl', 'reboot'])
}

/** How long a network may take to come up where the store cannot say what to expect of it. */
const LOST_SECONDS = 600
/** For whoever looks at the console. */
const LOOK_MS = 30_000
/** On the kernel's command line when the first OS's GRUB started this rescue. */
const FIRST_PARAMETER = ' osflash.first='

/**
 * The store cannot be believed. Started by the first OS's GRUB, the host goes back to it; else it
 * holds where somebody can log in, and reboots where not.
 */
async function lost({ atBoot, emit, signal }: ResumeOptions, error: unknown): Promise<'rebooting'> {
  if (!atBoot || signal?.aborted) throw error
  const commandLine = await readFile('/proc/cmdline', 'utf8').catch(() => '')
  if (!commandLine.includes(FIRST_PARAMETER) && (await anyGatewayAnswers(LOST_SECONDS))) {
    await markAlive()
    throw error
  }
  emit({ event: 'note', text: `rebooting, nothing can be done here: ${String(error)}` })
  await sleep(LOOK_MS)
  return 'rebooting'
}

/** The dead-man unit of the rescue reboots while it is missing. */
async function markAlive(): Promise<void> {
  await mkdir(dirname(STARTED), { recursive: true })
  await writeFile(STARTED, '')
}

async function goOn(options: ResumeOptions): Promise<RescueOutcome> {
  const found = await findStore()
  if (found?.system !== 'rescue' || found.rescueRootUuid === undefined) {
    throw new OsflashError('refused', 'resuming: this system is not the rescue', {
      hints: ['osflash status', 'osflash plan, then osflash apply, on the host to be replaced'],
    })
  }
  await using _lock = await holdLock(RESUME_LOCK, 'resuming')
  await using store = await mountStore({ uuid: found.storeUuid })
  const { newTarget, signal } = options
  const journal = await openOrRenew({
    store: store.path,
    stagedDigest: found.planDigest,
    isAsked: newTarget !== undefined,
    makeBoot: rescueBoot,
  })
  const emit = await logged(store.path, options)
  const isHeld = await obeyHold(store.path, { ...options, emit })
  if (isHeld) return 'held'
  if (newTarget !== undefined) {
    const rest = signal === undefined ? {} : { signal }
    await replaceTarget({ store: store.path, journal, ...newTarget, emit, ...rest })
  }
  await settlePlan(store.path, journal)
  const { storeUuid, rescueRootUuid } = found
  const places = { store: store.path, storeUuid, rescueRootUuid }
  // Awaited here: the store stays mounted and the lock held until then.
  return await goOnFrom(journal, { ...options, emit, places })
}

/** An operator's HOLD is for what starts by itself; what an operator starts ends it. */
async function obeyHold(store: string, { atBoot, emit }: ResumeOptions): Promise<boolean> {
  const hold = join(store, STORE.hold)
  if (!atBoot) await removeFileSafely(hold)
  else if (await exists(hold)) {
    await markAlive()
    emit({ event: 'note', text: 'an operator asked to hold: osflash resume goes on' })
    return true
  }
  return false
}

interface Mounted extends ResumeOptions {
  readonly places: Pick<RescueHost, 'store' | 'storeUuid' | 'rescueRootUuid'>
}

/** Up to these the first OS is whole, and a rescue that hangs must not keep the host from it. */
const EARLY: readonly State[] = [
  ...(['preflight', 'staging', 'staged', 'armed', 'rehearsal', 'aborted'] as const),
]
/** States in which nothing is to be done here; the stage may be half filled. */
const NOT_OURS: readonly State[] = ['preflight', 'staging', 'aborted']

async function goOnFrom(journal: Journal, options: Mounted): Promise<RescueOutcome> {
  const { atBoot, emit, signal, places } = options
  const state = journal.current?.state
  if (state !== undefined && !EARLY.includes(state)) await markAlive()
  const plan = await readPlan(places.store)
  const boot = await rescueBoot(plan)
  if (state === 'confirmed') return afterConfirmation({ ...options, boot })
  if (state !== undefined && NOT_OURS.includes(state))
    return afterAbort(journal, { ...options, boot })
  const { carry } = await readCarry(join(places.store, STORE.carry))
  const common = { emit, ...(signal === undefined ? {} : { signal }) }
  const acts = rescueActs({
    ...places,
    ...common,
    plan,
    planDigest: journal.current?.planDigest ?? '',
    carry,
    boot,
    isManned: !atBoot,
    alive: markAlive,
  })
  return runRescue({
    ...common,
    journal: told(journal, plan, emit),
    acts,
    confirm: plan.confirm.how,
    retry: !atBoot,
  })
}

interface Booted extends Mounted {
  readonly boot: ReversibleBoot
}

/** Firmware that lost the order, or a cut on the way: the host belongs to its target. */
async function afterConfirmation({ emit, places, boot }: Booted): Promise<RescueOutcome> {
  await eraseSecrets(places.store)
  const restored = join(places.store, STORE.restored)
  // Once: firmware that forgets it again would have the host start for ever.
  if ((await boot.hasGuard()) && !(await exists(restored))) {
    await writeFileSafely(restored, '', 0o600)
    emit({ event: 'note', text: 'the target is confirmed: it becomes what boots again' })
    await boot.confirm()
    return 'rebooting'
  }
  emit({ event: 'note', text: 'the replacement is confirmed: there is nothing to go on with' })
  return 'held'
}

/** The rescue should not have started again: the host belongs to its first OS. */
async function afterAbort(
  journal: Journal,
  { emit, atBoot, places, boot }: Booted,
): Promise<RescueOutcome> {
  const isIntended = await exists(join(places.store, STORE.intent))
  if (isIntended && (await boot.hasGuard())) {
    if (journal.current?.state === 'aborted') {
      await journal.write({ state: 'held', error: 'aborted behind the guard' })
    }
    await markAlive()
    return 'held'
  }
  await boot.release()
  if (atBoot && !(await anyGatewayAnswers(LOST_SECONDS))) return 'rebooting'
  await markAlive()
  const state = journal.current?.state
  emit({ event: 'note', text: `the replacement is ${state}; a reboot starts the first system` })
  return 'held'
}

/** The events, and a line of each but the progress in a log that survives on the store. */
async function logged(store: string, { emit }: ResumeOptions): Promise<Emit> {
  const path = join(await logFolder(store), 'rescue.jsonl')
  return (event) => {
    emit(event)
    if (event.event === 'progress') return
    try {
      appendFileSync(path, `${JSON.stringify({ at: new Date().toISOString(), ...event })}\n`)
    } catch (cause) {
      emit({ event: 'note', text: ioError(`writing ${path}`, cause).message })
    }
  }
}

/** The journal, with each new state told to the log and to `--notify`. */
function told(journal: Journal, plan: FlashPlan, emit: Emit): RescueJournal {
  const notify = makeNotifier(plan, emit)
  return {
    get current() {
      return journal.current
    },
    write: async (step) => {
      const record = await journal.write(step)
      const why = record.error === undefined ? '' : `: ${record.error}`
      emit({ event: 'note', text: `state ${record.state}${why}` })
      await notify(record)
      return record
    },
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
