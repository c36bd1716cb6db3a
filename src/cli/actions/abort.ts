/**
 * What `osflash abort` does.
 *
 * 1. In the rescue the guard is taken back, as long as nothing was wiped; then a reboot.
 * 2. In the first OS nobody else may be at it: an apply that is under way is stopped first, by its
 *    own Ctrl-C.
 * 3. The replacement is undone, or there was none; both are fine.
 */
import { abortRun } from '../../flash/abort.ts'
import { startsByStage } from '../../flash/boot/native-start.ts'
import { makeNotifier } from '../../flash/notify.ts'
import { holdReplacement } from '../../flash/plan/run-state.ts'
import { goBack } from '../../flash/rescue/back.ts'
import { currentSystem } from '../../flash/systems.ts'
import { firstOsBoot } from '../first-os-boot.ts'
import type { VerbContext } from '../verb.ts'

export interface AbortVerbOptions {
  /** Not waited for, and not made blank. */
  readonly stageLost?: boolean
}

/** @throws OsflashError `refused` in the target, and once the rescue began to wipe */
export async function abort(options: AbortVerbOptions, context: VerbContext): Promise<void> {
  const { json, stdout, emit } = context
  if ((await currentSystem()) === 'rescue') {
    await goBack(emit)
    stdout.write(
      json ? `${JSON.stringify({ aborted: true })}\n` : 'back to the first OS: rebooting\n',
    )
    return
  }
  await using _lock = await holdReplacement()
  const wasThere = await abortRun({
    makeBoot: firstOsBoot,
    startsByStage,
    stageLost: options.stageLost ?? false,
    notifier: (plan) => makeNotifier(plan, emit),
  })
  const said = wasThere
    ? 'aborted: the boot configuration is as it was'
    : 'no replacement under way'
  stdout.write(json ? `${JSON.stringify({ aborted: wasThere })}\n` : `${said}\n`)
}
