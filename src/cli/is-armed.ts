/**
 * Whether the next boot is the rescue: what a status needs of the first OS's boot configuration.
 *
 * Reads it anew each time; changes nothing.
 */
import { firstOsBoot } from '../flash/boot/first-os.ts'
import type { FlashPlan } from '../flash/plan/plan.ts'

export const isArmed = async (plan: FlashPlan): Promise<boolean> =>
  (await firstOsBoot(plan)).isArmed()
