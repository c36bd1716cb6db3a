/** `bin/osflash` in packages made for the test: which Node it takes, and what it says if none. */

import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

const launcher = join(import.meta.dirname, '../../bin/osflash')
const PROGRAM =
  "console.log(JSON.stringify([process.argv.slice(2), process.env['UV_THREADPOOL_SIZE']]))"

interface Layout {
  /** Files of node_modules, below the package (`in`) or beside it (`beside`). */
  readonly modules: 'in' | 'beside' | 'none'
  readonly node: boolean
  readonly native: boolean
}

async function makePackage({ modules, node, native }: Layout): Promise<string> {
  const scratch = await makeScratch('launcher')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const root = join(scratch.path, 'node_modules/osflash')
  const below = modules === 'in' ? join(root, 'node_modules') : join(scratch.path, 'node_modules')
  await writeDeep(join(root, 'dist/cli/main.js'), PROGRAM)
  await writeDeep(join(root, 'package.json'), '{ "type": "module" }')
  await mkdir(join(root, 'bin'))
  await copyFile(launcher, join(root, 'bin/osflash'))
  if (modules !== 'none' && node) {
    await mkdir(join(below, 'node/bin'), { recursive: true })
    await symlink(process.execPath, join(below, 'node/bin/node'))
  }
  if (native) await writeDeep(join(below, 'zstd-napi/build/Release/binding.node'), '')
  return root
}

async function writeDeep(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

/** A PATH on which `node` is the version given; it prints its arguments. */
async function pathWithNode(folder: string, version: string): Promise<string> {
  const script = `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo "ran $2"\n`
  await writeDeep(join(folder, 'path/node'), script)
  await chmod(join(folder, 'path/node'), 0o755)
  return `${join(folder, 'path')}:/usr/bin:/bin`
}

const start = (program: string, env: Record<string, string>) =>
  run([program, 'a b', '--x'], { env, statuses: [0, 3] })

test.each(['in', 'beside'] as const)('takes the Node of the package, %s it', async (modules) => {
  const root = await makePackage({ modules, node: true, native: true })
  const path = await pathWithNode(root, 'v20.1.0')
  const ended = await start(join(root, 'bin/osflash'), { PATH: path })
  expect(ended).toEqual({ status: 0, stdout: '[["a b","--x"],"16"]\n', stderrTail: '' })
})

test('is found through a chain of symbolic links', async () => {
  const root = await makePackage({ modules: 'in', node: true, native: true })
  await symlink('bin/osflash', join(root, 'relative'))
  await mkdir(join(root, 'other folder'))
  await symlink(join(root, 'relative'), join(root, 'other folder/absolute'))
  const ended = await start(join(root, 'other folder/absolute'), {})
  expect(ended.stdout).toContain('a b')
})

test.each(['osflash', './osflash', '../bin/osflash'])('is found as %s', async (name) => {
  const root = await makePackage({ modules: 'in', node: true, native: true })
  const env = { CDPATH: '/tmp' }
  const ended = await run(['/bin/sh', name, 'a b', '--x'], { cwd: join(root, 'bin'), env })
  expect(ended.stdout).toContain('["a b","--x"]')
})

test('starts no other program than Node', async () => {
  const root = await makePackage({ modules: 'in', node: true, native: true })
  const ended = await start(join(root, 'bin/osflash'), { PATH: '/nowhere' })
  expect(ended).toMatchObject({ status: 0, stderrTail: '' })
})

test('keeps a thread count that is set', async () => {
  const root = await makePackage({ modules: 'in', node: true, native: true })
  const ended = await start(join(root, 'bin/osflash'), { UV_THREADPOOL_SIZE: '5' })
  expect(ended.stdout).toContain('"5"')
})

test.each([
  'v24.12.0',
  'v24.9.0',
  'v24.11.1',
  'v22.20.0',
  'v20.20.2',
  'v8.0.0',
  'v26.0.0',
  'v30.1.0',
])('without the Node of the package asks that of the PATH: %s', async (version) => {
  const root = await makePackage({ modules: 'none', node: false, native: true })
  const path = await pathWithNode(root, version)
  const ended = await start(join(root, 'bin/osflash'), { PATH: path })
  const [major = 0, minor = 0] = version.slice(1).split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 12)) {
    expect(ended).toMatchObject({ status: 0, stdout: `ran ${root}/dist/cli/main.js\n` })
    return
  }
  expect(ended).toMatchObject({ status: 3, stdout: '' })
  expect(ended.stderrTail.split('\n')[0]).toBe(
    `osflash: error: starting: Node 24.12 or newer is needed, found ${version}`,
  )
})

test('without any Node says so', async () => {
  const root = await makePackage({ modules: 'none', node: false, native: true })
  await mkdir(join(root, 'path'))
  const ended = await start(join(root, 'bin/osflash'), { PATH: join(root, 'path') })
  expect(ended.status).toBe(3)
  expect(ended.stderrTail).toContain('found none\n')
})

test('without the native part of zstd-napi says so', async () => {
  const root = await makePackage({ modules: 'in', node: true, native: false })
  const ended = await start(join(root, 'bin/osflash'), {})
  expect(ended.status).toBe(3)
  expect(ended.stderrTail).toMatch(/^osflash: error: starting: the native part of zstd-napi/)
})

test('a checkout without node_modules says what to run', async () => {
  const root = await makePackage({ modules: 'none', node: false, native: false })
  await writeDeep(join(root, 'src/cli/main.ts'), PROGRAM)
  const ended = await start(join(root, 'bin/osflash'), {})
  expect(ended.status).toBe(3)
  expect(ended.stderrTail.split('\n')).toEqual([
    'osflash: error: starting from a checkout: node_modules is missing',
    `hint: cd ${root} && npm run setup`,
    '',
  ])
})
