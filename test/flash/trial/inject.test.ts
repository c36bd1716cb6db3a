import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseSettings } from '../../../src/flash/systems.ts'
import { injectTrial, type Trial } from '../../../src/flash/trial/inject.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { flashPlan } from '../flash-plan.ts'

const DIGEST = 'd'.repeat(64)

const trial = (root: string, how: 'auto' | 'none' = 'auto'): Trial => ({
  root,
  plan: flashPlan({ confirm: { how, withinSeconds: 60 } }),
  planDigest: DIGEST,
  storeUuid: '5d3fa1de-3f5a-4b3c-9d5e-0123456789ab',
  rescueRootUuid: '6d3fa1de-3f5a-4b3c-9d5e-0123456789ab',
  reach: { addresses: ['192.0.2.10', '2001:db8::10'], gateways: ['192.0.2.1'] },
  boot: {
    variables: { TABLE_ID: '1234abcd' },
    files: [{ path: '/var/lib/osflash/sector0.img', bytes: Buffer.alloc(512, 1) }],
  },
  sequences: {},
})

async function makeRoot() {
  const scratch = await makeScratch('inject')
  const root = scratch.path
  await mkdir(join(root, 'usr/lib/systemd'), { recursive: true })
  await symlink('usr/lib', join(root, 'lib'))
  await writeFile(join(root, 'usr/lib/systemd/systemd'), '')
  await mkdir(join(root, 'boot/grub'), { recursive: true })
  await writeFile(join(root, 'boot/grub/grub.cfg'), 'linux /vmlinuz\n')
  return scratch
}

test('the unit tells that the target was confirmed only where somebody wants to know', async () => {
  await using scratch = await makeRoot()
  const root = scratch.path
  const unitWith = async (notify?: string): Promise<string> => {
    const { plan, ...rest } = trial(root)
    await injectTrial({ ...rest, plan: notify === undefined ? plan : { ...plan, notify } })
    return readFile(join(root, 'etc/systemd/system/osflash-trial.service'), 'utf8')
  }
  expect(await unitWith('https://ops.example/hook')).toMatch(
    /\nExecStopPost=-\/bin\/sh -c '\[ "\$\$EXIT_STATUS" != 0 \] \|\| exec .* status --notify'\n$/,
  )
  expect(await unitWith()).not.toContain('ExecStopPost')
})

test('the root has the agent, its unit with a link, and settings for both readers', async () => {
  await using scratch = await makeRoot()
  const root = scratch.path
  expect(await injectTrial(trial(root))).toEqual({ notes: [] })
  const modeOf = async (path: string) => (await stat(join(root, path))).mode & 0o777
  expect(await modeOf('usr/lib/osflash/trial')).toBe(0o755)
  expect(await modeOf('usr/local/sbin/osflash-confirm')).toBe(0o755)
  expect(await modeOf('usr/local/bin/osflash')).toBe(0o755)
  const units = join(root, 'etc/systemd/system')
  const link = await readlink(join(units, 'sysinit.target.wants/osflash-trial.service'))
  expect(link).toBe('/etc/systemd/system/osflash-trial.service')
  expect(await readdir(units)).toContain('osflash-trial.service')
  const watchdog = join(root, 'etc/systemd/system.conf.d/osflash-trial.conf')
  expect(await readFile(watchdog, 'utf8')).toContain('\nRuntimeWatchdogSec=60\n')
  const settings = await readFile(join(root, 'etc/osflash/trial.conf'), 'utf8')
  expect(parseSettings(settings)).toEqual({
    PLAN_DIGEST: DIGEST,
    STORE_UUID: '5d3fa1de-3f5a-4b3c-9d5e-0123456789ab',
    RESCUE_ROOT_UUID: '6d3fa1de-3f5a-4b3c-9d5e-0123456789ab',
    CONFIRM: 'auto',
    WITHIN_SECONDS: '60',
    ADDRESSES: '192.0.2.10 2001:db8::10',
    GATEWAYS: '192.0.2.1',
    HOST_KEYS: '',
    FIRMWARE: 'bios',
    TABLE_ID: '1234abcd',
  })
})

test('a second time ends the same, and forgets a confirmation that had begun', async () => {
  await using scratch = await makeRoot()
  const root = scratch.path
  await injectTrial(trial(root))
  const first = (await readdir(root, { recursive: true })).sort()
  await writeFile(join(root, 'var/lib/osflash/confirming'), DIGEST)
  await injectTrial(trial(root))
  expect((await readdir(root, { recursive: true })).sort()).toEqual(first)
  const saved = await readFile(join(root, 'boot/grub/grub.cfg.osflash'), 'utf8')
  expect(saved).toBe('linux /vmlinuz\n')
})

test('a root without systemd is refused before anything is written', async () => {
  await using scratch = await makeScratch('inject')
  await expect(injectTrial(trial(scratch.path))).rejects.toMatchObject({
    code: 'refused',
    hints: [expect.stringContaining('osflash resume --target IMAGE --trust CERT --identity KEY')],
  })
  expect(await readdir(scratch.path)).toEqual([])
})

test('with none there is no agent and no change of grub.cfg, also without systemd', async () => {
  await using scratch = await makeScratch('inject')
  const root = scratch.path
  expect(await injectTrial(trial(root, 'none'))).toEqual({ notes: [] })
  expect(await readdir(join(root, 'etc/osflash'))).toEqual(['trial.conf'])
  expect(await readdir(join(root, 'usr'))).toEqual(['local'])
  expect((await readdir(root)).sort()).toEqual(['etc', 'usr', 'var'])
})

test('sequences of the host, of the root and of the images: the highest stays', async () => {
  await using scratch = await makeRoot()
  const root = scratch.path
  const path = join(root, 'var/lib/osflash/sequences.json')
  await mkdir(join(root, 'var/lib/osflash'), { recursive: true })
  await writeFile(path, '{"other":9,"debian-13":5}')
  await injectTrial({ ...trial(root), sequences: { other: 4, rescue: 8 } })
  const merged = { 'debian-13': 5, other: 9, rescue: 8 }
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(merged)
  await writeFile(path, 'no JSON')
  await injectTrial(trial(root))
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ 'debian-13': 1, rescue: 1 })
})
