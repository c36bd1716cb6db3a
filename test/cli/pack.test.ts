import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { vectorKey, vectorPath } from '../vectors/vectors.ts'
import { OPEN, play, SEAL, steady, TRUST } from './play.ts'

/** A folder with a small tree in it, and a place for scratch. */
async function treeFolder() {
  const scratch = await makeScratch('pack-verb')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const path = (name: string): string => join(scratch.path, name)
  await mkdir(path('My Tree.d'))
  await mkdir(path('scratch'))
  await writeFile(path('My Tree.d/file'), 'text')
  await symlink('file', path('My Tree.d/link'))
  const settings = { env: { TMPDIR: path('scratch'), SOURCE_DATE_EPOCH: '1700000000' } }
  const pack = (...options: string[]) =>
    play(['pack', path('My Tree.d'), '-o', path('a.osimg'), ...SEAL, ...options], settings)
  const inspect = async () =>
    JSON.parse((await play(['inspect', '--json', path('a.osimg')])).stdout)
  return { path, pack, inspect, settings }
}

test('a tree becomes an image that the recipient unpacks', async () => {
  const { path, pack } = await treeFolder()
  const ended = await pack()
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(steady(ended.stdout, path('.').replace(/\/\.$/, ''))).toMatch(
    /^DIR\/a\.osimg: \d.* \(\d+\.\d\d : 1\) of .* data on .*; 1 frame in 1 segment; .* N s\n$/,
  )
  expect(await play(['verify', path('a.osimg'), ...OPEN])).toMatchObject({ status: 0 })
  expect(await play(['unpack', path('a.osimg'), '--to', path('out/'), ...OPEN])).toMatchObject({
    status: 0,
  })
  expect(await readFile(path('out/link'), 'utf8')).toBe('text')
})

test('nothing is left in the scratch folder, nor beside the image', async () => {
  const { path, pack } = await treeFolder()
  await pack()
  expect(await readdir(path('scratch'))).toEqual([])
  expect(await readdir(path('.'))).toEqual(['My Tree.d', 'a.osimg', 'scratch'])
})

test('the name comes from the source, as far as an image may bear it', async () => {
  const { pack, inspect } = await treeFolder()
  await pack()
  expect((await inspect()).manifest).toMatchObject({
    name: 'my-tree',
    sequence: 0,
    os: { family: 'linux' },
    architecture: 'x86_64',
  })
})

test.each([
  ['UPPER.tar.gz', 'upper'],
  ['--odd', 'odd'],
  ['...', 'image'],
  ['ä', 'image'],
  ['x'.repeat(80), 'x'.repeat(63)],
])('a source called %s gives the name %s', async (name, wanted) => {
  const { path, settings } = await treeFolder()
  await mkdir(path(name))
  const argv = ['pack', path(name), '-o', path('b.osimg'), ...SEAL]
  expect(await play(argv, settings)).toMatchObject({ status: 0 })
  const { stdout } = await play(['inspect', '--json', path('b.osimg')])
  expect(JSON.parse(stdout).manifest.name).toBe(wanted)
})

test('what the source cannot say comes from options', async () => {
  const { pack, inspect } = await treeFolder()
  const options = ['--name', 'web', '--sequence', '12', '--title', 'A web server']
  const more = ['--os-family', 'other', '--expires', '2027-01-31T00:00:00Z', '--aead', 'gcm']
  expect(await pack(...options, ...more, '--codec', 'xz')).toMatchObject({ status: 0 })
  const { manifest, payloads } = await inspect()
  expect(manifest).toMatchObject({
    name: 'web',
    sequence: 12,
    expires: '2027-01-31T00:00:00Z',
    os: { family: 'other', title: 'A web server' },
    encryption: { aead: 'gcm' },
  })
  expect(payloads[0].codec).toBe('xz')
})

test.each([
  [['--name', 'No Name'], 'name'],
  [['--expires', 'tomorrow'], 'must be a time in UTC'],
  [['--expires', '2027-13-31T00:00:00Z'], 'must be a time in UTC'],
  [['--sequence', '-1'], 'whole number'],
  [['--os-family', 'beos'], 'linux, windows or other'],
  [['--codec', 'lz4'], 'zstd or xz'],
])('%j is refused, and nothing is made', async (options, word) => {
  const { path, pack } = await treeFolder()
  const ended = await pack(...options)
  expect(ended.stdout).toBe('')
  expect([2, 6]).toContain(ended.status)
  expect(ended.stderr).toMatch(new RegExp(`^osflash: error: .*${word}`))
  expect(await readdir(path('.'))).toEqual(['My Tree.d', 'scratch'])
  expect(await readdir(path('scratch'))).toEqual([])
})

test('an image that exists is kept, unless --force', async () => {
  const { path, pack } = await treeFolder()
  await copyFile(vectorPath('ok-tree'), path('a.osimg'))
  const refused = await pack()
  expect(refused).toMatchObject({ status: 3, stdout: '' })
  expect(refused.stderr).toMatch(/^osflash: error: .*a\.osimg: .*\nhint: /)
  expect(await readFile(path('a.osimg'))).toEqual(await readFile(vectorPath('ok-tree')))
  expect(await pack('--force')).toMatchObject({ status: 0 })
  expect(await readFile(path('a.osimg'))).not.toEqual(await readFile(vectorPath('ok-tree')))
})

test('the same source, the same index, with 1 worker or 3', async () => {
  const { pack, inspect } = await treeFolder()
  await pack('--workers', '1')
  const first = await inspect()
  await pack('--workers', '3', '--force')
  const second = await inspect()
  expect(second.payloads).toEqual(first.payloads)
  expect(second.manifest).toEqual(first.manifest)
})

test('the report as JSON', async () => {
  const { path, pack } = await treeFolder()
  const { stdout } = await pack('--json')
  const report = JSON.parse(stdout)
  expect(report.output).toBe(path('a.osimg'))
  expect(Object.keys(report).sort()).toMatchInlineSnapshot(`
    [
      "bytes",
      "dataBytes",
      "frames",
      "output",
      "packedBytes",
      "payloads",
      "rawBytes",
      "seconds",
      "segments",
    ]
  `)
})

test('a source that is not there, and keys that are none', async () => {
  const { path, settings } = await treeFolder()
  const pack = (source: string, seal: readonly string[]) =>
    play(['pack', source, '-o', path('b.osimg'), ...seal], settings)
  const missing = await pack(path('none'), SEAL)
  expect(missing.status).toBe(6)
  expect(missing.stderr).toContain(`${path('none')}: no such file or directory`)
  const swapped = [
    '--recipient',
    vectorKey('recipient.key'),
    '--sign-with',
    vectorKey('signer.pub'),
  ]
  expect((await pack(path('My Tree.d'), swapped)).stderr).toContain('only certificates')
  expect(await readdir(path('.'))).not.toContain('b.osimg')
})

test('a run that was cancelled leaves nothing', async () => {
  const { path } = await treeFolder()
  const argv = ['pack', path('My Tree.d'), '-o', path('a.osimg'), ...SEAL]
  const env = { TMPDIR: path('scratch') }
  const ended = await play(argv, { env, signal: AbortSignal.abort() })
  expect(ended).toMatchObject({ status: 130, stdout: '' })
  expect(await readdir(path('.'))).toEqual(['My Tree.d', 'scratch'])
  expect(await readdir(path('scratch'))).toEqual([])
})

test('trust and identity are no options of a packing verb', async () => {
  const { pack } = await treeFolder()
  const ended = await pack(...TRUST)
  expect(ended.status).toBe(2)
  expect(ended.stderr).toContain("unknown option '--trust'")
})
