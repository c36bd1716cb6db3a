/** `scripts/setup.sh` on machines made of stand-ins for apt, dpkg and id. */

import { chmod, copyFile, mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

const scripts = join(import.meta.dirname, '../../scripts')
const PACKAGES = '# why\nmtools\n\ngdisk # partitions\nsq\n'

interface Machine {
  readonly user: 'root' | 'other'
  readonly installed: readonly string[]
}

/** A checkout whose node_modules is set up, and a PATH that leads to the stand-ins. */
async function makeMachine({ user, installed }: Machine) {
  const scratch = await makeScratch('setup')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const root = scratch.path
  for (const name of ['scripts', 'node_modules', 'path']) await mkdir(join(root, name))
  await copyFile(join(scripts, 'setup.sh'), join(root, 'scripts/setup.sh'))
  await writeFile(join(root, 'scripts/packages.txt'), PACKAGES)
  await writeFile(join(root, 'package-lock.json'), '{}')
  await writeFile(join(root, 'node_modules/.osflash-setup'), '')
  await utimes(join(root, 'package-lock.json'), 1_000, 1_000)
  const known = installed.map((name) => `echo '${name} installed'`).join('\n')
  const log = join(root, 'log')
  const standIns = {
    id: `echo ${user === 'root' ? 0 : 1000}`,
    'dpkg-query': `${known}\necho 'gone config-files'\nexit 1`,
    'apt-get': `echo "$DEBIAN_FRONTEND apt-get $*" >> ${log}`,
    npm: `echo "npm $1" >> ${log}; exit 9`,
  }
  for (const [name, body] of Object.entries(standIns)) {
    await writeFile(join(root, 'path', name), `#!/bin/sh\n${body}\n`)
    await chmod(join(root, 'path', name), 0o755)
  }
  const env = { PATH: `${join(root, 'path')}:/usr/bin:/bin` }
  const setUp = () => run(['sh', join(root, 'scripts/setup.sh')], { env, statuses: [0, 3, 9] })
  return { root, setUp, log: () => readFile(log, 'utf8').catch(() => '') }
}

const all = ['mtools', 'gdisk', 'sq']

test('does and says nothing when nothing is missing', async () => {
  const { setUp, log } = await makeMachine({ user: 'other', installed: all })
  expect(await setUp()).toEqual({ status: 0, stdout: '', stderrTail: '' })
  expect(await log()).toBe('')
})

test('as root installs what is missing, and only that', async () => {
  const { setUp, log } = await makeMachine({ user: 'root', installed: ['gdisk'] })
  expect((await setUp()).status).toBe(0)
  expect((await log()).split('\n')).toEqual([
    'noninteractive apt-get update -q',
    'noninteractive apt-get install -q -y --no-install-recommends mtools sq',
    '',
  ])
})

test('as another user prints the line to run, and exits with 3', async () => {
  const { setUp, log } = await makeMachine({ user: 'other', installed: ['mtools', 'sq'] })
  const ended = await setUp()
  expect(ended.status).toBe(3)
  expect(ended.stderrTail.trim().split('\n').at(-1)).toBe(
    'apt-get update && apt-get install -y --no-install-recommends gdisk',
  )
  expect(await log()).toBe('')
})

test('a name that begins like another is not taken for it', async () => {
  const { setUp } = await makeMachine({ user: 'other', installed: ['mtools', 'gdisk', 'sq-extra'] })
  expect((await setUp()).stderrTail).toMatch(/ sq\n$/)
})

test('a lock file newer than the last set-up sends npm to work', async () => {
  const { root, setUp, log } = await makeMachine({ user: 'root', installed: all })
  await writeFile(join(root, 'package-lock.json'), '{ "changed": true }')
  await utimes(join(root, 'node_modules/.osflash-setup'), 2_000, 2_000)
  expect((await setUp()).status).toBe(9)
  expect(await log()).toBe('npm install\n')
})

test('the list holds package names only', async () => {
  const text = await readFile(join(scripts, 'packages.txt'), 'utf8')
  const names = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(names.length).toBeGreaterThan(20)
  expect(names.filter((name) => !/^[a-z0-9][a-z0-9.+-]+$/.test(name))).toEqual([])
  expect(new Set(names).size).toBe(names.length)
})
