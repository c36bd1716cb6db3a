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
import { appendFileSync, mkdirSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { exists } from '../../system/exists.ts'
import { holdLock } from '../../system/lock.ts'
import { run } from '../../system/run.ts'
import { readCarry } from '../carry/capture.ts'
import { removeFileSafely } from '../durable-file.ts'
import { eraseSecrets } from '../erase.ts'
import type { Journal } from '../journal.ts'
import { makeNotifier } from '../notify.ts'
import { STORE, STORE_MOUNT } from '../places.ts'
import type { FlashPlan } from '../plan/plan.ts'
import type { State } from '../states.ts'
import { mountStore, readPlan } from '../store.ts'
import { findStore } from '../systems.ts'
import { rescueActs } from './acts.ts'
import { rescueBoot } from './boot.ts'
import { afterAbort, afterConfirmation } from './ended.ts'
import type { RescueHost } from './host.ts'
import { whenLost } from './lost.ts'
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
  let hasDecided = false
  const decided = (): void => {
    hasDecided = true
  }
  const outcome = await goOn({ ...options, decided }).catch(async (error: unknown) => {
    const commandLine = await readFile('/proc/cmdline', 'utf8').catch(() => '')
    return whenLost(error, { ...options, ...OUTSIDE, commandLine, hasDecided })
  })
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

/** What is asked and told outside of the store. */
const OUTSIDE = {
  isReachable: () => anyGatewayAnswers(LOST_SECONDS),
  alive: markAlive,
}

/** The dead-man unit of the rescue reboots while it is missing. */
async function markAlive(): Promise<void> {
  await mkdir(dirname(STARTED), { recursive: true })
  await writeFile(STARTED, '')
}

interface Run extends ResumeOptions {
  /** Called when there is no first OS to go back to any more. */
  readonly decided: () => void
}

async function goOn(options: Run): Promise<RescueOutcome> {
  const found = await findStore()
  if (found?.system !== 'rescue' || found.rescueRootUuid === undefined) {
    throw new OsflashError('refused', 'resuming: this system is not the rescue', {
      hints: ['osflash status', 'osflash plan, then osflash apply, on the host to be replaced'],
    })
  }
  await using _lock = await holdLock(RESUME_LOCK, 'resuming')
  const emit = logged(options)
  await using store = await mountStore({ uuid: found.storeUuid, emit })
  const { newTarget, signal } = options
  const journal = await openOrRenew({
    store: store.path,
    stagedDigest: found.planDigest,
    isAsked: newTarget !== undefined,
    makeBoot: rescueBoot,
  })
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

interface Mounted extends Run {
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
  if (state !== undefined && !EARLY.includes(state)) {
    options.decided()
    await markAlive()
  }
  const plan = await readPlan(places.store)
  const boot = await rescueBoot(plan)
  const { store } = places
  const ended = { ...OUTSIDE, atBoot, emit, store, boot, erase: () => eraseSecrets(store) }
  if (state === 'confirmed') return afterConfirmation(ended)
  if (state !== undefined && NOT_OURS.includes(state)) return afterAbort(journal, ended)
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
    journal: told(journal, { ...options, plan }),
    acts,
    confirm: plan.confirm.how,
    retry: !atBoot,
  })
}

/** The events, and a line of each but the progress in a log that survives on the store. */
function logged({ emit }: ResumeOptions): Emit {
  const folder = join(STORE_MOUNT, STORE.logs)
  const path = join(folder, 'rescue.jsonl')
  return (event) => {
    emit(event)
    if (event.event === 'progress') return
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      appendFileSync(path, `${JSON.stringify({ at: new Date().toISOString(), ...event })}\n`)
    } catch (cause) {
      emit({ event: 'note', text: ioError(`writing ${path}`, cause).message })
    }
  }
}

/** The journal, with each new state told to the log and to `--notify`. */
function told(
  journal: Journal,
  { plan, emit, decided }: Pick<Run, 'emit' | 'decided'> & { readonly plan: FlashPlan },
): RescueJournal {
  const notify = makeNotifier(plan, emit)
  return {
    get current() {
      return journal.current
    },
    write: async (step) => {
      // Before it is tried: the guard stands, also where the stage takes no record any more.
      if (!EARLY.includes(step.state)) {
        decided()
        // A rescue that goes on behind a guard without a record of it rehearses nothing.
        await markAlive()
      }
      const record = await journal.write(step)
      const why = record.error === undefined ? '' : `: ${record.error}`
      emit({ event: 'note', text: `state ${record.state}${why}` })
      await notify(record)
      return record
    },
  }
}
