/**
 * The boot method of a plan, in the first OS: for arming, for asking, for undoing.
 *
 * 1. From the plan alone, so that `abort` and `status` need no image.
 */
import { OsflashError } from '../../errors.ts'
import type { FlashPlan } from '../plan/plan.ts'
import { biosFirstOsBoot } from './bios-first-os.ts'
import type { FirstOsBoot } from './method.ts'

/** @throws OsflashError `refused` for a plan that this osflash cannot arm */
export async function firstOsBoot({ arm, rescue }: FlashPlan): Promise<FirstOsBoot> {
  const { rootUuid, kernel, initrd, commandLine } = rescue.start
  if (arm.kind === 'grub') {
    const entry = { kernel, initrd, commandLine }
    return biosFirstOsBoot({ grubFolder: arm.folder, rescueRootUuid: rootUuid, ...entry })
  }
  throw new OsflashError('refused', 'arming: UEFI hosts cannot be armed yet')
}
