/** Sector 0 of a stage as our images have it, from the boot.img of this machine. */
import { readFile } from 'node:fs/promises'
import { patchBootImage, patchCore } from '../../../src/pack/build/grub.ts'

export const CORE_LBA = 2048

export async function stageSector0(coreLba = CORE_LBA): Promise<Uint8Array> {
  const bootImage = await readFile('/usr/lib/grub/i386-pc/boot.img')
  const sector = new Uint8Array(512)
  sector.set(patchBootImage(bootImage, coreLba))
  // The protective entry of a GPT.
  sector.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff, 1], 446)
  sector.set([0x55, 0xaa], 510)
  return sector
}

/** The first sector of a core image. */
export const coreSector = (coreLba = CORE_LBA): Uint8Array =>
  patchCore(new Uint8Array(40_000).fill(7), coreLba).subarray(0, 512)
