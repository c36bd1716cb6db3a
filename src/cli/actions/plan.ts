/**
 * What `osflash plan` does.
 *
 * 1. Preflight, with all its refusals; nothing is changed.
 * 2. The plan as text, or with `--json` as the bytes that a run would pin.
 */
import { planBytes } from '../../flash/plan/plan.ts'
import { makePlan } from '../../flash/plan/preflight.ts'
import { type FlashOptions, flashRequestOf } from '../flash-options.ts'
import { renderFlashPlan } from '../flash-plan-text.ts'
import type { VerbContext } from '../verb.ts'

/** @throws OsflashError `refused`, and what reading images, keys and the host throws */
export async function plan(options: FlashOptions, context: VerbContext): Promise<void> {
  const { input } = await flashRequestOf(options, context)
  await using preflight = await makePlan(input)
  context.stdout.write(
    context.json ? planBytes(preflight.plan).toString('utf8') : renderFlashPlan(preflight.plan),
  )
}
