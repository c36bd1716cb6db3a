/**
 * A rescue that cannot read its store: it knows neither how far the run is nor what to expect of
 * the network.
 *
 * 1. Started by the first OS's GRUB, with nothing decided in this boot: the host goes back to it.
 * 2. Else it stays where somebody can log in, and reboots where nobody can: in time the store may
 *    be read again.
 * 3. What an operator started only fails.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Emit } from '../../events.ts'
import { FIRST_PARAMETER } from '../boot/stage-drive.ts'

export interface Outside {
  /** Waits for anybody who may log in; false when nobody could in time. */
  readonly isReachable: () => Promise<boolean>
  /** Tells whoever watches that this rescue has not died. */
  readonly alive: () => Promise<void>
}

export interface LostRescue extends Outside {
  /** Started by the rescue itself. */
  readonly atBoot: boolean
  /** The run came to the commit, or was behind it: there is no first OS to go back to. */
  readonly hasDecided: boolean
  /** Text of /proc/cmdline. */
  readonly commandLine: string
  /** Time for whoever looks at the console, in milliseconds; other than 30,000 only in tests. */
  readonly lookMs?: number
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** @throws the error, where the rescue stays */
export async function whenLost(error: unknown, lost: LostRescue): Promise<'rebooting'> {
  const { atBoot, emit, signal, commandLine, lookMs = 30_000 } = lost
  if (!atBoot || signal?.aborted) throw error
  const isFirst = !lost.hasDecided && commandLine.includes(` ${FIRST_PARAMETER}=`)
  if (!isFirst && (await lost.isReachable())) {
    await lost.alive()
    throw error
  }
  emit({ event: 'note', text: `rebooting, nothing can be done here: ${String(error)}` })
  await sleep(lookMs)
  return 'rebooting'
}
