/** Where compiled code is kept, and above all where not: it is run as it lies there. */

import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

const MODULE = pathToFileURL(join(import.meta.dirname, '../../src/cli/code-cache.ts')).href
const NOBODY = 65_534

/** A package whose program uses the cache, and then loads a module of its own. */
async function makePackage() {
  const scratch = await makeScratch('code-cache')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const folder = join(scratch.path, 'package')
  await mkdir(folder, { mode: 0o755 })
  await writeFile(join(folder, 'answer.mjs'), 'export const answer = () => 42\n')
  await writeFile(
    join(folder, 'main.mjs'),
    `import { useCodeCache } from '${MODULE}'
useCodeCache(import.meta.dirname)
const { answer } = await import('./answer.mjs')
console.log(answer())
process.exit(0)
`,
  )
  return { folder, cache: join(folder, '.cache') }
}

/** What the program prints, and the files that the cache holds afterwards. */
async function start(folder: string, env: Record<string, string> = {}) {
  const { stdout, stderrTail } = await run([process.execPath, join(folder, 'main.mjs')], { env })
  expect(stderrTail).toBe('')
  return { stdout, kept: await filesBelow(join(folder, '.cache')) }
}

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return found.filter((entry) => entry.isFile()).map((one) => join(one.parentPath, one.name))
}

test('keeps compiled code in the package, for nobody else', async () => {
  const { folder, cache } = await makePackage()
  const first = await start(folder)
  expect(first.stdout).toBe('42\n')
  expect(first.kept.length).toBeGreaterThan(0)
  expect((await lstat(cache)).mode & 0o777).toBe(0o700)
  expect(await start(folder)).toEqual(first)
})

test('a changed module is not run from the cache', async () => {
  const { folder } = await makePackage()
  await start(folder)
  await writeFile(join(folder, 'answer.mjs'), 'export const answer = () => 43\n')
  expect((await start(folder)).stdout).toBe('43\n')
})

test('damaged files of the cache are not used', async () => {
  const { folder } = await makePackage()
  const { kept } = await start(folder)
  for (const [i, path] of kept.entries()) {
    const bytes = await readFile(path)
    const last = bytes.length - 1
    bytes.writeUInt8(bytes.readUInt8(last) ^ 0xff, last)
    await writeFile(path, bytes)
    if (i === 0) await truncate(path, Math.floor(bytes.length / 2))
  }
  expect((await start(folder)).stdout).toBe('42\n')
})

test.each([0o775, 0o757, 0o777])('a package of mode %o has none', async (mode) => {
  const { folder } = await makePackage()
  await chmod(folder, mode)
  expect(await start(folder)).toEqual({ stdout: '42\n', kept: [] })
  expect(await readdir(folder)).not.toContain('.cache')
})

test.each([0o770, 0o707])('a cache of mode %o stays empty', async (mode) => {
  const { folder, cache } = await makePackage()
  await mkdir(cache)
  await chmod(cache, mode)
  expect(await start(folder)).toEqual({ stdout: '42\n', kept: [] })
})

test('a link in the place of the cache is not followed', async () => {
  const { folder, cache } = await makePackage()
  const elsewhere = join(folder, 'elsewhere')
  await mkdir(elsewhere, { mode: 0o700 })
  await symlink(elsewhere, cache)
  expect((await start(folder)).stdout).toBe('42\n')
  expect(await readdir(elsewhere)).toEqual([])
})

test('a file in the place of the cache does no harm', async () => {
  const { folder, cache } = await makePackage()
  await writeFile(cache, 'mine')
  expect((await start(folder)).stdout).toBe('42\n')
  expect(await readFile(cache, 'utf8')).toBe('mine')
})

test.skipIf(process.getuid?.() !== 0)('what is of another user is not used', async () => {
  const { folder, cache } = await makePackage()
  await chown(folder, NOBODY, NOBODY)
  expect((await start(folder)).kept).toEqual([])
  await chown(folder, 0, 0)
  await mkdir(cache, { mode: 0o700 })
  await chown(cache, NOBODY, NOBODY)
  expect((await start(folder)).kept).toEqual([])
})

test('can be turned off', async () => {
  const { folder } = await makePackage()
  expect((await start(folder, { NODE_DISABLE_COMPILE_CACHE: '1' })).kept).toEqual([])
})
