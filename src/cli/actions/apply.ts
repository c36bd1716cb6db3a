/**
 * What `osflash apply` does.
 *
 * 1. Preflight, as `plan` does it; the plan is shown, and the operator types the serial number of
 *    the disk that will be erased. Elsewhere than on a terminal, `--yes` says so.
 * 2. A run of another plan is undone, as osflash abort does it.
 * 3. Staging, arming, and the reboot into the rescue, unless `--no-reboot`.
 *
 * From the reboot on the host goes its way alone: osflash status in each of its systems.
 */
import { OsflashError } from '../../errors.ts'
import { undoOtherRun } from '../../flash/abort.ts'
import { firstOsBoot } from '../../flash/boot/first-os.ts'
import { startsByStage } from '../../flash/boot/native-start.ts'
import { makeNotifier } from '../../flash/notify.ts'
import { type FlashPlan, planBytes, planDigest } from '../../flash/plan/plan.ts'
import { makePlan, type Preflight } from '../../flash/plan/preflight.ts'
import { armRescue, throwIfCancelledArmed } from '../../flash/stage/arm.ts'
import { fillStage } from '../../flash/stage/stage.ts'
import { run } from '../../system/run.ts'
import { formatDuration } from '../../units.ts'
import { type FlashOptions, flashRequestOf } from '../flash-options.ts'
import { renderFlashPlan } from '../flash-plan-text.ts'
import { type TrustFile, trustFilesOf } from '../key-files.ts'
import { askTyped } from '../typed-word.ts'
import type { VerbContext } from '../verb.ts'

export interface ApplyVerbOptions extends FlashOptions {
  readonly yes?: boolean
  /** False with `--no-reboot`. */
  readonly reboot?: boolean
}

/** @throws OsflashError as `makePlan` and `fillStage`; the first OS boots as before then */
export async function apply(options: ApplyVerbOptions, context: VerbContext): Promise<void> {
  if (context.json && !options.yes) {
    // Nothing shows the plan then: nobody could know what the typed word stands for.
    throw new OsflashError('usage', 'applying with --json: the plan is not shown', {
      hints: ['--yes, once the plan was read: osflash plan --json'],
    })
  }
  const { input, trust } = await flashRequestOf(options, context)
  await using preflight = await makePlan(input)
  const { plan } = preflight
  if (!context.json) context.stderr.write(renderFlashPlan(plan))
  if (!options.yes) await confirmByHand(plan, context)
  const startMs = performance.now()
  await stageAndArm(preflight, { check: input.check, trust: await trustFilesOf(trust), context })
  const seconds = Math.round((performance.now() - startMs) / 1000)
  const reboots = options.reboot !== false
  if (reboots) throwIfCancelledArmed(context.signal)
  tell(context, { plan, seconds, reboots })
  if (reboots) await run(['systemctl', 'reboot'])
}

/** The serial number, because a name such as vda may be another disk tomorrow. */
function confirmByHand({ disk }: FlashPlan, { signal }: VerbContext): Promise<void> {
  const word = disk.serial ?? disk.wwn ?? disk.path
  const question = `\nEverything on ${disk.path} will be lost. Type ${word} to go on: `
  return askTyped({ question, word, signal })
}

interface Staging {
  readonly check: Parameters<typeof fillStage>[0]['check']
  readonly trust: readonly TrustFile[]
  readonly context: VerbContext
}

async function stageAndArm(preflight: Preflight, staging: Staging): Promise<void> {
  const { check, trust, context } = staging
  const { emit, signal } = context
  const { plan, rescue, target, carry } = preflight
  const notify = makeNotifier(plan, emit)
  const undoing = { makeBoot: firstOsBoot, startsByStage, emit }
  await undoOtherRun(planDigest(planBytes(plan)), undoing)
  await using staged = await fillStage({
    ...{ plan, rescue, target, carry },
    ...{ check, trust, notify, emit, signal },
  })
  const { store, journal } = staged
  if (journal.current !== undefined) await notify(journal.current)
  await armRescue({ store: store.path, journal, boot: await firstOsBoot(plan), signal })
  if (journal.current !== undefined) await notify(journal.current)
}

interface Applied {
  readonly plan: FlashPlan
  readonly seconds: number
  readonly reboots: boolean
}

function tell(context: VerbContext, { plan, seconds, reboots }: Applied): void {
  if (context.json) {
    context.stdout.write(`${JSON.stringify({ state: 'armed', seconds, reboots })}\n`)
    return
  }
  const away = formatDuration(plan.awaySeconds)
  const next = reboots
    ? `rebooting into the rescue; the host is away for about ${away}`
    : 'the next boot is the rescue; osflash abort undoes it'
  context.stdout.write(`staged and armed in ${formatDuration(seconds)}: ${next}\n`)
}
