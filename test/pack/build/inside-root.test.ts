import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  existsInside,
  readInside,
  resolveFully,
  resolveInside,
} from '../../../src/pack/build/inside-root.ts'
import { makeScratch } from '../../../src/system/scratch.ts'

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
  expect(await resolveInside(root, '/var/run/lock/file')).toEqual({
    inside: 'run/lock/file',
    missing: [],
  })
  expect((await resolveInside(root, '/var/up/x')).inside).toBe('x')
  expect(await readInside(root, '/var/run/lock/file')).toBe('inside')
  expect(await readInside(root, '/var/up/secret')).toBeUndefined()
  expect((await resolveInside(root, '/../../etc/x')).inside).toBe('etc/x')
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
  expect(await readInside(root, '/etc/group')).toBe('inside')
  expect((await resolveFully(root, '/etc/group')).inside).toBe('etc/real')
  await expect(readInside(root, '/etc/loop')).rejects.toThrow(/too many symbolic links/)
})

test('missing folders are named, outermost first', async () => {
  await using scratch = await makeScratch('inside-test')
  expect(await resolveInside(scratch.path, '/a/b/c')).toEqual({
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
  await expect(resolveInside(scratch.path, '/a/x')).rejects.toThrow('too many symbolic links')
  await expect(resolveInside(scratch.path, '/f/x')).rejects.toThrow('is no folder')
})
