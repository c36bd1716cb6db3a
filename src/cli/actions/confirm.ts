/**
 * What `osflash confirm` does.
 *
 * 1. Only the target can confirm itself.
 * 2. The shell program in the target does it, so that there is one way only.
 */
import { OsflashError } from '../../errors.ts'
import { TARGET } from '../../flash/places.ts'
import { currentSystem } from '../../flash/systems.ts'
import { run } from '../../system/run.ts'
import type { VerbContext } from '../verb.ts'

/** Exit statuses of the agent: confirmed, not confirmed. */
const STATUSES = [0, 1]

/** @throws OsflashError `refused` outside of a target, `io` when it could not be confirmed */
export async function confirm(context: VerbContext): Promise<void> {
  const system = await currentSystem()
  if (system !== 'target') {
    throw new OsflashError('refused', `confirming this system: it is the ${nameOf(system)}`, {
      hints: ['osflash status says which system runs, and what comes next'],
    })
  }
  // Never cut by Ctrl-C: what is half confirmed is finished sooner than it is undone.
  const { status, stderrTail } = await run([TARGET.confirm], { statuses: STATUSES })
  if (status !== 0) {
    const why = stderrTail.trim().replace(/^osflash: not confirmed: /, '')
    throw new OsflashError('io', `confirming this system: ${why}`, {
      hints: ['mend it and run again: osflash confirm'],
    })
  }
  context.stdout.write(
    context.json
      ? '{"confirmed":true}\n'
      : 'confirmed: the next boot is this system\nhint: osflash cleanup makes the stage blank\n',
  )
}

const nameOf = (system: 'first-os' | 'rescue'): string =>
  system === 'rescue' ? 'rescue' : 'first OS, nothing is on trial'
