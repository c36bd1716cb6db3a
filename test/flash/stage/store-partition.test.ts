/** The partition that mkfs gets is the one of the table that was just written. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { storePartitionPath } from '../../../src/flash/stage/store-partition.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { GIB, MIB } from '../../../src/units.ts'

/** What sysfs says of a partition: sectors of 512 bytes. */
async function sysfsWith(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const scratch = await makeScratch('store-partition')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const folder = join(scratch.path, name)
  await mkdir(folder, { recursive: true })
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text)
  return scratch.path
}

const written = { disk: '/dev/vdb', number: 4, offset: 600 * MIB, bytes: 2 * GIB }
const files = { start: '1228800\n', size: '4194304\n' }

test('it is where the table has it', async () => {
  expect(await storePartitionPath(written, await sysfsWith('vdb/vdb4', files))).toBe('/dev/vdb4')
  const nvme = { ...written, disk: '/dev/nvme0n1' }
  const sysfs = await sysfsWith('nvme0n1/nvme0n1p4', files)
  expect(await storePartitionPath(nvme, sysfs)).toBe('/dev/nvme0n1p4')
  const array = { ...written, disk: '/dev/cciss/c0d0' }
  const folder = 'cciss!c0d0/cciss!c0d0p4'
  const path = await storePartitionPath(array, await sysfsWith(folder, files))
  expect(path).toBe('/dev/cciss/c0d0p4')
})

test.each<[string, Readonly<Record<string, string>>]>([
  ['begins elsewhere', { ...files, start: '2048\n' }],
  ['is shorter', { ...files, size: '4194303\n' }],
  ['is not there', {}],
  ['cannot be read', { ...files, size: '' }],
])('it is refused when the one of the kernel %s', async (_, found) => {
  const sysfs = await sysfsWith('vdb/vdb4', found)
  await expect(storePartitionPath(written, sysfs)).rejects.toMatchObject({
    code: 'refused',
    message:
      'making the store on /dev/vdb4: the kernel does not have the new partitions of /dev/vdb',
  })
})

test('one of another disk does not count', async () => {
  const sysfs = await sysfsWith('vda/vda4', files)
  await expect(storePartitionPath(written, sysfs)).rejects.toMatchObject({ code: 'refused' })
})
