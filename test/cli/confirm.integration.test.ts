import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type RunResult, run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { play } from './play.ts'

const isRoot = process.getuid?.() === 0
const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')

/** The machine as a target: its own /etc and /usr/local/sbin, seen by nobody else. */
const AS_TARGET = `set -e
mount --bind "$1/etc" /etc
mount --bind "$1/sbin" /usr/local/sbin
shift
exec "$@"
`

/** @param agent what the target's osflash-confirm does */
async function confirmIn(agent: string, ...options: readonly string[]): Promise<RunResult> {
  await using scratch = await makeScratch('confirm')
  const facts = "STORE_UUID='5d3fa1de-3f5a-4b3c-9d5e-0123456789ab'\n"
  await mkdir(join(scratch.path, 'etc/osflash'), { recursive: true })
  await writeFile(join(scratch.path, 'etc/osflash/trial.conf'), facts)
  await mkdir(join(scratch.path, 'sbin'))
  const program = join(scratch.path, 'sbin/osflash-confirm')
  await writeFile(program, `#!/bin/sh\n${agent}\n`)
  await chmod(program, 0o755)
  const osflash = [process.execPath, MAIN, ...options, 'confirm'] as const
  const argv = ['unshare', '--mount', 'sh', '-c', AS_TARGET, 'as-target', scratch.path] as const
  return await run([...argv, ...osflash], { statuses: [0, 6] })
}

test('in a system that is no target it is refused', async () => {
  const { status, stderr } = await play(['confirm'])
  expect({ status, stderr }).toEqual({
    status: 3,
    stderr: `osflash: error: confirming this system: it is the first OS, nothing is on trial
hint: osflash status says which system runs, and what comes next
`,
  })
})

test.skipIf(!isRoot)('needs root: what the target says is the outcome', async () => {
  expect(await confirmIn('echo "osflash: confirmed"')).toMatchObject({
    status: 0,
    stdout:
      'confirmed: the next boot is this system\nhint: osflash cleanup makes the stage blank\n',
  })
  expect((await confirmIn('true', '--json')).stdout).toBe('{"confirmed":true}\n')
})

test.skipIf(!isRoot)('needs root: the reason of the target is the error', async () => {
  const agent = 'echo "osflash: not confirmed: the store X is not there" >&2; exit 1'
  const { status, stderrTail } = await confirmIn(agent)
  expect(status).toBe(6)
  expect(stderrTail).toBe(`osflash: error: confirming this system: the store X is not there
hint: mend it and run again: osflash confirm
`)
})
