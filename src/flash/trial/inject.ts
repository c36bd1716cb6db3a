/**
 * Puts the trial into the target's root, which is mounted in the rescue.
 *
 * 1. Always: the settings, `osflash` (the stage's program), and the sequences, so that an older
 *    image is refused there too.
 * 2. With `auto` and `ssh`: the agent, `osflash-confirm`, what the firmware's kind needs, the
 *    watchdog, the unit and its link last, and the kernel's words for a trial.
 * 3. May be called again; a root that was confirmed once is on trial again.
 *
 * Not promised: a trial of systems without systemd; those are refused before anything is written
 * into the root.
 */

import { OsflashError } from '../../errors.ts'
import { existsInside, readInside } from '../../system/inside-root.ts'
import type { ConfirmSettings } from '../boot/method.ts'
import type { Carry } from '../carry/model.ts'
import { RESUME_WITH } from '../hints.ts'
import { SEQUENCES, TARGET } from '../places.ts'
import type { FlashPlan } from '../plan/plan.ts'
import { type FileInside, linkInside, removeInside, writeInside } from '../write-inside.ts'
import { TRIAL_AGENT } from './agent.ts'
import { addTrialWords } from './command-line.ts'
import { mergeSequences, parseSequences, type Sequences, sequencesBytes } from './sequences.ts'
import { settingsText } from './settings.ts'
import {
  CONFIRM_SCRIPT,
  PROGRAM_SCRIPT,
  TELL_CONFIRMED,
  TRIAL_UNIT,
  WATCHDOG_TEXT,
} from './system-files.ts'
import { MARK, TRIAL_WATCHDOG, UNIT_LINK } from './trial-places.ts'

const SYSTEMD = '/lib/systemd/systemd'
const PROGRAM_MODE = 0o755
const TEXT_MODE = 0o644
const PRIVATE_MODE = 0o600

export interface Trial {
  /** Where the target's root is mounted. */
  readonly root: string
  readonly plan: FlashPlan
  readonly planDigest: string
  readonly storeUuid: string
  /** UUID of the file system of the rescue's root. */
  readonly rescueRootUuid: string
  /** What must be up and must answer. */
  readonly reach: Carry['reach']
  readonly boot: ConfirmSettings
  /** What the first OS had in its sequences file. */
  readonly sequences: Sequences
}

export interface InjectedTrial {
  /** What an operator should know. */
  readonly notes: readonly string[]
}

/** @throws OsflashError `refused` (no systemd), `io` */
export async function injectTrial(trial: Trial): Promise<InjectedTrial> {
  const { root, plan } = trial
  const hasAgent = plan.confirm.how !== 'none'
  if (hasAgent) await requireSystemd(root)
  for (const file of await filesFor(trial)) await writeInside(root, file)
  if (!hasAgent) return { notes: [] }
  for (const file of agentFiles(trial)) await writeInside(root, file)
  await removeInside(root, MARK)
  const note = await addTrialWords(root)
  await linkInside(root, UNIT_LINK, TARGET.unit)
  return { notes: note === undefined ? [] : [note] }
}

async function requireSystemd(root: string): Promise<void> {
  if ((await existsInside(root, SYSTEMD)) || (await existsInside(root, `/usr${SYSTEMD}`))) return
  throw new OsflashError('refused', `preparing the trial in ${root}: the target has no systemd`, {
    hints: [`${RESUME_WITH}, an image with systemd`],
  })
}

async function filesFor(trial: Trial): Promise<readonly FileInside[]> {
  const { root, plan } = trial
  const sequences = mergeSequences([
    await sequencesInside(root),
    trial.sequences,
    { [plan.rescue.name]: plan.rescue.sequence },
    { [plan.target.name]: plan.target.sequence },
  ])
  return [
    { path: SEQUENCES, bytes: sequencesBytes(sequences), mode: TEXT_MODE },
    { path: TARGET.program, bytes: PROGRAM_SCRIPT, mode: PROGRAM_MODE },
    { path: TARGET.settings, bytes: settingsText(variablesOf(trial)), mode: TEXT_MODE },
  ]
}

/** Not this host's record: of an image that brings a broken one nothing is lost. */
async function sequencesInside(root: string): Promise<Sequences> {
  const bytes = await readInside(root, SEQUENCES)
  try {
    return parseSequences(bytes, SEQUENCES)
  } catch {
    return {}
  }
}

function agentFiles({ boot, plan }: Trial): readonly FileInside[] {
  const unit = plan.notify === undefined ? TRIAL_UNIT : TRIAL_UNIT + TELL_CONFIRMED
  return [
    ...boot.files.map(({ path, bytes }) => ({ path, bytes, mode: PRIVATE_MODE })),
    { path: TARGET.agent, bytes: TRIAL_AGENT, mode: PROGRAM_MODE },
    { path: TARGET.confirm, bytes: CONFIRM_SCRIPT, mode: PROGRAM_MODE },
    { path: TRIAL_WATCHDOG, bytes: WATCHDOG_TEXT, mode: TEXT_MODE },
    { path: TARGET.unit, bytes: unit, mode: TEXT_MODE },
  ]
}

function variablesOf({ plan, reach, ...trial }: Trial): Readonly<Record<string, string>> {
  return {
    PLAN_DIGEST: trial.planDigest,
    STORE_UUID: trial.storeUuid,
    RESCUE_ROOT_UUID: trial.rescueRootUuid,
    CONFIRM: plan.confirm.how,
    WITHIN_SECONDS: String(plan.confirm.withinSeconds),
    ADDRESSES: reach.addresses.join(' '),
    GATEWAYS: reach.gateways.join(' '),
    HOST_KEYS: plan.carry.hostKeys.join(' '),
    FIRMWARE: plan.host.firmware,
    ...trial.boot.variables,
  }
}
