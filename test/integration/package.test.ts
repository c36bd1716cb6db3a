/** What `npm pack` makes: compiled, complete, and able to start its workers. */

import { cp, readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'

const root = join(import.meta.dirname, '../..')
const tool = (name: string): string => join(root, 'node_modules/.bin', name)
let scratch: Scratch | undefined
let folder = ''

beforeAll(async () => {
  scratch = await makeScratch('package')
  folder = scratch.path
  await run([tool('tsc'), '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')], {
    cwd: root,
  })
  for (const name of ['bin', 'package.json']) {
    await cp(join(root, name), join(folder, name), { recursive: true })
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
})
afterAll(() => scratch?.[Symbol.asyncDispose]())

test('every source has its compiled file, and no import names a source', async () => {
  const files = await readdir(join(folder, 'dist'), { recursive: true })
  const compiled = files.filter((name) => name.endsWith('.js')).sort()
  const sources = (await readdir(join(root, 'src'), { recursive: true }))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.replace(/\.ts$/, '.js'))
  expect(compiled).toEqual(sources.sort())
  for (const name of compiled) {
    const text = await readFile(join(folder, 'dist', name), 'utf8')
    expect(text, name).not.toMatch(/^(import|export) .*from '\..*\.ts'/m)
    // Workers are started through moduleBeside, which knows both extensions.
    expect(text, name).not.toMatch(/new URL\('[^']*\.ts'/)
  }
})

test('the compiled program runs', async () => {
  const { stdout } = await run([join(folder, 'bin/osflash'), '--version'])
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  expect(stdout).toBe(`${version}\n`)
})

test('the package holds what an installation needs, and nothing of the tests', async () => {
  const argv = ['npm', 'pack', '--dry-run', '--json', '--ignore-scripts'] as const
  const { stdout } = await run(argv, { cwd: root })
  const [{ files }] = JSON.parse(stdout)
  const paths: string[] = files.map(({ path }: { path: string }) => path)
  expect(paths).toEqual(expect.arrayContaining(['bin/osflash', 'package.json', 'LICENSE']))
  expect(paths.filter((path) => /^(src|test|bench|scripts)\//.test(path))).toEqual([])
})
