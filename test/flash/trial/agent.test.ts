import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TRIAL_AGENT } from '../../../src/flash/trial/agent.ts'
import {
  CONFIRM_SCRIPT,
  PROGRAM_SCRIPT,
  TELL_CONFIRMED,
  TRIAL_UNIT,
} from '../../../src/flash/trial/system-files.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { hasProgram } from './trial-host.ts'

const hasBusybox = await hasProgram('busybox')
const hasShellcheck = await hasProgram('shellcheck')
const scripts = { TRIAL_AGENT, CONFIRM_SCRIPT, PROGRAM_SCRIPT }

test.each(Object.entries(scripts))('%s is a shell program', async (_name, text) => {
  await run(['dash', '-n'], { stdin: Buffer.from(text) })
  if (hasBusybox) await run(['busybox', 'sh', '-n'], { stdin: Buffer.from(text) })
})

test.skipIf(!hasShellcheck).each(Object.entries(scripts))(
  'needs shellcheck: %s has no warning',
  async (_name, text) => {
    const argv = ['shellcheck', '--shell=sh', '--severity=warning', '-'] as const
    await run(argv, { stdin: Buffer.from(text) })
  },
)

test('the unit survives emergency mode and is started before anything can fail', async () => {
  expect(TRIAL_UNIT).toContain('DefaultDependencies=no\nIgnoreOnIsolate=yes')
  expect(TRIAL_UNIT).not.toContain('[Install]')
  if (!(await hasProgram('systemd-analyze'))) return
  await using scratch = await makeScratch('unit')
  const path = join(scratch.path, 'trial.service')
  const unit = (TRIAL_UNIT + TELL_CONFIRMED).replace('/usr/lib/osflash/trial', '/bin/true')
  await writeFile(path, unit)
  const { stderrTail } = await run(['systemd-analyze', 'verify', path])
  expect(stderrTail).not.toContain(path)
})
