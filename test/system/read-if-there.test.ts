import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readIfThere } from '../../src/system/read-if-there.ts'
import { makeScratch } from '../../src/system/scratch.ts'

test('a file that is not there is undefined; one that cannot be read is an error', async () => {
  await using scratch = await makeScratch('read-if-there')
  const path = join(scratch.path, 'file')
  expect(await readIfThere(path)).toBeUndefined()
  await writeFile(path, 'bytes')
  expect((await readIfThere(path))?.toString()).toBe('bytes')
  await mkdir(join(scratch.path, 'folder'))
  await expect(readIfThere(join(scratch.path, 'folder'))).rejects.toMatchObject({
    code: 'io',
    message: `reading ${join(scratch.path, 'folder')}: is a directory`,
  })
})
