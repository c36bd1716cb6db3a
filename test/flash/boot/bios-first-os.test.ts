import {
  chmod,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { biosFirstOsBoot, readGrubTexts } from '../../../src/flash/boot/bios-first-os.ts'
import { grubRefusals } from '../../../src/flash/boot/grub-arm.ts'
import {
  changeGrubEnvironment,
  emptyGrubEnvironment,
  parseGrubEnvironment,
} from '../../../src/format/grub-environment.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { DEBIAN_GRUB_CFG } from './grub-cfg.ts'

async function grubFolder(files: Readonly<Record<string, string | Uint8Array>> = {}) {
  const scratch = await makeScratch('bios-first-os')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const folder = join(scratch.path, 'grub')
  await mkdir(folder)
  const all = { 'grub.cfg': DEBIAN_GRUB_CFG, grubenv: emptyGrubEnvironment(), ...files }
  for (const [name, bytes] of Object.entries(all)) await writeFile(join(folder, name), bytes)
  const boot = biosFirstOsBoot({
    grubFolder: folder,
    rescueRootUuid: '1b2c',
    kernel: '/boot/vmlinuz',
    initrd: '/boot/initrd',
    commandLine: 'root=UUID=1b2c ro',
  })
  return { folder, boot }
}

/** Names and bytes. */
async function snapshot(folder: string) {
  const names = (await readdir(folder)).sort()
  return Promise.all(
    names.map(async (name) => [name, (await readFile(join(folder, name))).toString('latin1')]),
  )
}

test.each([
  ['no custom.cfg', {}],
  ['a custom.cfg of other bytes', { 'custom.cfg': Buffer.from([0x23, 0xff, 0xe4]) }],
  [
    'other variables',
    { grubenv: changeGrubEnvironment(emptyGrubEnvironment(), { b: '1', a: '2' }) },
  ],
])('armed, started, disarmed: byte-identical with %s', async (_, files) => {
  const { folder, boot } = await grubFolder(files)
  const before = await snapshot(folder)
  const backup = JSON.parse(JSON.stringify(await boot.backup()))
  await boot.disarm(backup)
  expect(await snapshot(folder)).toEqual(before)
  const { ino } = await stat(join(folder, 'grubenv'))
  await boot.arm()
  expect(await boot.isArmed()).toBe(true)
  expect((await stat(join(folder, 'grubenv'))).ino).toBe(ino)
  await boot.arm()
  expect((await readGrubTexts(folder)).custom?.match(/^menuentry /gm)).toHaveLength(1)
  // GRUB clears it when it starts the entry.
  const armed = await readFile(join(folder, 'grubenv'))
  await writeFile(join(folder, 'grubenv'), changeGrubEnvironment(armed, { next_entry: '' }))
  expect(await boot.isArmed()).toBe(false)
  await boot.disarm(backup)
  await boot.disarm(backup)
  expect(await snapshot(folder)).toEqual(before)
})

test('an entry of other words is not armed, and arming replaces it', async () => {
  const { folder, boot } = await grubFolder()
  await boot.arm()
  const path = join(folder, 'custom.cfg')
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('/boot/vmlinuz', '/boot/older'))
  expect(await boot.isArmed()).toBe(false)
  await boot.arm()
  expect(await readFile(path, 'utf8')).toBe(text)
})

test('custom.cfg keeps its mode', async () => {
  const { folder, boot } = await grubFolder({ 'custom.cfg': '# mine\n' })
  await chmod(join(folder, 'custom.cfg'), 0o600)
  const backup = await boot.backup()
  await boot.arm()
  expect((await stat(join(folder, 'custom.cfg'))).mode & 0o777).toBe(0o600)
  await boot.disarm(backup)
  expect((await stat(join(folder, 'custom.cfg'))).mode & 0o777).toBe(0o600)
})

test('a GRUB that cannot be told is refused, and nothing changes', async () => {
  const { folder, boot } = await grubFolder({ 'grub.cfg': 'set timeout=-1\n' })
  const before = await snapshot(folder)
  const refused = { code: 'refused', message: /^arming .*: grub.cfg does not load grubenv; / }
  const rejection = { ...refused, message: expect.stringMatching(refused.message) }
  await expect(boot.backup()).rejects.toMatchObject(rejection)
  await expect(boot.arm()).rejects.toMatchObject(rejection)
  expect(await snapshot(folder)).toEqual(before)
  expect(grubRefusals(await readGrubTexts(join(folder, 'nowhere')))).toContain(
    'there is no grubenv',
  )
})

test.each(['there', 'dangling'])(
  'a custom.cfg that is a link (%s) is left alone',
  async (which) => {
    const { folder, boot } = await grubFolder()
    const real = join(folder, '../real.cfg')
    if (which === 'there') await writeFile(real, '# of the administrator\n')
    await symlink(real, join(folder, 'custom.cfg'))
    const message = expect.stringContaining('custom.cfg is a symbolic link')
    await expect(boot.backup()).rejects.toMatchObject({ code: 'refused', message })
    await expect(boot.arm()).rejects.toMatchObject({ code: 'refused', message })
    expect(await readlink(join(folder, 'custom.cfg'))).toBe(real)
  },
)

test('what was changed since arming stays; a damaged backup changes nothing', async () => {
  const { folder, boot } = await grubFolder()
  const backup = await boot.backup()
  await boot.arm()
  const path = join(folder, 'grubenv')
  await writeFile(path, changeGrubEnvironment(await readFile(path), { saved_entry: '3' }))
  const armed = await snapshot(folder)
  for (const damaged of [{}, { ...backup, environment: 1 }, { ...backup, custom: 3 }]) {
    await expect(boot.disarm(damaged)).rejects.toMatchObject({ code: 'format' })
  }
  expect(await snapshot(folder)).toEqual(armed)
  await boot.disarm(backup)
  expect([...parseGrubEnvironment(await readFile(path))]).toEqual([['saved_entry', '3']])
  expect((await readdir(folder)).sort()).toEqual(['grub.cfg', 'grubenv'])
})

test('cut between the entry and the environment: not armed, and undone all the same', async () => {
  const { folder, boot } = await grubFolder({ 'custom.cfg': '# mine' })
  const before = await snapshot(folder)
  const backup = await boot.backup()
  await boot.arm()
  await writeFile(join(folder, 'grubenv'), emptyGrubEnvironment())
  expect(await boot.isArmed()).toBe(false)
  // What is there already is no reason to refuse, but never backed up as what was there before.
  await expect(boot.backup()).rejects.toThrow('custom.cfg already has an entry of osflash')
  await boot.disarm(backup)
  expect(await snapshot(folder)).toEqual(before)
  // The other way round: the environment is armed, the entry is gone; GRUB takes the first entry.
  await boot.arm()
  await writeFile(join(folder, 'custom.cfg'), '# mine')
  expect(await boot.isArmed()).toBe(false)
  await boot.disarm(backup)
  expect(await snapshot(folder)).toEqual(before)
})

test('a grubenv that is no block is never written to', async () => {
  const { folder, boot } = await grubFolder({ grubenv: 'x'.repeat(1024) })
  const before = await snapshot(folder)
  await expect(boot.arm()).rejects.toThrow('grubenv is no environment block')
  await expect(
    boot.disarm({
      kind: 'grub',
      environment: Buffer.from(emptyGrubEnvironment()).toString('base64'),
      custom: null,
    }),
  ).rejects.toMatchObject({ code: 'format' })
  expect(await snapshot(folder)).toEqual(before)
})
