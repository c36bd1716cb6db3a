/**
 * Whether disk 1 is what it was.
 *
 * 1. All of the disk but the first OS's root and ESP: a running system writes to both.
 * 2. Of these two: what the firmware and GRUB start from.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { partitionNamed } from './disk-file.ts'
import type { Host } from './host.ts'

const PIECE_BYTES = 4 * 1024 * 1024

/** A digest of the ranges of a file; `bytes` is not rounded. */
async function digestOfRanges(
  path: string,
  ranges: readonly { readonly start: number; readonly end: number }[],
): Promise<string> {
  await using file = await open(path, 'r')
  const hash = createHash('sha256')
  const piece = Buffer.alloc(PIECE_BYTES)
  for (const { start, end } of ranges) {
    for (let at = start; at < end; at += PIECE_BYTES) {
      const { bytesRead } = await file.read(piece, 0, Math.min(PIECE_BYTES, end - at), at)
      hash.update(piece.subarray(0, bytesRead))
    }
  }
  return hash.digest('hex')
}

/** Everything outside of what the first OS has mounted: its root and its ESP. */
export async function digestOutsideRoot(disk: string): Promise<string> {
  const [esp, root] = [await partitionNamed(disk, 'esp'), await partitionNamed(disk, 'root')]
  return digestOfRanges(disk, [
    { start: 0, end: esp.offset },
    { start: esp.offset + esp.bytes, end: root.offset },
    { start: root.offset + root.bytes, end: await sizeOf(disk) },
  ])
}

export async function digestOfDisk(disk: string): Promise<string> {
  return digestOfRanges(disk, [{ start: 0, end: await sizeOf(disk) }])
}

async function sizeOf(path: string): Promise<number> {
  await using file = await open(path, 'r')
  return (await file.stat()).size
}

/** Everything that decides about the next boot, as the first OS sees it, one line a thing. */
export async function bootConfiguration(host: Host): Promise<string> {
  return host.ssh(`sync
    find /boot -type f -not -path '/boot/efi/*' | sort | xargs sha256sum
    find /boot /boot/efi | sort
    [ ! -d /boot/efi/EFI ] || find /boot/efi -type f | sort | xargs sha256sum
    for name in /sys/firmware/efi/efivars/Boot[0-9O]*; do
      [ ! -e "$name" ] || sha256sum "$name"
    done`)
}
