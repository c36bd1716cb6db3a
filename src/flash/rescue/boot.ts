/**
 * The boot method of a plan, in the rescue.
 *
 * 1. Disks are found by their identity each time they are asked for.
 * 2. BIOS: the kernel's command line says how this rescue was started.
 */
import { readFile } from 'node:fs/promises'
import { biosRescueBoot } from '../boot/bios-rescue.ts'
import type { ReversibleBoot } from '../boot/method.ts'
import { uefiRescueBoot } from '../boot/uefi.ts'
import { resolveDisk } from '../host/disks.ts'
import type { FlashPlan } from '../plan/plan.ts'

export async function rescueBoot(plan: FlashPlan): Promise<ReversibleBoot> {
  const disk = () => resolveDisk(plan.disk, { tableId: 'ignore' })
  const stageDisk = () => resolveDisk(plan.stage, { tableId: 'ignore' })
  if (plan.host.firmware === 'uefi') {
    const boot = uefiRescueBoot({ disk, stageDisk })
    // The guard is only put before the others in the boot order; nothing else has to be known.
    const beforeGuard = async () => ({ kind: 'boot-order' })
    return { ...boot, beforeGuard, unguard: () => boot.release() }
  }
  const commandLine = await readFile('/proc/cmdline', 'utf8')
  return biosRescueBoot({ disk, stageDisk, rescueRoot: '/', commandLine })
}
