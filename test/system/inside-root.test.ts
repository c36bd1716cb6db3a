import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  existsInside,
  insideRoot,
  readInside,
  resolveInside,
} from '../../src/system/inside-root.ts'
import { makeScratch } from '../../src/system/scratch.ts'

test('links are followed as the new system follows them, and never out of it', async () => {
  await using scratch = await makeScratch('inside-test')
  const root = join(scratch.path, 'root')
  await mkdir(join(root, 'run/lock'), { recursive: true })
  await mkdir(join(root, 'var'))
  await mkdir(join(scratch.path, 'run'))
  await symlink('/run', join(root, 'var/run'))
  await symlink('../../../..', join(root, 'var/up'))
  await writeFile(join(scratch.path, 'secret'), 'outside')
  await writeFile(join(root, 'run/lock/file'), 'inside')
  expect(await resolveInside(root, '/var/run/lock/file', 'keep')).toEqual({
    path: join(root, 'run/lock/file'),
    inside: 'run/lock/file',
    missing: [],
  })
  expect((await resolveInside(root, '/var/up/x', 'keep')).inside).toBe('x')
  expect((await readInside(root, '/var/run/lock/file'))?.toString()).toBe('inside')
  expect(await readInside(root, '/var/up/secret')).toBeUndefined()
  expect((await resolveInside(root, '/../../etc/x', 'keep')).inside).toBe('etc/x')
})

test('links are followed as the other system would follow them', async () => {
  await using scratch = await makeScratch('inside-test')
  const root = join(scratch.path, 'root')
  await mkdir(join(root, 'etc'), { recursive: true })
  await mkdir(join(root, 'usr/etc'), { recursive: true })
  await symlink('/usr/etc', join(root, 'absolute'))
  await symlink('../usr/etc', join(root, 'etc/relative'))
  await symlink('absolute/../../../../../etc', join(root, 'up'))
  expect(await insideRoot(root, '/absolute/file')).toBe(join(root, 'usr/etc/file'))
  expect(await insideRoot(root, '/etc/relative/file')).toBe(join(root, 'usr/etc/file'))
  expect(await insideRoot(root, 'up/./file')).toBe(join(root, 'etc/file'))
  expect(await insideRoot(root, '../../etc')).toBe(join(root, 'etc'))
  expect(await insideRoot(root, '/')).toBe(root)
})

test('a link at the end of a path stays inside as well', async () => {
  await using scratch = await makeScratch('inside-test')
  const root = join(scratch.path, 'root')
  const secret = join(scratch.path, 'secret')
  await mkdir(join(root, 'etc'), { recursive: true })
  await writeFile(secret, 'outside')
  await writeFile(join(root, 'etc/real'), 'inside')
  await symlink(secret, join(root, 'etc/shadow'))
  await symlink('../../secret', join(root, 'etc/passwd'))
  await symlink('/etc/real', join(root, 'etc/group'))
  await symlink('loop', join(root, 'etc/loop'))
  expect(await readInside(root, '/etc/shadow')).toBeUndefined()
  expect(await readInside(root, '/etc/passwd')).toBeUndefined()
  expect((await readInside(root, '/etc/group'))?.toString()).toBe('inside')
  expect((await resolveInside(root, '/etc/group', 'follow')).inside).toBe('etc/real')
  expect((await resolveInside(root, '/etc/group', 'keep')).inside).toBe('etc/group')
  await expect(readInside(root, '/etc/loop')).rejects.toThrow(/too many symbolic links/)
})

test('missing folders are named, outermost first', async () => {
  await using scratch = await makeScratch('inside-test')
  expect(await resolveInside(scratch.path, '/a/b/c', 'keep')).toEqual({
    path: join(scratch.path, 'a/b/c'),
    inside: 'a/b/c',
    missing: ['a', 'a/b'],
  })
  expect(await existsInside(scratch.path, '/a/b')).toBe(false)
})

test('a circle of links and a file on the way are errors', async () => {
  await using scratch = await makeScratch('inside-test')
  await symlink('b', join(scratch.path, 'a'))
  await symlink('a', join(scratch.path, 'b'))
  await writeFile(join(scratch.path, 'f'), '')
  await expect(insideRoot(scratch.path, '/a/x')).rejects.toThrow('too many symbolic links')
  await expect(insideRoot(scratch.path, '/f/x')).rejects.toThrow('is no folder')
})
