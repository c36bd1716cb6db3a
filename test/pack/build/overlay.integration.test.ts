import { lstat, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addToRoot, type OverlayEntry, rootFile } from '../../../src/pack/build/overlay.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { EPOCH } from './tiny.ts'

async function rootIn(folder: string): Promise<string> {
  const root = join(folder, 'root')
  await mkdir(join(root, 'usr/bin'), { recursive: true })
  await symlink('usr/bin', join(root, 'bin'))
  await symlink('/usr', join(root, 'everything'))
  return root
}

const add = (folder: string, root: string, entries: readonly OverlayEntry[]) =>
  addToRoot(root, entries, { scratch: folder, emit: () => undefined, sourceDateEpoch: EPOCH })

test('missing folders are made for everybody to enter, whatever the umask', async () => {
  await using scratch = await makeScratch('overlay-test')
  const root = await rootIn(scratch.path)
  const before = process.umask(0o077)
  try {
    await add(scratch.path, root, [rootFile('/a/b/c', 'text')])
  } finally {
    process.umask(before)
  }
  expect((await stat(join(root, 'a'))).mode & 0o7777).toBe(0o755)
  expect((await stat(join(root, 'a/b'))).mode & 0o7777).toBe(0o755)
  expect((await stat(join(root, 'a/b/c'))).mode & 0o7777).toBe(0o644)
  expect((await stat(join(root, 'a/b/c'))).mtimeMs).toBe(EPOCH * 1000)
})

test('links to folders stay and are followed inside the root', async () => {
  await using scratch = await makeScratch('overlay-test')
  const root = await rootIn(scratch.path)
  await add(scratch.path, root, [
    rootFile('/bin/one', '1', 0o4755),
    rootFile('/everything/bin/two', '2'),
  ])
  expect(await readlink(join(root, 'bin'))).toBe('usr/bin')
  expect(await readFile(join(root, 'usr/bin/two'), 'utf8')).toBe('2')
  expect((await stat(join(root, 'usr/bin/one'))).mode & 0o7777).toBe(0o4755)
})

test('a file takes the place of a link, and what the link named stays', async () => {
  await using scratch = await makeScratch('overlay-test')
  const root = await rootIn(scratch.path)
  const outside = join(scratch.path, 'outside')
  await writeFile(outside, 'untouched')
  await symlink(outside, join(root, 'usr/file'))
  await add(scratch.path, root, [rootFile('/usr/file', 'new')])
  expect(await readFile(outside, 'utf8')).toBe('untouched')
  expect((await lstat(join(root, 'usr/file'))).isFile()).toBe(true)
})

test('bytes of a file on this machine come along whole', async () => {
  await using scratch = await makeScratch('overlay-test')
  const root = await rootIn(scratch.path)
  const from = join(scratch.path, 'from')
  const bytes = Buffer.alloc(3_000_001, 'abcdefg')
  await writeFile(from, bytes)
  const entry = { ...rootFile('/copy', ''), body: { kind: 'copy', from } as const }
  await add(scratch.path, root, [entry])
  expect((await readFile(join(root, 'copy'))).equals(bytes)).toBe(true)
})

test('a folder that is there gets the mode asked for, and keeps what is in it', async () => {
  await using scratch = await makeScratch('overlay-test')
  const root = await rootIn(scratch.path)
  await writeFile(join(root, 'usr/bin/kept'), '')
  const folder = { ...rootFile('/usr/bin', '', 0o700), body: { kind: 'folder' } as const }
  await add(scratch.path, root, [folder])
  expect((await stat(join(root, 'usr/bin'))).mode & 0o7777).toBe(0o700)
  expect((await stat(join(root, 'usr/bin/kept'))).isFile()).toBe(true)
})

test('a file that is not there is an error that names it', async () => {
  await using scratch = await makeScratch('overlay-test')
  const root = await rootIn(scratch.path)
  const from = join(scratch.path, 'nothing')
  const entry = { ...rootFile('/copy', ''), body: { kind: 'copy', from } as const }
  await expect(add(scratch.path, root, [entry])).rejects.toMatchObject({
    code: 'io',
    message: `reading ${from}: no such file or directory`,
  })
})
