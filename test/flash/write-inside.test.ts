import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { linkInside, removeInside, writeInside } from '../../src/flash/write-inside.ts'
import { existsInside, readInside } from '../../src/system/inside-root.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'

/** A root with a neighbour that nothing may reach. */
async function makeRoot(): Promise<Scratch & { readonly root: string; readonly outside: string }> {
  const scratch = await makeScratch('write-inside')
  const root = join(scratch.path, 'root')
  const outside = join(scratch.path, 'outside')
  await mkdir(join(root, 'etc'), { recursive: true })
  await mkdir(outside)
  await writeFile(join(outside, 'victim'), 'untouched')
  return { ...scratch, root, outside }
}

test('no link leads out: neither for writing, nor reading, nor removing', async () => {
  await using place = await makeRoot()
  const { root, outside } = place
  await symlink(outside, join(root, 'etc/out'))
  await symlink(join(outside, 'victim'), join(root, 'etc/file'))
  expect(await readInside(root, '/etc/file')).toBeUndefined()
  expect(await readInside(root, '/etc/out/victim')).toBeUndefined()
  await writeInside(root, { path: '/etc/out/victim', bytes: 'new', mode: 0o644 })
  await writeInside(root, { path: '/etc/file', bytes: 'new', mode: 0o644 })
  await removeInside(root, '/etc/out/victim')
  await removeInside(root, '/etc/out')
  expect(await readdir(outside)).toEqual(['victim'])
  expect(await readFile(join(outside, 'victim'), 'utf8')).toBe('untouched')
  expect((await lstat(join(root, 'etc/file'))).isFile()).toBe(true)
})

test('a written file has its bytes and mode, its parents, and no leftover beside it', async () => {
  await using place = await makeRoot()
  const { root } = place
  const path = '/root/.ssh/authorized_keys'
  await writeInside(root, { path, bytes: 'key\n', mode: 0o666, owner: { uid: 0, gid: 0 } })
  await writeInside(root, { path, bytes: 'other\n', mode: 0o600 })
  expect((await stat(join(root, path))).mode & 0o777).toBe(0o600)
  expect((await stat(join(root, 'root'))).mode & 0o777).toBe(0o755)
  expect((await readInside(root, path))?.toString()).toBe('other\n')
  expect(await readdir(join(root, 'root/.ssh'))).toEqual(['authorized_keys'])
})

test('the mode does not depend on the umask, and folders that exist keep theirs', async () => {
  await using place = await makeRoot()
  await chmod(join(place.root, 'etc'), 0o700)
  await writeInside(place.root, { path: '/etc/open', bytes: '', mode: 0o777 })
  expect((await stat(join(place.root, 'etc/open'))).mode & 0o777).toBe(0o777)
  expect((await stat(join(place.root, 'etc'))).mode & 0o777).toBe(0o700)
})

test('a link is made, replaced and seen although it points nowhere', async () => {
  await using place = await makeRoot()
  const { root } = place
  await linkInside(root, '/etc/wants/a.service', '/nowhere')
  await linkInside(root, '/etc/wants/a.service', '../a.service')
  expect(await readlink(join(root, 'etc/wants/a.service'))).toBe('../a.service')
  expect(await existsInside(root, '/etc/wants/a.service')).toBe(true)
  expect(await existsInside(root, '/etc/wants/b.service')).toBe(false)
  expect(await existsInside(root, '/none/at/all')).toBe(false)
})

test('removing what is not there is no error; the root itself is never removed', async () => {
  await using place = await makeRoot()
  await removeInside(place.root, '/none/at/all')
  await expect(removeInside(place.root, '/..')).rejects.toMatchObject({ code: 'refused' })
  expect(await readdir(place.root)).toEqual(['etc'])
})

test('a loop of links and a file as a folder are refused with the path', async () => {
  await using place = await makeRoot()
  const { root } = place
  await symlink('loop', join(root, 'loop'))
  await writeFile(join(root, 'file'), '')
  await expect(linkInside(root, '/loop/x', 'to')).rejects.toMatchObject({
    code: 'refused',
    message: `looking up /loop/x in the root at ${root}: too many symbolic links`,
  })
  await expect(writeInside(root, { path: '/file/x', bytes: '', mode: 0 })).rejects.toMatchObject({
    code: 'refused',
    message: `looking up /file/x in the root at ${root}: ${root}/file is no folder`,
  })
})

test('a folder in the place of a file is an error that names it, nothing is left', async () => {
  await using place = await makeRoot()
  const { root } = place
  await mkdir(join(root, 'etc/hostname/x'), { recursive: true })
  await expect(
    writeInside(root, { path: '/etc/hostname', bytes: 'x', mode: 0o644 }),
  ).rejects.toMatchObject({
    code: 'io',
    message: `writing /etc/hostname of the root at ${root}: is a directory`,
  })
  expect(await readdir(join(root, 'etc'))).toEqual(['hostname'])
})
