/**
 * How the verbs of the first OS reach its boot configuration.
 *
 * 1. `firstOsBoot`: the boot method of a plan, for undoing.
 * 2. `isArmed`: whether the next boot is the rescue, for the status.
 */
import { firstOsBoot } from '../flash/boot/first-os.ts'
import type { FlashPlan } from '../flash/plan/plan.ts'

export { firstOsBoot }

export const isArmed = async (plan: FlashPlan): Promise<boolean> =>
  (await firstOsBoot(plan)).isArmed()
