import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hasProgram, makeTrialHost } from './trial-host.ts'

const isRoot = process.getuid?.() === 0
/** Says where it runs, with what, and whether its disk is still mounted. */
const PROGRAM = `#!/bin/sh
printf '%s|' "$0" "$@" "$(grep -c ' /run/osflash/stage ' /proc/self/mounts)"
exit 3
`
const shells = [
  { shell: 'dash', isThere: true },
  { shell: 'busybox', isThere: await hasProgram('busybox') },
] as const

describe.each(shells)('needs root: osflash in the target, $shell', ({ shell, isThere }) => {
  const can = isRoot && isThere
  const osflash = '/usr/local/bin/osflash'

  test.skipIf(!can)('runs the program of the stage, with its arguments and status', async () => {
    await using host = await makeTrialHost({ shell, program: PROGRAM })
    expect(await host.script(osflash, 'status', '--notify', 'a b')).toMatchObject({
      status: 3,
      stdout: '/run/osflash/stage/opt/osflash/bin/osflash|status|--notify|a b|1|',
    })
  })

  test.skipIf(!can)('cleanup runs from a copy that is gone afterwards', async () => {
    await using host = await makeTrialHost({ shell, program: PROGRAM })
    const { status, stdout } = await host.script(osflash, 'cleanup', '--yes')
    expect(status).toBe(3)
    expect(stdout).toMatch(/^\/var\/tmp\/osflash-\w{6}\/bin\/osflash\|cleanup\|--yes\|0\|$/)
    expect(await readdir(join(host.root, 'var/tmp'))).toEqual([])
  })

  test.skipIf(!can)('without the stage it says so and ends with 3', async () => {
    await using host = await makeTrialHost({ shell })
    const { status, stderrTail } = await host.script(osflash, 'status')
    expect(status).toBe(3)
    expect(stderrTail).toContain('error: mounting the stage: its disk is not there\nhint: ')
  })
})
