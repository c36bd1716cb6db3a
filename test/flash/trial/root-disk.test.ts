import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { AGENT_BOOT } from '../../../src/flash/trial/agent-boot.ts'
import { run } from '../../../src/system/run.ts'
import { hasProgram } from './trial-host.ts'

/** What lsblk calls the disk under the root; `undefined` where the root is no block device. */
async function diskOfRoot(): Promise<string | undefined> {
  const source = (await run(['findmnt', '-nvo', 'SOURCE', '/'])).stdout.trim()
  if (!source.startsWith('/dev/') || !existsSync(source)) return undefined
  const { stdout } = await run(['lsblk', '--noheadings', '--list', '--output', 'PKNAME', source])
  const parent = stdout.trim().split('\n')[0] ?? ''
  return parent === '' ? source : `/dev/${parent}`
}

const expected = await diskOfRoot()
const shells = ['dash', ...((await hasProgram('busybox')) ? ['busybox sh'] : [])]

test.skipIf(expected === undefined).each(shells)(
  'needs a root on a disk: %s finds that disk',
  async (shell) => {
    const [program = '', ...options] = shell.split(' ')
    const script = Buffer.from(`${AGENT_BOOT}\nroot_disk\n`)
    const { stdout } = await run([program, ...options], { stdin: script })
    expect(stdout.trim()).toBe(expected)
  },
)
