/**
 * What `osflash abort` does.
 *
 * 1. Nobody else may be at it: an apply that is under way is stopped first, by its own Ctrl-C.
 * 2. The replacement is undone, or there was none; both are fine.
 */
import { abortRun } from '../../flash/abort.ts'
import { makeNotifier } from '../../flash/notify.ts'
import { holdReplacement } from '../../flash/plan/run-state.ts'
import { firstOsBoot } from '../first-os-boot.ts'
import type { VerbContext } from '../verb.ts'

/** @throws OsflashError `refused` in the rescue, in the target, and behind the guard */
export async function abort({ json, stdout, emit }: VerbContext): Promise<void> {
  await using _lock = await holdReplacement()
  const wasThere = await abortRun({
    makeBoot: firstOsBoot,
    notifier: (plan) => makeNotifier(plan, emit),
  })
  const said = wasThere
    ? 'aborted: the boot configuration is as it was'
    : 'no replacement under way'
  stdout.write(json ? `${JSON.stringify({ aborted: wasThere })}\n` : `${said}\n`)
}
