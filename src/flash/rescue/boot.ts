/**
 * The boot method of a plan, in the rescue.
 *
 * 1. Disks are found by their identity each time they are asked for.
 * 2. UEFI: what must not be found on the disk yet is remembered on the store.
 * 3. BIOS: the kernel's command line says how this rescue was started.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { biosRescueBoot } from '../boot/bios-rescue.ts'
import type { ReversibleBoot } from '../boot/method.ts'
import { uefiRescueBoot } from '../boot/uefi.ts'
import { PAGE_BYTES, type WithheldPage } from '../boot/withheld-page.ts'
import { resolveDisk } from '../host/disks.ts'
import { STORE, STORE_MOUNT } from '../places.ts'
import type { FlashPlan } from '../plan/plan.ts'

export async function rescueBoot(plan: FlashPlan): Promise<ReversibleBoot> {
  const disk = () => resolveDisk(plan.disk, { tableId: 'ignore' })
  const stageDisk = () => resolveDisk(plan.stage, { tableId: 'ignore' })
  if (plan.host.firmware === 'uefi') {
    const withheld = withheldPage(plan)
    const boot = uefiRescueBoot({ disk, stageDisk, ...(withheld && { withheld }) })
    // The guard is only put before the others in the boot order; nothing else has to be known.
    const beforeGuard = async () => ({ kind: 'boot-order' })
    return { ...boot, beforeGuard, unguard: () => boot.release() }
  }
  const commandLine = await readFile('/proc/cmdline', 'utf8')
  return biosRescueBoot({ disk, stageDisk, rescueRoot: '/', commandLine })
}

/** The start of the target's ESP; undefined for images of others that put it off every page. */
function withheldPage({ target, disk }: FlashPlan): WithheldPage | undefined {
  const { esp } = target.start
  if (esp === undefined) return undefined
  const offset = esp.firstLba * disk.sectorBytes
  if (offset % PAGE_BYTES !== 0) return undefined
  return { offset, path: join(STORE_MOUNT, STORE.espStart) }
}
