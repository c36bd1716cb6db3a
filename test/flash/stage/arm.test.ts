/** Arming: what stood there is safe before anything changes, and a half-done arming is undone. */
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readBackup } from '../../../src/flash/arm-backup.ts'
import { biosFirstOsBoot } from '../../../src/flash/boot/bios-first-os.ts'
import type { FirstOsBoot } from '../../../src/flash/boot/method.ts'
import { createJournal } from '../../../src/flash/journal.ts'
import { FIRST_OS, STORE } from '../../../src/flash/places.ts'
import { armRescue, throwIfCancelledArmed } from '../../../src/flash/stage/arm.ts'
import { emptyGrubEnvironment } from '../../../src/format/grub-environment.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { DEBIAN_GRUB_CFG } from '../boot/grub-cfg.ts'

async function host() {
  const scratch = await makeScratch('arm')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const grub = join(scratch.path, 'grub')
  const store = join(scratch.path, 'store')
  const root = join(scratch.path, 'root')
  for (const folder of [grub, store]) await mkdir(folder)
  await mkdir(join(root, FIRST_OS.folder), { recursive: true })
  await writeFile(join(store, STORE.plan), 'the plan')
  await writeFile(join(grub, 'grub.cfg'), DEBIAN_GRUB_CFG)
  await writeFile(join(grub, 'grubenv'), emptyGrubEnvironment())
  const boot = biosFirstOsBoot({
    grubFolder: grub,
    rescueRootUuid: '1b2c',
    kernel: '/boot/vmlinuz',
    initrd: '/boot/initrd',
    commandLine: 'root=UUID=1b2c ro',
  })
  const journal = await createJournal(store, {
    system: 'first-os',
    state: 'staging',
    planDigest: 'a'.repeat(64),
    attempts: { flash: 0, trial: 0 },
  })
  await journal.write({ state: 'staged' })
  return { grub, store, boot, journal, root }
}

async function snapshot(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort()
  const texts = names.map(async (name) => [name, await readFile(join(folder, name), 'latin1')])
  return Object.fromEntries(await Promise.all(texts))
}

it('saves first, arms, and says so in the journal; disarming gives back every byte', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  await armRescue({ store, journal, boot, root })
  expect(journal.current?.state).toBe('armed')
  expect(await boot.isArmed()).toBe(true)
  expect((await stat(join(store, STORE.armBackup))).mode & 0o777).toBe(0o600)
  const backup = await readBackup(join(store, STORE.armBackup))
  if (backup === undefined) throw new Error('nothing was saved')
  await boot.disarm(backup)
  expect(await snapshot(grub)).toEqual(before)
})

it('changes nothing before the backup is durable', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  const dead = { ...boot, backup: () => Promise.reject(new Error('no backup')) }
  await expect(armRescue({ store, journal, boot: dead, root })).rejects.toThrow('no backup')
  expect(await snapshot(grub)).toEqual(before)
  expect(journal.current?.state).toBe('staged')
})

it('arms nothing once it was cancelled', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  const signal = AbortSignal.abort()
  const arming = armRescue({ store, journal, boot, root, signal })
  await expect(arming).rejects.toMatchObject({ code: 'cancelled' })
  expect(await snapshot(grub)).toEqual(before)
  expect(journal.current?.state).toBe('staged')
})

it('does not reboot once it was cancelled, and says what the next boot is', () => {
  expect(() => throwIfCancelledArmed(new AbortController().signal)).not.toThrow()
  expect(() => throwIfCancelledArmed(AbortSignal.abort())).toThrow(
    expect.objectContaining({
      code: 'cancelled',
      message: expect.stringContaining('the next boot is the rescue'),
      hints: expect.arrayContaining([expect.stringContaining('osflash abort')]),
    }),
  )
})

it('keeps what stood there before the first of several armings', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  await armRescue({ store, journal, boot, root })
  await journal.write({ state: 'staged' })
  await armRescue({ store, journal, boot, root })
  const backup = await readBackup(join(store, STORE.armBackup))
  await boot.disarm(backup ?? {})
  expect(await snapshot(grub)).toEqual(before)
})

it('keeps it in the first OS as well, for a store that is made anew', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  await armRescue({ store, journal, boot, root })
  const copy = join(root, FIRST_OS.armBackup)
  const saved = await readFile(copy, 'utf8')
  expect(saved).toBe(await readFile(join(store, STORE.armBackup), 'utf8'))
  expect(await readFile(join(root, FIRST_OS.plan), 'utf8')).toBe('the plan')
  for (const path of [FIRST_OS.armBackup, FIRST_OS.plan]) {
    expect((await stat(join(root, path))).mode & 0o777).toBe(0o600)
  }
  await rm(join(store, STORE.armBackup))
  await journal.write({ state: 'staged' })
  await armRescue({ store, journal, boot, root })
  expect(await readFile(copy, 'utf8')).toBe(saved)
  await boot.disarm((await readBackup(copy)) ?? {})
  expect(await snapshot(grub)).toEqual(before)
})

it('does not arm what could not be undone', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  await rm(join(store, STORE.plan))
  await expect(armRescue({ store, journal, boot, root })).rejects.toMatchObject({ code: 'io' })
  expect(await snapshot(grub)).toEqual(before)
})

it('goes on where an arming was cut in the middle', async () => {
  const { grub, store, boot, journal, root } = await host()
  const before = await snapshot(grub)
  const cut: FirstOsBoot = {
    ...boot,
    arm: async () => {
      await boot.arm()
      // The entry is there, next_entry is not.
      await writeFile(join(grub, 'grubenv'), emptyGrubEnvironment())
      throw new Error('the power is gone')
    },
  }
  await expect(armRescue({ store, journal, boot: cut, root })).rejects.toThrow('the power is gone')
  expect(Object.keys(await snapshot(grub))).toContain('custom.cfg')
  await armRescue({ store, journal, boot, root })
  await boot.disarm((await readBackup(join(store, STORE.armBackup))) ?? {})
  expect(await snapshot(grub)).toEqual(before)
})

it('forgets the orders of an earlier try', async () => {
  const { store, boot, journal, root } = await host()
  for (const name of [STORE.go, STORE.hold]) await writeFile(join(store, name), '')
  await armRescue({ store, journal, boot, root })
  const names = await readdir(store)
  expect(names).not.toContain(STORE.go)
  expect(names).not.toContain(STORE.hold)
})

it('refuses a backup that is not one', async () => {
  const { store, boot, journal, root } = await host()
  await writeFile(join(store, STORE.armBackup), '{"a": []}')
  await expect(armRescue({ store, journal, boot, root })).rejects.toMatchObject({ code: 'format' })
})
