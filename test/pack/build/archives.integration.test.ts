import {
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
import { describe, expect, onTestFinished, test } from 'vitest'
import { addArchives } from '../../../src/pack/build/archives.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { askExt4, buildTiny, EPOCH } from './tiny.ts'

interface Place {
  readonly folder: string
  readonly root: string
  /** Makes a tarball of `top/bin/program`, `top/link -> bin`; gives its path. */
  readonly pack: (name: string, ...how: readonly string[]) => Promise<string>
}

async function makePlace(): Promise<Place> {
  const scratch = await makeScratch('archives-test')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const folder = scratch.path
  const root = join(folder, 'root')
  await mkdir(join(root, 'opt'), { recursive: true })
  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'top/bin'), { recursive: true })
  await writeFile(join(tree, 'top/bin/program'), 'text', { mode: 0o755 })
  await symlink('bin', join(tree, 'top/link'))
  const pack = async (name: string, ...how: readonly string[]): Promise<string> => {
    const path = join(folder, name)
    await run(['tar', '--create', ...how, '--file', path, '--directory', tree, 'top'])
    return path
  }
  return { folder, root, pack }
}

const add = ({ folder, root }: Place, source: string, more: { into: string; strip?: number }) =>
  addArchives([{ source, strip: 0, ...more }], root, {
    scratch: folder,
    emit: () => undefined,
    sourceDateEpoch: EPOCH,
  })

describe('an archive', () => {
  test.each([['a.tar'], ['a.tar.gz', '--gzip'], ['a.tar.xz', '--xz'], ['a.tar.zst', '--zstd']])(
    '%s is unpacked with modes and links',
    async (name, ...how) => {
      const place = await makePlace()
      await add(place, await place.pack(name, ...how), { into: '/opt' })
      const top = join(place.root, 'opt/top')
      expect(await readFile(join(top, 'link/program'), 'utf8')).toBe('text')
      expect((await stat(join(top, 'bin/program'))).mode & 0o7777).toBe(0o755)
      expect(await readlink(join(top, 'link'))).toBe('bin')
      expect(await readdir(place.folder)).not.toContain('archive')
    },
  )

  test('loses leading folders, in a place that is made for everybody to enter', async () => {
    const place = await makePlace()
    await add(place, await place.pack('a.tar'), { into: '/opt/a/b', strip: 1 })
    expect((await stat(join(place.root, 'opt/a/b'))).mode & 0o7777).toBe(0o755)
    expect(await readFile(join(place.root, 'opt/a/b/bin/program'), 'utf8')).toBe('text')
  })

  test('leaves the place as it is, and what lies beside', async () => {
    const place = await makePlace()
    const opt = join(place.root, 'opt')
    await writeFile(join(opt, 'other'), 'kept')
    await run(['chmod', '1777', opt])
    await add(place, await place.pack('a.tar'), { into: '/opt' })
    expect((await stat(opt)).mode & 0o7777).toBe(0o1777)
    expect((await readdir(opt)).toSorted()).toEqual(['other', 'top'])
  })

  test('is put where a link of the new root leads in it', async () => {
    const place = await makePlace()
    await symlink('/opt', join(place.root, 'software'))
    await add(place, await place.pack('a.tar'), { into: '/software', strip: 1 })
    expect(await readFile(join(place.root, 'opt/bin/program'), 'utf8')).toBe('text')
  })

  test('replaces a file and a link to a file, not what the link names', async () => {
    const place = await makePlace()
    const outside = join(place.folder, 'outside')
    await writeFile(outside, 'untouched')
    await mkdir(join(place.root, 'opt/bin'))
    await symlink(outside, join(place.root, 'opt/bin/program'))
    await add(place, await place.pack('a.tar'), { into: '/opt', strip: 1 })
    expect(await readFile(outside, 'utf8')).toBe('untouched')
    expect((await lstat(join(place.root, 'opt/bin/program'))).isFile()).toBe(true)
  })
})

describe('refused', () => {
  test('a folder where the new root has a link: it may lead to this machine', async () => {
    const place = await makePlace()
    const outside = join(place.folder, 'outside')
    await mkdir(outside)
    await symlink(outside, join(place.root, 'opt/bin'))
    const archive = await place.pack('a.tar')
    await expect(add(place, archive, { into: '/opt', strip: 1 })).rejects.toMatchObject({
      code: 'process',
      message: expect.stringContaining('cannot overwrite non-directory'),
    })
    expect(await readdir(outside)).toEqual([])
  })

  test('an archive of which nothing is left', async () => {
    const place = await makePlace()
    const archive = await place.pack('a.tar')
    await expect(add(place, archive, { into: '/opt', strip: 3 })).rejects.toMatchObject({
      code: 'recipe',
      message: `unpacking ${archive}: nothing is left of it`,
      hints: [`strip is 3; see tar --list --file ${archive}`],
    })
  })

  test('what is no archive', async () => {
    const place = await makePlace()
    await writeFile(join(place.folder, 'a.tar'), 'no archive'.repeat(100))
    await expect(add(place, join(place.folder, 'a.tar'), { into: '/opt' })).rejects.toMatchObject({
      code: 'process',
      message: expect.stringMatching(/^running tar: /),
    })
  })
})

test('a build unpacks archives before it adds files', async () => {
  const place = await makePlace()
  await place.pack('a.tar')
  await writeFile(
    join(place.folder, 'recipe.yaml'),
    `name: tiny
firmware: []
source: {directory: root}
customise:
  archives: [{source: a.tar, into: /opt, strip: 1}]
  files: [{path: /opt/bin/program, content: the recipe's}]
disk: {partitions: [{role: root}]}
`,
  )
  const { source } = await buildTiny({ folder: place.folder, into: 'built' })
  const [root] = source.payloads
  expect(await askExt4(root?.path ?? '', 'cat /opt/bin/program')).toBe("the recipe's")
  expect(await askExt4(root?.path ?? '', 'stat /opt/link')).toContain('Fast link dest: "bin"')
})
