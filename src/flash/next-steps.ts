/**
 * What can be done next, for each state and system: lines that an operator can follow or type.
 *
 * 1. Who waits is told for what; who may go back is told how.
 * 2. Before the guard the first OS is where everything is undone; behind it the rescue is.
 *
 * Pure.
 */
import { RESUME_WITH } from './hints.ts'
import type { FlashPlan } from './plan/plan.ts'
import type { State, SystemName } from './states.ts'

export interface Situation {
  readonly state: State
  readonly system: SystemName
  /** The rescue was to run, and did not. */
  readonly isLost?: boolean
  /** The first OS is whole, and the way back to it is known. */
  readonly canGoBack?: boolean
  /** In the first OS: every boot ends in the rescue, so that abort is refused here. */
  readonly isGuarded?: boolean
  /** What cannot be read: the store in rescue and first OS, the journal in each system. */
  readonly lacks?: 'store' | 'journal' | undefined
  readonly plan?: FlashPlan
}

const AGAIN = 'osflash apply goes on, with the same options'
const UNDO = 'osflash abort undoes what was prepared'
// Apply refuses while something may still start the rescue.
const UNDO_FIRST = [UNDO, 'then osflash apply tries again, with the same options']
const STAGE_LOST = 'osflash abort --stage-lost does, when the stage disk will not come back'
const BACK = 'osflash abort goes back to the first OS, of which nothing was wiped'
const BY_HAND = 'boot from the stage disk: its rescue goes on'
const BACK_THERE = 'where it holds, osflash abort there goes back to this system'
const BY_ITSELF = 'it goes on by itself; after an interruption: osflash resume'

/** One or more lines, what is likeliest first. */
export function nextSteps(situation: Situation): readonly string[] {
  const { state, system } = situation
  if (situation.lacks === 'store' && system === 'first-os') return [UNDO, STAGE_LOST]
  if (situation.lacks === 'journal' && system !== 'rescue') return withoutJournal(situation)
  if (system === 'first-os' && isBehindGuard(state)) {
    if (!situation.canGoBack) return [BY_HAND]
    return situation.isGuarded ? [BY_HAND, BACK_THERE] : [UNDO, BY_HAND]
  }
  switch (state) {
    case 'preflight':
    case 'staging':
    case 'staged':
      return system === 'rescue' ? [BY_ITSELF] : [AGAIN, UNDO]
    case 'armed':
      if (system === 'rescue') return [BY_ITSELF]
      return situation.isLost ? UNDO_FIRST : ['reboot starts the rescue', UNDO]
    case 'rehearsal':
      return system === 'rescue' ? rehearsalSteps(situation) : undoSteps(situation)
    case 'aborted':
      return system === 'rescue' ? ['reboot starts the first OS'] : undoSteps(situation)
    case 'trial':
      return trialSteps(situation)
    case 'confirmed':
      if (system === 'rescue') return ['reboot starts the target']
      return ['osflash cleanup makes the stage disk blank; until then it can start its rescue']
    case 'held':
      return heldSteps(situation)
    default:
      return [
        BY_ITSELF,
        'osflash hold: after an interruption it stays, and does not go on by itself',
        ...(situation.canGoBack ? [BACK] : []),
      ]
  }
}

const undoSteps = ({ isGuarded }: Situation): readonly string[] =>
  isGuarded ? [BY_HAND, BACK_THERE] : UNDO_FIRST

const WITHOUT_GUARD = 'unless the guard stands, a reboot starts the first OS; there: osflash abort'

function heldSteps({ canGoBack, lacks }: Situation): readonly string[] {
  if (lacks === 'store') {
    return [
      'the disk may hold a whole system, so look before it is written: lsblk -f, mount -r',
      'dmesg and blkid say what became of the stage disk; once it is mended: osflash resume',
      WITHOUT_GUARD,
      'else osflash unpack IMAGE --to DISK --trust CERT --identity KEY writes a system by hand',
    ]
  }
  const back = canGoBack ? [BACK] : []
  if (lacks === 'journal') {
    return [...back, `${RESUME_WITH} begins anew, behind the guard`, WITHOUT_GUARD]
  }
  return ['osflash resume tries again', `${RESUME_WITH} tries another target`, ...back]
}

/** It runs, so its disk is whole; only the rescue begins a new journal. */
function withoutJournal({ system, isGuarded, plan }: Situation): readonly string[] {
  if (system === 'target') {
    const after = 'osflash cleanup makes the stage disk blank, osflash apply may take it again'
    // Without an agent there is no such program, and nobody to wait for.
    if (plan?.confirm.how === 'none') return [after]
    return [
      'osflash-confirm keeps this system, or says that it is confirmed already',
      `once it is confirmed: ${after}`,
    ]
  }
  return isGuarded ? ['boot from the stage disk: its rescue holds', BACK_THERE] : UNDO_FIRST
}

/** Where the disk may be no first OS any more. */
const isBehindGuard = (state: State): boolean =>
  !['preflight', 'staging', 'staged', 'armed', 'rehearsal', 'aborted'].includes(state)

function rehearsalSteps({ plan }: Situation): readonly string[] {
  if (plan?.go.how !== 'ssh') return [BY_ITSELF]
  const { withinSeconds } = plan.go
  return [`osflash go starts it; without GO in ${withinSeconds} s the host returns to its first OS`]
}

function trialSteps({ plan, system }: Situation): readonly string[] {
  if (system === 'rescue') return ['osflash resume tells why the trial failed, and holds']
  if (plan?.confirm.how !== 'ssh') return ['the system confirms itself when its checks hold']
  const { withinSeconds } = plan.confirm
  return [`osflash confirm keeps it; without that in ${withinSeconds} s the host returns to rescue`]
}
