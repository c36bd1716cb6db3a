/**
 * Where a replacement is, asked in whichever of the three systems runs.
 *
 * 1. The system's own facts lead to the store (systems.ts), the store holds journal and plan.
 * 2. A journal that cannot be read is reported as `held`: that is what the rescue makes of it. So
 *    is, in the rescue, one that is not there, and a store that is gone or does not mount.
 * 3. In the first OS, `armed` after another start of the host with the one-shot spent means that
 *    the rescue was started and did not come up. Without its store it counts as failed.
 * 4. What can be done next is in next-steps.ts.
 *
 * Changes nothing. Not promised: whether a program is at work just now.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, OsflashError } from '../errors.ts'
import { exists } from '../system/exists.ts'
import { hasSecrets } from './erase.ts'
import { identityText } from './host/disk-identity.ts'
import { openJournal, readBootId } from './journal.ts'
import { nextSteps } from './next-steps.ts'
import { FIRST_OS, STORE } from './places.ts'
import type { FlashPlan } from './plan/plan.ts'
import { canGoBack } from './rescue/way-back.ts'
import { type JournalRecord, NEVER_GUARDED, type State, type SystemName } from './states.ts'
import { isStoreLost, isStoreMissing, mountStore, readPlan, readPlanFile } from './store.ts'
import { type FoundStore, findStore } from './systems.ts'

const TRIAL_LOG_LINES = 5

/** What the plan says, in short. */
export interface PlanSummary {
  readonly hostname: string
  readonly os: string
  readonly target: string
  readonly disk: string
  readonly stage: string
  readonly go: FlashPlan['go']
  readonly confirm: FlashPlan['confirm']
}

/** Plain data for `--json`. */
export interface RunStatus {
  readonly system: SystemName
  readonly state: State | 'none'
  /** When the state was entered, by the host's clock. */
  readonly since?: string
  readonly attempts?: JournalRecord['attempts']
  /** Why it is where it is. */
  readonly error?: string
  /** Held, aborted with a reason, or a rescue that did not come up. */
  readonly failed: boolean
  /** What else is worth knowing, a sentence each. */
  readonly notes: readonly string[]
  readonly next: readonly string[]
  /** The last lines of the trial agent. */
  readonly trialLog: readonly string[]
  readonly plan?: PlanSummary
  readonly planDigest?: string
}

export interface StatusOptions {
  /** Whether the next boot is the rescue; asked in the first OS alone. */
  readonly isArmed: (plan: FlashPlan) => Promise<boolean>
  /** Whether every boot ends in the rescue; asked in the first OS alone, behind the guard. */
  readonly startsByStage: (plan: FlashPlan) => Promise<boolean>
  /** Root of the system; other than `/` only in tests. */
  readonly root?: string
}

/** @throws OsflashError when the store or the system's own facts cannot be read */
export async function readStatus(options: StatusOptions): Promise<RunStatus> {
  const { root } = options
  const found = await findStore(root)
  const none = { state: 'none', failed: false, next: [], trialLog: [] } as const
  if (found === undefined) return { ...none, system: 'first-os', notes: [] }
  const { system, storeUuid } = found
  const mounted = await mountStore({ uuid: storeUuid, readOnly: true }).catch((error: unknown) => {
    const isHeld = system === 'rescue' && isStoreLost(error)
    if (isHeld) return messageOf(error)
    if (isStoreMissing(error)) return undefined
    throw error
  })
  if (typeof mounted === 'string') return withoutStore(mounted)
  if (mounted === undefined) {
    if (system === 'first-os') {
      const isArmed = await exists(join(root ?? '/', FIRST_OS.armBackup))
      return isArmed ? withoutStage() : unfilled(system)
    }
    const note = 'the stage disk of the last replacement is not there'
    return { ...none, system, notes: [note] }
  }
  await using store = mounted
  // Awaited here: the store stays mounted until then.
  return await statusOf(store.path, found, options)
}

/** Nobody in the rescue knows how far the run is. */
function withoutStore(error: string): RunStatus {
  const held = { state: 'held', system: 'rescue' } as const
  const next = nextSteps({ ...held, lacks: 'store' })
  return { ...held, error, failed: true, notes: [], next, trialLog: [] }
}

/** Armed or further: what the next boot starts, or was to start, does not answer. */
function withoutStage(): RunStatus {
  const armed = { state: 'armed', system: 'first-os' } as const
  const why = 'the stage disk does not answer, is damaged, or an abort was cut'
  const error = `the store is not found: ${why}`
  const next = nextSteps({ ...armed, lacks: 'store' })
  return { ...armed, error, failed: true, notes: [], next, trialLog: [] }
}

