/** What `npm pack` makes: compiled, complete, and able to start its workers. */

import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { OPEN, SEAL } from '../cli/play.ts'
import { vectorPath } from '../vectors/vectors.ts'

const root = join(import.meta.dirname, '../..')
let scratch: Scratch | undefined
let folder = ''

beforeAll(async () => {
  scratch = await makeScratch('package')
  folder = scratch.path
  await run([process.execPath, 'scripts/build.ts', join(folder, 'dist')], { cwd: root })
  for (const name of ['bin', 'package.json']) {
    await cp(join(root, name), join(folder, name), { recursive: true })
  }
  // Only what an installation has: a package that is not bundled and not named is not found.
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link)
  }
})
afterAll(() => scratch?.[Symbol.asyncDispose]())

test('an entry for each worker lies beside the program, and no import names a source', async () => {
  const compiled = await readdir(join(folder, 'dist/cli'))
  expect(compiled).toEqual(
    expect.arrayContaining(['main.js', 'decode-worker.js', 'pack-worker.js']),
  )
  for (const name of compiled) {
    const text = await readFile(join(folder, 'dist/cli', name), 'utf8')
    expect(text, name).not.toMatch(/^(import|export) .*from ["'].*\.ts["']/m)
    // Workers are started through moduleBeside, which knows both extensions.
    expect(text, name).not.toMatch(/new URL\(["'][^"']*\.ts["']/)
  }
})

test('every worker of the sources is compiled', async () => {
  const sources = await readdir(join(root, 'src'), { recursive: true })
  const workers = sources.map((path) => basename(path)).filter((name) => /worker\.ts$/.test(name))
  const compiled = await readdir(join(folder, 'dist/cli'))
  for (const name of workers) expect(compiled).toContain(name.replace(/\.ts$/, '.js'))
})

test('a worker loads packages with native parts, and no other file of ours', async () => {
  for (const name of ['decode-worker.js', 'pack-worker.js']) {
    const text = await readFile(join(folder, 'dist/cli', name), 'utf8')
    const imports = [...text.matchAll(/^import .*?["']([^"']+)["'];?$/gm)].map(([, from]) => from)
    expect(
      imports.filter((from) => !/^(node:|@napi-rs\/)/.test(from ?? '')),
      name,
    ).toEqual([])
  }
})

test('the licence of every package that was bundled is kept', async () => {
  const text = await readFile(join(folder, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8')
  const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  for (const name of ['commander', 'execa', 'listr2', 'tar-stream', 'yaml', 'zod']) {
    expect(devDependencies).toHaveProperty(name)
    expect(text).toMatch(new RegExp(`^${name} \\d.* \\((MIT|ISC)\\)$`, 'm'))
  }
})

test('building to a folder that holds something else is refused', async () => {
  const build = [process.execPath, 'scripts/build.ts', join(folder, 'bin')] as const
  const { stderrTail } = await run(build, { cwd: root, statuses: [1] })
  expect(stderrTail).toContain('it holds something else')
  expect(await readdir(join(folder, 'bin'))).toEqual(['osflash'])
})

test('the compiled program runs', async () => {
  const { stdout } = await run([join(folder, 'bin/osflash'), '--version'])
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  expect(stdout).toBe(`${version}\n`)
})

test.each(['ok-zstd-ocb', 'ok-xz'])('the compiled program opens %s', async (name) => {
  const argv = [join(folder, 'bin/osflash'), 'verify', vectorPath(name), ...OPEN] as const
  expect((await run(argv)).stdout).toMatch(/: whole, .* opened; signed by/)
})

test('the compiled program packs a folder, and unpacks it', async () => {
  const osflash = join(folder, 'bin/osflash')
  const image = join(folder, 'bin.osimg')
  await run([osflash, 'pack', join(folder, 'bin'), '-o', image, ...SEAL])
  await run([osflash, 'unpack', image, '--to', join(folder, 'copy/'), ...OPEN])
  const [original, copy] = ['bin', 'copy'].map((name) => readFile(join(folder, name, 'osflash')))
  expect(await copy).toEqual(await original)
})

test('the compiled program reads recipes', async () => {
  await writeFile(join(folder, 'wrong.yaml'), 'format: [')
  const argv = [join(folder, 'bin/osflash'), 'build', join(folder, 'wrong.yaml')] as const
  const { stderrTail } = await run([...argv, '-o', join(folder, 'wrong.osimg'), ...SEAL], {
    statuses: [2],
  })
  expect(stderrTail).toMatch(/^osflash: error: .*wrong\.yaml/)
})

test('the package holds what an installation needs, and nothing of the tests', async () => {
  const argv = ['npm', 'pack', '--dry-run', '--json', '--ignore-scripts'] as const
  const { stdout } = await run(argv, { cwd: root })
  const [{ files }] = JSON.parse(stdout)
  const paths: string[] = files.map(({ path }: { path: string }) => path)
  expect(paths).toEqual(expect.arrayContaining(['bin/osflash', 'package.json', 'LICENSE']))
  // The bundle lies beside the recipes, but an installation has its own Node.
  expect(paths.filter((path) => /^(src|test|bench|scripts)\/|\.zst$/.test(path))).toEqual([])
})
