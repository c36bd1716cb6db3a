import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { vectorKey, vectorPath } from '../vectors/vectors.ts'
import { OPEN, play, TRUST } from './play.ts'

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('bench-verb')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const bench = (name: string, ...options: string[]) =>
  play(['bench', vectorPath(name), ...OPEN, '--seconds', '1', '--workers', '2', ...options])

test('text: a row for each stage, the limit, what would help', async () => {
  const { status, stdout, stderr } = await bench('ok-zstd-ocb')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  for (const stage of ['read', 'digest', 'open', 'decompress', 'all together']) {
    expect(stdout).toMatch(new RegExp(`^${stage} +[\\d.]+ [KMG]?i?B/s`, 'm'))
  }
  expect(stdout).toMatch(/^limit: (read|digest|open|decompress); the whole image takes about /m)
  expect(stdout).toMatch(/^(processors for 4 threads|--workers 4) /m)
  expect(stdout).toMatch(/^a link of 1 Gbit\/s /m)
})

test('JSON, a chart, and a new file that is gone afterwards', async () => {
  const folder = await scratchFolder()
  const chart = join(folder, 'bench.svg')
  const ended = await bench('ok-zstd-ocb', '--json', '--to', join(folder, 'x'), '--chart', chart)
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  const report = JSON.parse(ended.stdout)
  expect(Object.keys(report)).toEqual([
    ...['image', 'dataBytes', 'packedBytes', 'frames', 'threads', 'processors', 'target'],
    ...['stages', 'allThreads', 'together', 'verdict'],
  ])
  expect(report).toMatchObject({ dataBytes: 12_000, frames: 4, threads: 2 })
  expect(report.target).toMatchObject({ path: join(folder, 'x'), kind: 'new' })
  expect(await readdir(folder)).toEqual(['bench.svg'])
  const svg = await readFile(chart, 'utf8')
  expect(svg.startsWith('<svg ') && svg.endsWith('</svg>\n')).toBe(true)
  expect(svg).toContain(`limit: ${report.verdict.limit}<`)
})

test('a tree is measured like a disk: its tar', async () => {
  const ended = await bench('ok-tree', '--json', '--to', await scratchFolder())
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(JSON.parse(ended.stdout)).toMatchObject({ frames: 1 })
})

test('a file that exists is refused, and said to be lost with --force', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  const old = Buffer.alloc(3 * MIB, 7)
  await writeFile(to, old)
  const refused = await bench('ok-zstd-ocb', '--to', to)
  expect(refused).toMatchObject({ status: 3, stdout: '' })
  expect(refused.stderr).toContain('hint: --force overwrites it; everything on it is lost\n')
  expect(await readFile(to)).toEqual(old)
  const forced = await bench('ok-zstd-ocb', '--to', to, '--force')
  expect(forced.status).toBe(0)
  expect(forced.stderr).toBe(
    `overwriting ${to} (file, ${3 * MIB} bytes): all that is on it is lost\n`,
  )
  expect((await stat(to)).size).toBe(3 * MIB)
})

test('the image itself is no target', async () => {
  const image = vectorPath('ok-zstd-ocb')
  const before = await readFile(image)
  const ended = await bench('ok-zstd-ocb', '--to', image, '--force')
  expect(ended.status).toBe(3)
  expect(ended.stderr).toContain(`measuring ${image}: it is the image itself`)
  expect(await readFile(image)).toEqual(before)
})

test.each([
  ['no trust', ['--identity', vectorKey('recipient.key')], 2],
  ['no identity', [...TRUST], 2],
  ['no time', [...OPEN, '--seconds', '0'], 2],
  ['a wrong key', [...TRUST, '--identity', vectorKey('other.key')], 4],
])('%s: nothing is written', async (_, options, status) => {
  const folder = await scratchFolder()
  const argv = ['bench', vectorPath('ok-zstd-ocb'), '--to', folder, ...options]
  expect(await play(argv)).toMatchObject({ status, stdout: '' })
  expect(await readdir(folder)).toEqual([])
})

test.each([
  ['frame-digest', 0],
  ['segment-chunk-tag', 4],
  ['flip-member-4', 6],
])('%s: a damaged image is no input, unless only the raw digest would show it', async (...row) => {
  const [name, status] = row
  const folder = await scratchFolder()
  const ended = await bench(name, '--to', folder)
  expect(ended.status, ended.stderr).toBe(status)
  expect(await readdir(folder)).toEqual([])
})

test('an image without data', async () => {
  const ended = await bench('ok-empty')
  expect(ended.status).toBe(3)
  expect(ended.stderr).toContain('it holds no data')
})

test('a chart that cannot be written', async () => {
  const chart = join(await scratchFolder(), 'none', 'bench.svg')
  const ended = await bench('ok-zstd-ocb', '--chart', chart)
  expect(ended.status).toBe(6)
  expect(ended.stderr).toContain(`writing ${chart}: no such file or directory`)
})