/** Staging was begun; the store is made only when the rescue is unpacked. */
function unfilled(system: SystemName): RunStatus {
  const next = nextSteps({ state: 'staging', system })
  const notes = ['the store is not made yet']
  return { system, state: 'staging', failed: false, notes, next, trialLog: [] }
}

async function statusOf(
  path: string,
  { system, planDigest }: FoundStore,
  options: StatusOptions,
): Promise<RunStatus> {
  const notes: string[] = []
  const record = await readJournal(path, system)
  if (record === undefined) return unfilled(system)
  const isRead = 'sequence' in record
  // Without a journal that of staging is the likeliest.
  const pinned = isRead ? undefined : planDigest
  const plan = await readPlan(path, pinned).catch((error: unknown) => {
    if (isRead) notes.push(messageOf(error))
    // The first OS keeps one of its own, as abort knows.
    return system === 'first-os' ? ownPlan(options, planDigest) : undefined
  })
  const lost = await lostRescue(record, system, () => plan && options.isArmed(plan))
  if (lost !== undefined) notes.push(lost)
  const { state, error } = record
  if (state === 'confirmed') notes.push(...(await secretsLeft(path, system)))
  const isBack = system !== 'target' && (await canGoBack(path, state))
  const mayBeGuarded = system === 'first-os' && !(isRead && NEVER_GUARDED.includes(state))
  const isGuarded = mayBeGuarded && (await isGuardedHost(plan, options))
  const failed = state === 'held' || (state === 'aborted' && error !== undefined)
  return {
    system,
    ...(isRead ? factsOf(record) : {}),
    state,
    ...(error === undefined ? {} : { error }),
    failed: failed || lost !== undefined,
    notes,
    next: nextSteps({
      state,
      system,
      isLost: lost !== undefined,
      canGoBack: isBack,
      isGuarded,
      lacks: isRead ? undefined : 'journal',
      ...(plan && { plan }),
    }),
    trialLog: await lastLines(join(path, STORE.trialLog)),
    ...(plan === undefined ? {} : { plan: summaryOf(plan) }),
  }
}

const ownPlan = ({ root = '/' }: StatusOptions, digest?: string): Promise<FlashPlan | undefined> =>
  readPlanFile(join(root, FIRST_OS.plan), digest).catch(() => undefined)

/** Whether abort would be refused; it is where nobody can tell. */
async function isGuardedHost(
  plan: FlashPlan | undefined,
  { startsByStage }: StatusOptions,
): Promise<boolean> {
  if (plan === undefined) return true
  // There abort takes the rescue out of the firmware's list before it looks.
  if (plan.host.firmware === 'uefi') return false
  return startsByStage(plan).catch(() => true)
}

/** A cut or a failing disk came between the last state and erasing them. */
async function secretsLeft(path: string, system: SystemName): Promise<readonly string[]> {
  try {
    if (!(await hasSecrets(path))) return []
  } catch (error) {
    return [messageOf(error)]
  }
  const verb = system === 'rescue' ? 'resume' : 'cleanup'
  return [`secrets of the run are still on the store: osflash ${verb} erases them`]
}

const factsOf = ({ since, attempts, planDigest }: JournalRecord) => ({
  since,
  attempts,
  planDigest,
})

interface LostJournal {
  readonly state: 'held'
  readonly error: string
}

/** Only the first OS has a store without one: what it was doing is staging. */
async function readJournal(
  path: string,
  system: SystemName,
): Promise<JournalRecord | LostJournal | undefined> {
  try {
    const { current } = await openJournal(path, { system })
    if (current !== undefined || system === 'first-os') return current
    return { state: 'held', error: 'reading the journal: there is none on the store' }
  } catch (error) {
    if (!(error instanceof OsflashError) || error.code !== 'format') throw error
    return { state: 'held', error: error.message }
  }
}

/** Why the first OS runs although it was to be the rescue; `undefined` when that is in order. */
async function lostRescue(
  record: { readonly state: State; readonly bootId?: string },
  system: SystemName,
  isArmed: () => Promise<boolean> | undefined,
): Promise<string | undefined> {
  if (system !== 'first-os') return undefined
  if (record.state === 'rehearsal') return 'the rescue came up, and did not end its rehearsal'
  if (record.state !== 'armed' || record.bootId === (await readBootId())) return undefined
  const armed = await isArmed()?.catch(() => undefined)
  return armed === false ? 'the rescue was started and did not come up' : undefined
}

export const summaryOf = ({ host, target, disk, stage, go, confirm }: FlashPlan): PlanSummary => ({
  hostname: host.hostname,
  os: host.os,
  target: target.title ?? target.name,
  disk: identityText(disk),
  stage: identityText(stage),
  go,
  confirm,
})

async function lastLines(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .slice(-TRIAL_LOG_LINES)
}
