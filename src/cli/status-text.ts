/**
 * The status of a replacement, as an operator reads it.
 *
 * 1. The first line says what is the matter; a script may look for its first word.
 * 2. Then what is known, a line each; what is absent has no line.
 */

import type { State, SystemName } from '../flash/states.ts'
import type { RunStatus } from '../flash/status.ts'

/** What the operator may call it. */
const WHERE: Readonly<Record<SystemName, string>> = {
  'first-os': 'the first OS',
  rescue: 'the rescue',
  target: 'the target',
}

const MEANING: Readonly<Record<State, string>> = {
  preflight: 'checks are under way',
  staging: 'the stage disk is being filled',
  staged: 'the stage disk is filled, the boot is unchanged',
  armed: 'the next boot is the rescue, once',
  rehearsal: 'the rescue checks its network; nothing is replaced yet',
  committed: 'the guard is in place: every boot ends in the rescue',
  wiped: 'the old partitions are gone',
  flashing: 'the target is being written',
  'body-complete': 'the target is written and has its settings',
  retargeted: "the target's boot structures are on the disk, behind the guard",
  trial: 'the target boots once, and has to prove itself',
  confirmed: 'the target is the operating system',
  held: 'the rescue waits for an operator',
  aborted: 'nothing was replaced; the first OS goes on',
}

/** Lines, each with its newline. */
export function renderStatus(status: Omit<RunStatus, 'failed'>): string {
  const { state, system, notes } = status
  if (state === 'none') return [`no replacement under way`, ...notes].map(line).join('')
  const { plan, attempts, since, error, next, trialLog } = status
  const started = attempts && `flashing ${attempts.flash}, trial ${attempts.trial}`
  const rows = [
    ['host', plan?.hostname],
    ['in', WHERE[system]],
    ['since', since?.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')],
    ['why', error],
    ...notes.map((note) => ['note', note]),
    ['replaces', plan && `${plan.os} on ${plan.disk}`],
    ['by', plan?.target],
    ['stage', plan?.stage],
    ['attempts', started],
    ...trialLog.map((entry) => ['trial', entry]),
    ...next.map((step) => ['next', step]),
  ] as const
  const known = rows.flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const]))
  const lines = known.map(([name = '', text], i) => {
    const repeated = known[i - 1]?.[0] === name
    return `  ${(repeated ? '' : name).padEnd(9)} ${text}`
  })
  return [`${state}: ${MEANING[state]}`, ...lines].map(line).join('')
}

const line = (text: string): string => `${text}\n`
