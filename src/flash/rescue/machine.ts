/**
 * What the rescue does, from one state to the next (docs/apply.md, "States").
 *
 * 1. The journal says where the run is; the table `STEPS` says which act leads on from there.
 * 2. An act is done, then its state is written: every act may be done again after a power cut.
 *    Counters are raised, and `trial` is written, before the attempt.
 * 3. Before the guard is in place a failure is written down as `aborted`, and the host goes back
 *    to its first OS. From then on a failure is `held`: the rescue stays, and SSH with it.
 * 4. A guard that this rescue put in place means that the commit was decided: no gate is asked
 *    again. One that stands there by itself means nothing.
 *
 * Not promised: anything about an act; acts.ts does them. Cancelling holds, it never reboots.
 */

import { messageOf, OsflashError } from '../../errors.ts'
import { type Emit, inPhase } from '../../events.ts'
import { RESUME_WITH } from '../hints.ts'
import type { JournalRecord, State } from '../states.ts'

/** The journal, as far as the machine needs it. */
export interface RescueJournal {
  readonly current: JournalRecord | undefined
  write(change: {
    readonly state: State
    readonly error?: string
    readonly attempts?: JournalRecord['attempts']
  }): Promise<JournalRecord>
}

/** Everything that touches the host; each act may be repeated. */
export interface RescueActs {
  hasGuard(): Promise<boolean>
  /** The guard is there because the rescue put it there: nobody is asked again. */
  wasDecided(): Promise<boolean>
  /** Same reachability as before, and GO where one is asked for. Throws when not. */
  rehearse(): Promise<void>
  /**
   * Puts the guard in place and reads it back.
   * @param isFirst the disk is still the first OS's, and must be exactly that of the plan
   */
  guard(isFirst: boolean): Promise<void>
  wipe(): Promise<void>
  /** Writes the target's disk; goes on from a checkpoint. */
  unpack(): Promise<void>
  /** Carry, agent, checks inside the target's root. */
  furnish(): Promise<void>
  retarget(): Promise<void>
  /** Lets the target start once. @param attempt which trial it is, from 1 */
  trial(attempt: number): Promise<void>
  /** False only where the target cannot have been started by this trial. */
  wasGranted(attempt: number): Promise<boolean>
  /** Makes the target the way to boot; only where nobody has to confirm. */
  confirm(): Promise<void>
  /** Erases the secrets of the store; what it cannot erase keeps no host from its target. */
  erase(): Promise<void>
  /** Before the guard: the next boot is not the rescue, as far as that lies with us. */
  release(): Promise<void>
  /** Why a trial that came back was not confirmed. */
  trialReason(): Promise<string>
}

