import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exists } from '../../src/system/exists.ts'
import { makeScratch } from '../../src/system/scratch.ts'

test('what is there, and what surely is not', async () => {
  await using scratch = await makeScratch('exists')
  const at = (name: string): string => join(scratch.path, name)
  await mkdir(at('folder'))
  await writeFile(at('file'), '')
  await symlink('nothing', at('dangling'))
  const found = await Promise.all(
    ['folder', 'file', 'nothing', 'file/inside', 'dangling'].map((name) => exists(at(name))),
  )
  expect(found).toEqual([true, true, false, false, false])
})

test('what cannot be looked at is an error', async () => {
  await using scratch = await makeScratch('exists')
  const loop = join(scratch.path, 'loop')
  await symlink('loop', loop)
  await expect(exists(loop)).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining(`looking for ${loop}: `),
  })
})
