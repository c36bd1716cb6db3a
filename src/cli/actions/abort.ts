/**
 * What `osflash abort` does.
 *
 * 1. In the rescue the guard is taken back, as long as nothing was wiped; then a reboot.
 * 2. In the first OS nobody else may be at it: an apply that is under way is stopped first, by its
 *    own Ctrl-C.
 * 3. The replacement is undone, or there was none; both are fine.
 */
import { OsflashError } from '../../errors.ts'
import { abortRun } from '../../flash/abort.ts'
import { firstOsBoot } from '../../flash/boot/first-os.ts'
import { startsByStage } from '../../flash/boot/native-start.ts'
import { makeNotifier } from '../../flash/notify.ts'
import { holdReplacement } from '../../flash/plan/run-state.ts'
import { goBack } from '../../flash/rescue/back.ts'
import { currentSystem } from '../../flash/systems.ts'
import type { VerbContext } from '../verb.ts'

export interface AbortVerbOptions {
  /** Not waited for; overwritten where it is there and takes it. */
  readonly stageLost?: boolean
}

/** @throws OsflashError `refused` in the target, and once the rescue began to wipe; `usage` */
export async function abort(options: AbortVerbOptions, context: VerbContext): Promise<void> {
  const { json, stdout, emit } = context
  if ((await currentSystem()) === 'rescue') {
    if (options.stageLost) {
      throw new OsflashError('usage', '--stage-lost is for the first OS: the rescue is the stage')
    }
    await goBack(emit)
    const ended = { aborted: false, rebooting: true, next: ['osflash abort'] }
    const text = 'back to the first OS: rebooting; there once more: osflash abort'
    stdout.write(json ? `${JSON.stringify(ended)}\n` : `${text}\n`)
    return
  }
  await using _lock = await holdReplacement()
  const wasThere = await abortRun({
    makeBoot: firstOsBoot,
    startsByStage,
    stageLost: options.stageLost ?? false,
    notifier: (plan) => makeNotifier(plan, emit),
    emit,
  })
  const said = wasThere
    ? 'aborted: the boot configuration is as it was'
    : 'no replacement under way'
  stdout.write(json ? `${JSON.stringify({ aborted: wasThere })}\n` : `${said}\n`)
}
