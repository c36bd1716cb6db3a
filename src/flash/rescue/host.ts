/**
 * What the acts of the rescue share: the plan, where things are, and how this host is booted.
 *
 * 1. resume.ts makes it once, from the store.
 * 2. It holds no path of a disk: those are found anew before each destructive call.
 */
import type { Emit } from '../../events.ts'
import type { ReversibleBoot } from '../boot/method.ts'
import type { Carry } from '../carry/model.ts'
import type { FlashPlan } from '../plan/plan.ts'

export interface RescueHost {
  readonly plan: FlashPlan
  readonly planDigest: string
  /** Where the store is mounted. */
  readonly store: string
  readonly storeUuid: string
  readonly rescueRootUuid: string
  readonly carry: Carry
  readonly boot: ReversibleBoot
  /** True when an operator asked for this run: nobody is asked for GO again. */
  readonly isManned: boolean
  /** Tells whoever watches that this rescue has not died on the way here. */
  readonly alive: () => Promise<void>
  readonly emit: Emit
  readonly signal?: AbortSignal
}
