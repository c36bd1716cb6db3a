import { expect, test } from 'vitest'
import { armedHost } from './armed.ts'
import { debugfs, partitionNamed, putFiles } from './disk-file.ts'
import type { Host } from './host.ts'
import { status } from './operator.ts'
import { LIMIT } from './takeover.ts'
import { digestOutsideRoot } from './untouched.ts'

const REBOOTS_WITHIN = 420

interface Death {
  readonly name: string
  readonly firmware: 'bios' | 'uefi'
  /** Breaks the rescue on the stage. */
  readonly kill: (host: Host) => Promise<void>
  readonly says: RegExp
}

const inRoot = async (host: Host, path: string, bytes: string): Promise<void> => {
  const root = await partitionNamed(host.stagePath, 'root')
  await putFiles(host.stagePath, root, [{ path, bytes: Buffer.from(bytes), mode: 0o755 }])
}

const DEATHS: readonly Death[] = [
  {
    name: 'a corrupt kernel',
    firmware: 'bios',
    kill: async (host) => {
      const root = await partitionNamed(host.stagePath, 'root')
      const listed = await debugfs(host.stagePath, root, ['ls -p /boot'])
      const kernel = /vmlinuz-[^/]+/.exec(listed)?.[0]
      if (kernel === undefined) throw new Error(`no kernel in /boot: ${listed}`)
      await inRoot(host, `/boot/${kernel}`, 'not a kernel'.repeat(100_000))
    },
    says: /the rescue was started and did not come up/,
  },
  {
    name: 'an init that ends: panic',
    firmware: 'uefi',
    kill: (host) => inRoot(host, '/usr/sbin/init', '#!/bin/sh\nexit 1\n'),
    says: /the rescue was started and did not come up/,
  },
  {
    name: 'no network',
    firmware: 'bios',
    kill: async (host) => {
      const root = await partitionNamed(host.stagePath, 'root')
      const unit = '/etc/systemd/system/systemd-networkd.service'
      await debugfs(host.stagePath, root, [`symlink ${unit} /dev/null`])
    },
    says: /address|gateway|reach/,
  },
]

test.concurrent.for(DEATHS)('$name: the first OS answers again and says why', async (death) => {
  const name = `rescue-dead-${DEATHS.indexOf(death)}`
  await using host = await armedHost(name, { firmware: death.firmware })
  await death.kill(host)
  const disk = await digestOutsideRoot(host.diskPath)
  await host.powerOn()
  await host.waitFor('first-os', { seconds: REBOOTS_WITHIN + LIMIT.boot })
  expect(host.seen.map(({ system }) => system)).not.toContain('rescue')
  const said = await status(host)
  expect(said).toMatchObject({ system: 'first-os', exitStatus: 3 })
  expect(`${said.error ?? ''} ${said.notes.join(' ')}`).toMatch(death.says)
  expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
})
