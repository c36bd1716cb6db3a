/** Wiping a disk: a loop device with partitions that the kernel knows. */
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { wipeDisk } from '../../../src/flash/rescue/wipe.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import type { Target } from '../../../src/unpack/target.ts'
import { makeFolder } from '../../pack/image/fixtures.ts'

const isRoot = process.getuid?.() === 0
const DISK_BYTES = 64 * MIB

/** A disk with a table at both ends and two file systems, seen by the kernel. */
async function loopDisk(folder: string) {
  const file = join(folder, 'disk.img')
  await writeFile(file, '')
  await truncate(file, DISK_BYTES)
  const table = 'label: gpt\n1MiB,20MiB\n21MiB,40MiB\n'
  await run(['sfdisk', '--quiet', file], { stdin: Buffer.from(table) })
  for (const [offset, type] of [
    [1, 'ext4'],
    [21, 'xfs'],
  ] as const) {
    const part = join(folder, 'part.img')
    await writeFile(part, '')
    await truncate(part, (type === 'xfs' ? 40 : 20) * MIB)
    // Neither tool is needed where only a signature is: both have theirs at known places.
    if (type === 'ext4') await run(['mke2fs', '-q', '-t', type, part])
    else await run(['mkswap', part])
    await run(['dd', `if=${part}`, `of=${file}`, 'bs=1M', `seek=${offset}`, 'conv=notrunc'])
  }
  const { stdout } = await run(['losetup', '--find', '--show', file])
  const device = stdout.trim()
  await run(['partx', '--add', device], { statuses: [0, 1] })
  return {
    file,
    device,
    [Symbol.asyncDispose]: async () => {
      await run(['partx', '--delete', device], { statuses: [0, 1] })
      await run(['losetup', '--detach', device])
    },
  }
}

/** Keeps the first 440 bytes, as a guard does. */
const keepsCode = (target: Target): Target => ({
  ...target,
  zeroAll: async (ranges) => {
    const code = Buffer.alloc(512)
    await target.read(0, code)
    await target.zeroAll(ranges)
    await target.write(0, Buffer.concat([code.subarray(0, 440), Buffer.alloc(72)]))
  },
})

describe.skipIf(!isRoot)('wipeDisk (as root, with a loop device)', () => {
  it('leaves no table and no signature, and what is guarded', async () => {
    await using folder = await makeFolder()
    await using disk = await loopDisk(folder.path)
    const before = await readFile(disk.file)
    expect(before.subarray(512, 520).toString()).toBe('EFI PART')
    // Flushed: the file would else change behind whoever compares it.
    await run(['dd', 'if=/dev/urandom', `of=${disk.device}`, 'bs=440', 'count=1', 'conv=fsync'])
    const guarded = await readFile(disk.file)
    const code = guarded.subarray(0, 440)
    const begin = async () => {
      expect((await readFile(disk.file)).equals(guarded)).toBe(true)
    }
    await wipeDisk(disk.device, { guarded: keepsCode, begin })
    await run(['sync'])
    const after = await readFile(disk.file)
    expect(after.subarray(0, 440).equals(code)).toBe(true)
    expect(after.subarray(440, 4 * MIB).every((byte) => byte === 0)).toBe(true)
    expect(after.subarray(DISK_BYTES - 4 * MIB).every((byte) => byte === 0)).toBe(true)
    for (const offset of [0, 1, 21]) {
      const { stdout } = await run(
        ['wipefs', '--offset', String(offset * MIB), '--noheadings', disk.file],
        {
          statuses: [0, 1],
        },
      )
      expect(stdout).toBe('')
    }
    // Where the swap's own signature was, at the end of its first page.
    expect(after.subarray(21 * MIB + 4_086, 21 * MIB + 4_096).toString('latin1')).not.toContain(
      'SWAP',
    )
  })

  it('refuses a disk that something uses, and changes nothing', async () => {
    await using folder = await makeFolder()
    await using disk = await loopDisk(folder.path)
    const at = join(folder.path, 'mounted')
    await run(['mkdir', at])
    await run(['mount', '-o', 'ro', `${disk.device}p1`, at])
    try {
      const options = {
        guarded: (target: Target) => target,
        begin: () => Promise.reject(new Error('begun')),
      }
      await expect(wipeDisk(disk.device, options)).rejects.toThrow(/in use/)
      expect((await readFile(disk.file)).subarray(512, 520).toString()).toBe('EFI PART')
    } finally {
      await run(['umount', at])
    }
  })
})
