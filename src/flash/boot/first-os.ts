/**
 * The boot method of a plan, in the first OS: for arming, for asking, for undoing.
 *
 * 1. From the plan alone, so that `abort` and `status` need no image.
 */
import { resolveDisk } from '../host/disks.ts'
import type { FlashPlan } from '../plan/plan.ts'
import { biosFirstOsBoot } from './bios-first-os.ts'
import type { FirstOsBoot } from './method.ts'
import { uefiFirstOsBoot } from './uefi.ts'

export async function firstOsBoot({ arm, rescue, stage }: FlashPlan): Promise<FirstOsBoot> {
  const { rootUuid, kernel, initrd, commandLine } = rescue.start
  if (arm.kind === 'grub') {
    const entry = { kernel, initrd, commandLine }
    return biosFirstOsBoot({ grubFolder: arm.folder, rescueRootUuid: rootUuid, ...entry })
  }
  return uefiFirstOsBoot({ stageDisk: () => resolveDisk(stage, { tableId: 'ignore' }) })
}