export interface RescueRun {
  readonly journal: RescueJournal
  readonly acts: RescueActs
  /** `none`: the rescue confirms by itself. */
  readonly confirm: 'auto' | 'ssh' | 'none'
  /** An operator asked for another try, so `held` is left, once. */
  readonly retry: boolean
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** How the rescue ended: the caller reboots, once nothing is mounted any more; or it stays. */
export type RescueOutcome = 'rebooting' | 'held'

/** A disk that fails three times is not tried a fourth time without a person. */
const FLASH_ATTEMPTS_MAX = 3
/** One that a cut kept from being granted is not a trial that failed; twice is no cut any more. */
const TRIAL_ATTEMPTS_MAX = 2
/** Power cuts, panics and reboots behind the guard. */
const RETURNS_MAX = 10

/**
 * Runs until the host is to be rebooted or the rescue holds. Never throws for a failed act.
 * @throws OsflashError when the journal itself cannot be written; the caller holds then
 */
export async function runRescue(run: RescueRun): Promise<RescueOutcome> {
  await countReturn(run)
  // One try a call: what holds again waits for its operator again.
  let mayRetry = run.retry && currentOf(run).state === 'held'
  for (;;) {
    const { state, error } = currentOf(run)
    const step = STEPS[state]
    if (step === undefined) {
      if (state !== 'held' || !mayRetry) return stay(run, error)
      mayRetry = false
    }
    try {
      const outcome = await (step ?? tryAgain)(run)
      if (outcome !== undefined) return outcome
    } catch (failure) {
      const outcome = await fail(run, failure)
      if (outcome !== undefined) return outcome
    }
  }
}

/** States in which a host that dies comes back here each time; that must end too. */
const COUNTED: readonly State[] = ['committed', 'wiped', 'flashing', 'body-complete', 'retargeted']

async function countReturn({ journal }: RescueRun): Promise<void> {
  const state = journal.current?.state
  if (state === undefined || !COUNTED.includes(state)) return
  const attempts = attemptsOf(journal)
  const { returns = 0 } = attempts
  if (returns < RETURNS_MAX) {
    await journal.write({ state, attempts: { ...attempts, returns: returns + 1 } })
  } else await journal.write({ state: 'held', error: `the rescue was cut ${returns} times` })
}

type Step = (run: RescueRun) => Promise<RescueOutcome | undefined>

/** States without a step are those in which the rescue stays. */
const STEPS: Readonly<Partial<Record<State, Step>>> = {
  staged: enterRehearsal,
  armed: enterRehearsal,
  rehearsal: commit,
  committed: (run) => act(run, 'wiping the disk', { work: run.acts.wipe, next: 'wiped' }),
  wiped: startFlashing,
  flashing: flash,
  'body-complete': (run) =>
    act(run, 'retargeting the boot', { work: run.acts.retarget, next: 'retargeted' }),
  retargeted: startTarget,
  trial: afterTrial,
}

async function enterRehearsal({ journal }: RescueRun): Promise<undefined> {
  await journal.write({ state: 'rehearsal' })
}

async function commit(run: RescueRun): Promise<undefined> {
  const { acts, emit } = run
  if (!(await acts.wasDecided())) await inPhase(emit, 'rehearsing', () => acts.rehearse())
  return act(run, 'committing', { work: () => acts.guard(true), next: 'committed' })
}

async function startFlashing({ journal }: RescueRun): Promise<undefined> {
  const attempts = attemptsOf(journal)
  if (attempts.flash >= FLASH_ATTEMPTS_MAX) {
    throw new OsflashError('io', `flashing: ${attempts.flash} attempts have failed`, {
      hints: ['look at the disk (smartctl -a), next: osflash resume'],
    })
  }
  await journal.write({ state: 'flashing', attempts: { ...attempts, flash: attempts.flash + 1 } })
}

async function flash(run: RescueRun): Promise<undefined> {
  await inPhase(run.emit, 'flashing', () => run.acts.unpack())
  return act(run, 'furnishing the target', { work: run.acts.furnish, next: 'body-complete' })
}

async function startTarget(run: RescueRun): Promise<RescueOutcome> {
  const { journal, acts } = run
  const attempts = attemptsOf(journal)
  const trial = attempts.trial + 1
  await journal.write({ state: 'trial', attempts: { ...attempts, trial } })
  if (run.confirm === 'none') {
    await acts.confirm()
    await journal.write({ state: 'confirmed' })
    await eraseOrTell(acts, run.emit)
  } else await acts.trial(trial)
  return 'rebooting'
}

/** The target is what boots: a failure here must not keep the host from it. */
export async function eraseOrTell({ erase }: Pick<RescueActs, 'erase'>, emit: Emit): Promise<void> {
  await erase().catch((error: unknown) => {
    const why = messageOf(error)
    emit({ event: 'note', text: `${why}; in the target: osflash cleanup` })
  })
}

/** The rescue is up again, and nobody confirmed. */
async function afterTrial(run: RescueRun): Promise<RescueOutcome> {
  const { acts, emit } = run
  const { trial } = attemptsOf(run.journal)
  if (trial < TRIAL_ATTEMPTS_MAX && !(await acts.wasGranted(trial))) {
    emit({ event: 'note', text: 'the host was cut before the target could start: once more' })
    return startTarget(run)
  }
  const why = await acts.trialReason()
  throw new OsflashError('unexpected', `trying the target: ${why}`, {
    hints: ['osflash resume', RESUME_WITH],
  })
}

interface Work {
  readonly work: () => Promise<void>
  readonly next: State
}

async function act(run: RescueRun, phase: string, { work, next }: Work): Promise<undefined> {
  await inPhase(run.emit, phase, work)
  await run.journal.write({ state: next })
}

/**
 * The guard again, also where it stands: a trial that was allowed and never came must not come
 * while the disk is written, and a target that was confirmed in half may have taken its place.
 */
async function tryAgain({ journal, acts, emit }: RescueRun): Promise<undefined> {
  emit({ event: 'note', text: 'trying again: the disk is wiped and written from its start' })
  await acts.guard(false)
  await journal.write({ state: 'committed', attempts: { flash: 0, trial: 0 } })
}

/** Before the guard: back to the first OS. Behind it: stay. */
async function fail(run: RescueRun, failure: unknown): Promise<RescueOutcome | undefined> {
  const { journal, acts } = run
  const error = messageOf(failure)
  const { state } = currentOf(run)
  if (run.signal?.aborted) return stay(run, `stopped in state ${state}; osflash resume goes on`)
  if (state === 'wiped' || state === 'flashing') {
    const { flash: tried } = attemptsOf(journal)
    run.emit({ event: 'note', text: `attempt ${tried} failed: ${error}` })
    if (state === 'flashing' && tried < FLASH_ATTEMPTS_MAX) {
      await journal.write({ state: 'wiped', error: clipped(error) })
      return undefined
    }
  }
  if (state === 'held') {
    await journal.write({ state, error: clipped(error) })
    return stay(run, error)
  }
  const early = state === 'staged' || state === 'armed' || state === 'rehearsal'
  // Where the disk cannot be asked: a reboot ends in the first OS, or here again and stays.
  const isGuarded = !early || (await acts.wasDecided().catch(() => false))
  if (isGuarded) {
    await journal.write({ state: 'held', error: clipped(error) })
    return undefined
  }
  // Firmware may have put the rescue first by itself.
  await acts.release().catch((cause: unknown) => {
    run.emit({ event: 'note', text: `the boot order stays as it is: ${String(cause)}` })
  })
  if (state !== 'rehearsal') await journal.write({ state: 'rehearsal' })
  await journal.write({ state: 'aborted', error: clipped(error) })
  run.emit({ event: 'note', text: `going back to the first OS: ${error}` })
  return 'rebooting'
}

/** A record must fit its slot. */
const clipped = (text: string): string => text.slice(0, 500)

function stay({ emit }: RescueRun, error: string | undefined): RescueOutcome {
  emit({ event: 'note', text: `the rescue stays, SSH is open${error ? `: ${error}` : ''}` })
  return 'held'
}

function currentOf({ journal }: RescueRun): JournalRecord {
  if (journal.current !== undefined) return journal.current
  throw new OsflashError('format', 'reading the journal: it holds no record', {
    hints: ['osflash status'],
  })
}

const attemptsOf = (journal: RescueJournal): JournalRecord['attempts'] =>
  journal.current?.attempts ?? { flash: 0, trial: 0 }
