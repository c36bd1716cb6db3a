import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'

let parent = ''
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'osflash-scratch-test-'))
})
afterAll(() => rm(parent, { recursive: true, force: true }))

test('is a private folder, gone with all it holds after the block', async () => {
  {
    await using scratch = await makeScratch('build', parent)
    expect(scratch.path).toMatch(/\/osflash-build-\w{6}$/)
    expect((await stat(scratch.path)).mode & 0o777).toBe(0o700)
    await mkdir(join(scratch.path, 'deep/er'), { recursive: true })
    await writeFile(join(scratch.path, 'deep/er/file'), 'x')
  }
  expect(await readdir(parent)).toEqual([])
})

test('is gone after a failure, which stays the error', async () => {
  const work = async (): Promise<void> => {
    await using scratch = await makeScratch('build', parent)
    await writeFile(join(scratch.path, 'file'), 'x')
    throw new Error('the stage failed')
  }
  await expect(work()).rejects.toThrow('the stage failed')
  expect(await readdir(parent)).toEqual([])
})

test('two of one purpose do not meet', async () => {
  await using first = await makeScratch('build', parent)
  await using second = await makeScratch('build', parent)
  expect(first.path).not.toBe(second.path)
})

test('a parent that does not exist is an error that names it', async () => {
  await expect(makeScratch('build', join(parent, 'none'))).rejects.toMatchObject({
    code: 'io',
    message: `making a scratch folder in ${join(parent, 'none')}: no such file or directory`,
  })
})
