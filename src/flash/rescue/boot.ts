/**
 * The boot method of a plan, in the rescue.
 *
 * 1. Disks are found by their identity each time they are asked for.
 * 2. BIOS: the kernel's command line says how this rescue was started.
 */
import { readFile } from 'node:fs/promises'
import { biosRescueBoot } from '../boot/bios-rescue.ts'
import type { RescueBoot } from '../boot/method.ts'
import { uefiRescueBoot } from '../boot/uefi.ts'
import { resolveDisk } from '../host/disks.ts'
import type { FlashPlan } from '../plan/plan.ts'

export async function rescueBoot(plan: FlashPlan): Promise<RescueBoot> {
  const disk = () => resolveDisk(plan.disk, { tableId: 'ignore' })
  const stageDisk = () => resolveDisk(plan.stage, { tableId: 'ignore' })
  if (plan.host.firmware === 'uefi') return uefiRescueBoot({ disk, stageDisk })
  const commandLine = await readFile('/proc/cmdline', 'utf8')
  return biosRescueBoot({ disk, stageDisk, rescueRoot: '/', commandLine })
}
