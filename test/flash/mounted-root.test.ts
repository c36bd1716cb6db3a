import { open, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { mountPartition } from '../../src/flash/mounted-root.ts'
import { writeInside } from '../../src/flash/write-inside.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { KIB, MIB } from '../../src/units.ts'

const isRoot = process.getuid?.() === 0
const OFFSET = 3 * MIB
const LENGTH = 8 * MIB

/** A disk image with ext4 in the middle, as a partition would be. */
async function makeDisk(): Promise<Scratch & { readonly disk: string; readonly at: string }> {
  const scratch = await makeScratch('mounted-root')
  const disk = join(scratch.path, 'disk')
  await using file = await open(disk, 'w')
  await file.truncate(16 * MIB)
  const place = ['-E', `offset=${OFFSET}`] as const
  await run(['mke2fs', '-q', '-t', 'ext4', ...place, disk, `${LENGTH / KIB}k`])
  return { ...scratch, disk, at: join(scratch.path, 'deep/root') }
}

const partition = { offset: OFFSET, length: LENGTH, fileSystem: 'ext4' }

/** Loop devices that are bound to the file. */
async function loopsOf(disk: string): Promise<string> {
  return (await run(['losetup', '--associated', await realpath(disk)])).stdout
}

async function isMounted(at: string): Promise<boolean> {
  const argv = ['findmnt', '--mountpoint', at] as const
  return (await run(argv, { statuses: [0, 1] })).status === 0
}

test.skipIf(!isRoot)('needs root: files written are there the next time', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  {
    await using root = await mountPartition({ disk, ...partition, at })
    expect(root.path).toBe(at)
    expect((await stat(at)).isDirectory()).toBe(true)
    await writeInside(root.path, { path: '/etc/hostname', bytes: 'kept\n', mode: 0o644 })
  }
  expect(await isMounted(at)).toBe(false)
  expect(await loopsOf(disk)).toBe('')
  await using again = await mountPartition({ disk, ...partition, at, readOnly: true })
  expect(await readFile(join(again.path, 'etc/hostname'), 'utf8')).toBe('kept\n')
  await expect(writeFile(join(again.path, 'new'), '')).rejects.toMatchObject({ code: 'EROFS' })
})

test.skipIf(!isRoot)('needs root: bytes outside of the partition stay', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  const before = await readFile(disk)
  {
    await using root = await mountPartition({ disk, ...partition, at })
    const free = 'x'.repeat(MIB)
    await writeInside(root.path, { path: '/filling', bytes: free, mode: 0o600 })
  }
  const after = await readFile(disk)
  expect(after.subarray(0, OFFSET).equals(before.subarray(0, OFFSET))).toBe(true)
  const end = OFFSET + LENGTH
  expect(after.subarray(end).equals(before.subarray(end))).toBe(true)
})

test.skipIf(!isRoot)('needs root: unmounted after a failure, which stays the error', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  const work = async (): Promise<void> => {
    await using _root = await mountPartition({ disk, ...partition, at })
    throw new Error('the stage failed')
  }
  await expect(work()).rejects.toThrow('the stage failed')
  expect(await isMounted(at)).toBe(false)
  expect(await loopsOf(disk)).toBe('')
})

test.skipIf(!isRoot)('needs root: a file system that is not there leaves nothing', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  await expect(mountPartition({ disk, ...partition, offset: 0, at })).rejects.toMatchObject({
    code: 'process',
  })
  expect(await isMounted(at)).toBe(false)
  // mount(8) lets go of the loop device, which stays for as long as somebody looks at it.
  await expect.poll(() => loopsOf(disk), { timeout: 5_000 }).toBe('')
  expect(await readdir(at)).toEqual([])
})

test.skipIf(!isRoot)('needs root: a cancelled mount leaves nothing', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  const signal = AbortSignal.abort()
  await expect(mountPartition({ disk, ...partition, at }, { signal })).rejects.toMatchObject({
    code: 'cancelled',
  })
  expect(await loopsOf(disk)).toBe('')
})

test.skipIf(!isRoot)('needs root: a place that is taken is refused and stays', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  await using first = await mountPartition({ disk, ...partition, at })
  await expect(mountPartition({ disk, ...partition, at })).rejects.toMatchObject({
    code: 'refused',
    hints: [`umount ${at}`],
  })
  expect(await isMounted(first.path)).toBe(true)
})

test.skipIf(!isRoot)('needs root: who writes does not join a mount for reading', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  const other = `${at}-other`
  {
    await using _reader = await mountPartition({ disk, ...partition, at: other, readOnly: true })
    await expect(mountPartition({ disk, ...partition, at })).rejects.toMatchObject({
      code: 'process',
    })
    expect(await isMounted(at)).toBe(false)
    expect(await isMounted(other)).toBe(true)
  }
  expect(await loopsOf(disk)).toBe('')
  await using root = await mountPartition({ disk, ...partition, at })
  await writeFile(join(root.path, 'new'), 'written')
})

test.skipIf(!isRoot)('needs root: somebody who uses it for a moment is waited for', async () => {
  await using place = await makeDisk()
  const { disk, at } = place
  const mounted = await mountPartition({ disk, ...partition, at })
  // Open before the unmounting begins, however slow the machine is.
  const user = await open(join(at, 'file'), 'w')
  const unmounted = mounted[Symbol.asyncDispose]()
  await sleep(300)
  await user.close()
  await unmounted
  expect(await isMounted(at)).toBe(false)
  expect(await loopsOf(disk)).toBe('')
})
